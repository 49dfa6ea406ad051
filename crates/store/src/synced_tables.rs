//! Synced tables, the updates of their pipelines and the pipelines' events.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Result, Store};

#[derive(Debug, Clone)]
pub struct SyncedTable {
    /// Three-part name in Unity Catalog.
    pub name: String,
    pub id: Uuid,
    pub pipeline_id: Uuid,
    pub instance_uid: Uuid,
    pub database_name: String,
    pub schema_name: String,
    pub table_name: String,
    pub creator: String,
    pub created_at: Timestamp,
    /// The request as the client sent it.
    pub request: Value,
    pub deleted_at: Option<Timestamp>,
    pub purge_data: bool,
    pub state: String,
    pub message: Option<String>,
    pub applied: Option<AppliedVersion>,
    pub attempts: i32,
}

/// The newest version that readers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedVersion {
    pub version: i64,
    pub committed_at: Option<Timestamp>,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct NewSyncedTable {
    pub name: String,
    pub instance_uid: Uuid,
    pub database_name: String,
    pub schema_name: String,
    pub table_name: String,
    pub creator: String,
    pub request: Value,
    pub state: String,
}

#[derive(Debug, Clone)]
pub struct PipelineUpdate {
    pub seq: i64,
    pub id: Uuid,
    pub pipeline_id: Uuid,
    pub state: String,
    pub cause: String,
    pub full_refresh: bool,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// When its first run has succeeded.
    pub refreshed_at: Option<Timestamp>,
}

/// A synced table with something to do.
#[derive(Debug, Clone, Copy)]
pub struct DueSyncedTable {
    pub id: Uuid,
    /// It is loaded and follows its source, which takes long and costs little.
    pub follows: bool,
}

#[derive(Debug, Clone)]
pub struct PipelineEvent {
    pub seq: i64,
    pub id: Uuid,
    pub pipeline_id: Uuid,
    pub update_id: Option<Uuid>,
    pub at: Timestamp,
    pub level: String,
    pub event_type: String,
    pub message: String,
}

const TABLE: &str = "name, id, pipeline_id, instance_uid, database_name, schema_name, table_name, \
                     creator, created_at, request, deleted_at, purge_data, state, message, attempts, \
                     applied_version, applied_commit_at, applied_started_at, applied_finished_at";
const UPDATE: &str = "seq, id, pipeline_id, state, cause, full_refresh, created_at, finished_at, \
                      refreshed_at";
const CANCEL: &str = "update pipeline_updates set state = 'CANCELED', finished_at = now()
                      where pipeline_id = $1 and finished_at is null";
const EVENT: &str = "seq, id, pipeline_id, update_id, at, level, event_type, message";

impl From<&Row> for SyncedTable {
    fn from(row: &Row) -> Self {
        let applied = row.get::<_, Option<i64>>(15).and_then(|version| {
            Some(AppliedVersion {
                version,
                committed_at: row.get(16),
                started_at: row.get::<_, Option<Timestamp>>(17)?,
                finished_at: row.get::<_, Option<Timestamp>>(18)?,
            })
        });
        Self {
            name: row.get(0),
            id: row.get(1),
            pipeline_id: row.get(2),
            instance_uid: row.get(3),
            database_name: row.get(4),
            schema_name: row.get(5),
            table_name: row.get(6),
            creator: row.get(7),
            created_at: row.get(8),
            request: row.get(9),
            deleted_at: row.get(10),
            purge_data: row.get(11),
            state: row.get(12),
            message: row.get(13),
            applied,
            attempts: row.get(14),
        }
    }
}

impl From<&Row> for PipelineUpdate {
    fn from(row: &Row) -> Self {
        Self {
            seq: row.get(0),
            id: row.get(1),
            pipeline_id: row.get(2),
            state: row.get(3),
            cause: row.get(4),
            full_refresh: row.get(5),
            created_at: row.get(6),
            finished_at: row.get(7),
            refreshed_at: row.get(8),
        }
    }
}

impl From<&Row> for PipelineEvent {
    fn from(row: &Row) -> Self {
        Self {
            seq: row.get(0),
            id: row.get(1),
            pipeline_id: row.get(2),
            update_id: row.get(3),
            at: row.get(4),
            level: row.get(5),
            event_type: row.get(6),
            message: row.get(7),
        }
    }
}

impl Store {
    /// Adds the table together with the first update of its pipeline. Refused by `synced_tables_pkey`
    /// if the name is taken, by `synced_tables_target` if
    /// another synced table writes the same PostgreSQL table.
    pub async fn add_synced_table(&self, new: &NewSyncedTable) -> Result<SyncedTable> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        let row = transaction
            .query_one(
                &format!(
                    "insert into synced_tables (name, id, pipeline_id, instance_uid, database_name,
                         schema_name, table_name, creator, request, state)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) returning {TABLE}"
                ),
                &[
                    &new.name,
                    &Uuid::new_v4(),
                    &Uuid::new_v4(),
                    &new.instance_uid,
                    &new.database_name,
                    &new.schema_name,
                    &new.table_name,
                    &new.creator,
                    &new.request,
                    &new.state,
                ],
            )
            .await?;
        let table = SyncedTable::from(&row);
        transaction
            .execute(
                "insert into pipeline_updates (id, pipeline_id, state, cause)
                 values ($1, $2, 'QUEUED', 'USER_ACTION')",
                &[&Uuid::new_v4(), &table.pipeline_id],
            )
            .await?;
        transaction.commit().await?;
        Ok(table)
    }

    pub async fn synced_table(&self, name: &str) -> Result<Option<SyncedTable>> {
        self.synced_table_where("name = $1", &name).await
    }

    pub async fn synced_table_by_id(&self, id: Uuid) -> Result<Option<SyncedTable>> {
        self.synced_table_where("id = $1", &id).await
    }

    pub async fn synced_table_by_pipeline(&self, pipeline: Uuid) -> Result<Option<SyncedTable>> {
        self.synced_table_where("pipeline_id = $1", &pipeline).await
    }

    async fn synced_table_where(
        &self,
        condition: &str,
        value: &(dyn tokio_postgres::types::ToSql + Sync),
    ) -> Result<Option<SyncedTable>> {
        let row = self
            .connection()
            .await?
            .query_opt(&format!("select {TABLE} from synced_tables where {condition}"), &[value])
            .await?;
        Ok(row.as_ref().map(SyncedTable::from))
    }

    /// At most `limit` synced tables of the instance whose names follow `after`.
    pub async fn synced_tables(
        &self,
        instance: Uuid,
        after: &str,
        limit: i64,
    ) -> Result<Vec<SyncedTable>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {TABLE} from synced_tables
                     where instance_uid = $1 and name > $2 and deleted_at is null
                     order by name limit $3"
                ),
                &[&instance, &after, &limit],
            )
            .await?;
        Ok(rows.iter().map(SyncedTable::from).collect())
    }

    /// Marks the table as to be deleted and cancels its updates, so that a run ends soon.
    pub async fn mark_synced_table_deleted(&self, name: &str, purge_data: bool) -> Result<bool> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        let marked = transaction
            .query_opt(
                "update synced_tables
                 set deleted_at = coalesce(deleted_at, now()), purge_data = purge_data or $2,
                     attempts = 0, next_attempt = now()
                 where name = $1 returning pipeline_id",
                &[&name, &purge_data],
            )
            .await?;
        if let Some(row) = &marked {
            transaction.execute(CANCEL, &[&row.get::<_, Uuid>(0)]).await?;
        }
        transaction.commit().await?;
        Ok(marked.is_some())
    }

    pub async fn forget_synced_table(&self, id: Uuid) -> Result<()> {
        self.connection()
            .await?
            .execute("delete from synced_tables where id = $1 and deleted_at is not null", &[&id])
            .await?;
        Ok(())
    }

    pub async fn set_synced_table_state(
        &self,
        id: Uuid,
        state: &str,
        message: Option<&str>,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update synced_tables set state = $2, message = $3 where id = $1",
                &[&id, &state, &message],
            )
            .await?;
        Ok(())
    }

    /// Records a pass that could not be made and when to try again.
    pub async fn postpone_synced_table(
        &self,
        id: Uuid,
        message: &str,
        delay: Duration,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update synced_tables
                 set message = $2, attempts = attempts + 1,
                     next_attempt = now() + $3 * interval '1 second'
                 where id = $1",
                &[&id, &message, &delay.as_secs_f64()],
            )
            .await?;
        Ok(())
    }

    /// Records that a pass has to wait for something else; that is no failed attempt.
    pub async fn hold_synced_table(&self, id: Uuid, message: &str, delay: Duration) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update synced_tables
                 set message = $2, next_attempt = now() + $3 * interval '1 second' where id = $1",
                &[&id, &message, &delay.as_secs_f64()],
            )
            .await?;
        Ok(())
    }

    /// Ends an update that succeeded, with the version that it made visible.
    pub async fn complete_update(
        &self,
        table: Uuid,
        update: Uuid,
        applied: &AppliedVersion,
        state: &str,
        message: &str,
    ) -> Result<()> {
        let end = "update pipeline_updates
                   set state = 'COMPLETED', finished_at = now(), refreshed_at = now() where id = $1";
        self.record_applied(end, table, update, applied, state, message).await
    }

    /// Records the version that an update has made visible; the update goes on.
    pub async fn advance_update(
        &self,
        table: Uuid,
        update: Uuid,
        applied: &AppliedVersion,
        state: &str,
        message: &str,
    ) -> Result<()> {
        let go_on = "update pipeline_updates set refreshed_at = now()
                     where id = $1 and refreshed_at is null";
        self.record_applied(go_on, table, update, applied, state, message).await
    }

    async fn record_applied(
        &self,
        update_statement: &str,
        table: Uuid,
        update: Uuid,
        applied: &AppliedVersion,
        state: &str,
        message: &str,
    ) -> Result<()> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        transaction
            .execute(
                "update synced_tables
                 set state = $2, message = $3, applied_version = $4, applied_commit_at = $5,
                     applied_started_at = $6, applied_finished_at = $7, attempts = 0
                 where id = $1",
                &[
                    &table,
                    &state,
                    &message,
                    &applied.version,
                    &applied.committed_at,
                    &applied.started_at,
                    &applied.finished_at,
                ],
            )
            .await?;
        transaction.execute(update_statement, &[&update]).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Ends an update that failed.
    pub async fn fail_update(
        &self,
        table: Uuid,
        update: Uuid,
        state: &str,
        message: &str,
    ) -> Result<()> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        transaction
            .execute(
                "update synced_tables set state = $2, message = $3, attempts = 0 where id = $1",
                &[&table, &state, &message],
            )
            .await?;
        transaction
            .execute(
                "update pipeline_updates set state = 'FAILED', finished_at = now()
                 where id = $1 and finished_at is null",
                &[&update],
            )
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Synced tables of the node that have an unfinished update, or are to be deleted, and may try now.
    pub async fn due_synced_tables(&self, node: Uuid) -> Result<Vec<DueSyncedTable>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select s.id,
                     s.deleted_at is null and s.applied_version is not null
                     and coalesce(s.request -> 'spec' ->> 'scheduling_policy' = 'CONTINUOUS', false)
                     and not exists (
                         select from pipeline_updates u
                         where u.pipeline_id = s.pipeline_id and u.finished_at is null
                           and u.full_refresh and u.refreshed_at is null)
                 from synced_tables s join instances i on i.uid = s.instance_uid
                 where i.node_id = $1 and s.next_attempt <= now()
                   and (s.deleted_at is not null or exists (
                       select from pipeline_updates u
                       where u.pipeline_id = s.pipeline_id and u.finished_at is null))
                 order by s.created_at",
                &[&node],
            )
            .await?;
        Ok(rows.iter().map(|row| DueSyncedTable { id: row.get(0), follows: row.get(1) }).collect())
    }

    /// Adds an update in the place of those that have not ended.
    pub async fn replace_updates(
        &self,
        pipeline: Uuid,
        cause: &str,
        full_refresh: bool,
    ) -> Result<PipelineUpdate> {
        let row = self
            .connection()
            .await?
            .query_one(
                &format!(
                    "with ended as (
                         update pipeline_updates set state = 'CANCELED', finished_at = now()
                         where pipeline_id = $2 and finished_at is null)
                     insert into pipeline_updates (id, pipeline_id, state, cause, full_refresh)
                     values ($1, $2, 'QUEUED', $3, $4) returning {UPDATE}"
                ),
                &[&Uuid::new_v4(), &pipeline, &cause, &full_refresh],
            )
            .await?;
        Ok(PipelineUpdate::from(&row))
    }

    pub async fn add_update(
        &self,
        pipeline: Uuid,
        cause: &str,
        full_refresh: bool,
    ) -> Result<PipelineUpdate> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        let row = transaction
            .query_one(
                &format!(
                    "insert into pipeline_updates (id, pipeline_id, state, cause, full_refresh)
                     values ($1, $2, 'QUEUED', $3, $4) returning {UPDATE}"
                ),
                &[&Uuid::new_v4(), &pipeline, &cause, &full_refresh],
            )
            .await?;
        transaction
            .execute(
                "update synced_tables set attempts = 0, next_attempt = now() where pipeline_id = $1",
                &[&pipeline],
            )
            .await?;
        transaction.commit().await?;
        Ok(PipelineUpdate::from(&row))
    }

    /// The oldest update that has not ended.
    pub async fn next_update(&self, pipeline: Uuid) -> Result<Option<PipelineUpdate>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {UPDATE} from pipeline_updates
                     where pipeline_id = $1 and finished_at is null order by seq limit 1"
                ),
                &[&pipeline],
            )
            .await?;
        Ok(row.as_ref().map(PipelineUpdate::from))
    }

    pub async fn update_of(&self, pipeline: Uuid, update: Uuid) -> Result<Option<PipelineUpdate>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {UPDATE} from pipeline_updates where pipeline_id = $1 and id = $2"
                ),
                &[&pipeline, &update],
            )
            .await?;
        Ok(row.as_ref().map(PipelineUpdate::from))
    }

    /// Whether work on the update should go on: it has not been ended, its table is not to be deleted,
    /// and the instance is in the state in which it can be written.
    pub async fn is_wanted(&self, update: Uuid, instance_state: &str) -> Result<bool> {
        let row = self
            .connection()
            .await?
            .query_opt(
                "select from pipeline_updates u
                 join synced_tables s on s.pipeline_id = u.pipeline_id
                 join instances i on i.uid = s.instance_uid
                 where u.id = $1 and u.finished_at is null and s.deleted_at is null
                   and i.state = $2",
                &[&update, &instance_state],
            )
            .await?;
        Ok(row.is_some())
    }

    /// At most `limit` updates older than `before`, the newest first.
    pub async fn updates(
        &self,
        pipeline: Uuid,
        before: i64,
        limit: i64,
    ) -> Result<Vec<PipelineUpdate>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {UPDATE} from pipeline_updates
                     where pipeline_id = $1 and seq < $2 order by seq desc limit $3"
                ),
                &[&pipeline, &before, &limit],
            )
            .await?;
        Ok(rows.iter().map(PipelineUpdate::from).collect())
    }

    pub async fn set_update_state(&self, update: Uuid, state: &str) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update pipeline_updates set state = $2 where id = $1 and finished_at is null",
                &[&update, &state],
            )
            .await?;
        Ok(())
    }

    /// Cancels what has not ended. A table that waited for another try rests as `offline` or `online`
    /// says, by whether it was ever applied.
    pub async fn cancel_updates(&self, pipeline: Uuid, offline: &str, online: &str) -> Result<()> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        if transaction.execute(CANCEL, &[&pipeline]).await? > 0 {
            transaction
                .execute(
                    "update synced_tables
                     set state = case when applied_version is null then $2 else $3 end,
                         message = null, attempts = 0, next_attempt = now()
                     where pipeline_id = $1",
                    &[&pipeline, &offline, &online],
                )
                .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    pub async fn add_event(
        &self,
        pipeline: Uuid,
        update: Option<Uuid>,
        level: &str,
        event_type: &str,
        message: &str,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "insert into pipeline_events (id, pipeline_id, update_id, level, event_type, message)
                 values ($1, $2, $3, $4, $5, $6)",
                &[&Uuid::new_v4(), &pipeline, &update, &level, &event_type, &message],
            )
            .await?;
        Ok(())
    }

    /// At most `limit` events past `cursor`, in the asked order.
    pub async fn events(
        &self,
        pipeline: Uuid,
        cursor: i64,
        ascending: bool,
        limit: i64,
    ) -> Result<Vec<PipelineEvent>> {
        let (compare, order) = if ascending { (">", "asc") } else { ("<", "desc") };
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {EVENT} from pipeline_events
                     where pipeline_id = $1 and seq {compare} $2 order by seq {order} limit $3"
                ),
                &[&pipeline, &cursor, &limit],
            )
            .await?;
        Ok(rows.iter().map(PipelineEvent::from).collect())
    }
}
