//! Synced tables: what should be, what was applied, and when to look at one again.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::connection::Transaction;
use crate::events::{self, NewEvent};
use crate::pipelines::{lock_pipeline, lock_pipeline_of};
use crate::retry::transact;
use crate::updates::{add_part, cancel_parts};
use crate::{Create, Result, Store};

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
    /// What runs are told beside the spec.
    pub settings: Value,
    pub deleted_at: Option<Timestamp>,
    pub purge_data: bool,
    pub state: String,
    pub message: Option<String>,
    pub applied: Option<AppliedVersion>,
    /// Failed tries in a row.
    pub attempts: i32,
    pub next_attempt: Timestamp,
    /// When its pipeline was paused, if it is.
    pub paused_at: Option<Timestamp>,
    /// A full refresh runs.
    pub refreshing: bool,
}

/// The newest version that readers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedVersion {
    pub version: i64,
    pub committed_at: Option<Timestamp>,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    /// Of the reader that has read it.
    pub reader_revision: i32,
}

#[derive(Debug, Clone)]
pub struct NewSyncedTable {
    pub name: String,
    pub id: Uuid,
    pub instance_uid: Uuid,
    pub database_name: String,
    pub schema_name: String,
    pub table_name: String,
    pub creator: String,
    pub request: Value,
    pub settings: Value,
    pub state: String,
    pub policy: String,
    /// The pipeline to share; absent makes a new one.
    pub pipeline: Option<Uuid>,
    /// What its creator should know at once.
    pub warning: Option<String>,
}

/// A synced table with something to do.
#[derive(Debug, Clone, Copy)]
pub struct DueSyncedTable {
    pub id: Uuid,
    /// It is loaded and follows its source, which takes long and costs little.
    pub follows: bool,
}

pub(crate) const TABLE: &str = "name, id, pipeline_id, instance_uid, database_name, schema_name, table_name, \
                     creator, created_at, request, deleted_at, purge_data, state, message, attempts, \
                     applied_version, applied_commit_at, applied_started_at, applied_finished_at, \
                     settings, next_attempt, \
                     (select p.paused_at from pipelines p where p.id = pipeline_id), \
                     exists (select from pipeline_update_tables t \
                             where t.synced_table_id = id and t.full_refresh and t.state = 'RUNNING' \
                               and t.refreshed_at is null and t.finished_at is null), \
                     reader_revision";

impl From<&Row> for SyncedTable {
    fn from(row: &Row) -> Self {
        let applied = row.get::<_, Option<i64>>(15).and_then(|version| {
            Some(AppliedVersion {
                version,
                committed_at: row.get(16),
                started_at: row.get::<_, Option<Timestamp>>(17)?,
                finished_at: row.get::<_, Option<Timestamp>>(18)?,
                reader_revision: row.get(23),
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
            settings: row.get(19),
            next_attempt: row.get(20),
            paused_at: row.get(21),
            refreshing: row.get(22),
        }
    }
}

impl Store {
    /// Adds the table, to its pipeline an update that loads it, and that its client has no answer yet. Refused by
    /// `synced_tables_pkey` if the name is taken, by `synced_tables_target` if another synced table writes the same PostgreSQL table.
    /// Gives nothing if the pipeline that it should share is not there, or is another instance's.
    pub async fn add_synced_table(
        &self,
        new: &NewSyncedTable,
        create: &Create<'_>,
    ) -> Result<Option<SyncedTable>> {
        transact!(self, |transaction| {
            let instance = "select from instances where uid = $1 for key share";
            if transaction.query_opt(instance, &[&new.instance_uid]).await?.is_none() {
                return Ok(None);
            }
            let Some(pipeline) = pipeline_of(transaction, new).await? else { return Ok(None) };
            let row = transaction
                .query_one(
                    &format!(
                        "insert into synced_tables (name, id, pipeline_id, instance_uid,
                             database_name, schema_name, table_name, creator, request, settings,
                             state, message)
                         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
                         returning {TABLE}"
                    ),
                    &[
                        &new.name,
                        &new.id,
                        &pipeline,
                        &new.instance_uid,
                        &new.database_name,
                        &new.schema_name,
                        &new.table_name,
                        &new.creator,
                        &new.request,
                        &new.settings,
                        &new.state,
                        &new.warning,
                    ],
                )
                .await?;
            let table = SyncedTable::from(&row);
            let update = add_part(transaction, &table, new.policy == "CONTINUOUS").await?;
            let warning = new.warning.iter().map(|message| NewEvent {
                level: "WARN",
                event_type: "flow_progress",
                message: message.clone(),
            });
            events::add(transaction, update, &warning.collect::<Vec<_>>()).await?;
            create.note(transaction, new.id).await?;
            Ok(Some(table))
        })
    }

    /// Whether a synced table of this name, or one that writes the same table, is about to go; and what holds it up.
    pub async fn ending_synced_table(
        &self,
        name: &str,
        instance: Uuid,
        target: [&str; 3],
    ) -> Result<Option<SyncedTable>> {
        let [database, schema, table] = target;
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {TABLE} from synced_tables
                     where deleted_at is not null
                       and (name = $1 or instance_uid = $2 and database_name = $3
                            and schema_name = $4 and table_name = $5) limit 1"
                ),
                &[&name, &instance, &database, &schema, &table],
            )
            .await?;
        Ok(row.as_ref().map(SyncedTable::from))
    }

    pub async fn synced_table(&self, name: &str) -> Result<Option<SyncedTable>> {
        self.synced_table_where("name = $1", &name).await
    }

    pub async fn synced_table_by_id(&self, id: Uuid) -> Result<Option<SyncedTable>> {
        self.synced_table_where("id = $1", &id).await
    }

    async fn synced_table_where(
        &self,
        condition: &str,
        value: &(dyn ToSql + Sync),
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

    /// The databases of an instance that have synced tables.
    pub async fn synced_databases(&self, instance: Uuid) -> Result<Vec<String>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select distinct database_name from synced_tables where instance_uid = $1 order by 1",
                &[&instance],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The pipeline's tables that are not to be deleted, the oldest first.
    pub async fn synced_tables_of_pipeline(&self, pipeline: Uuid) -> Result<Vec<SyncedTable>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {TABLE} from synced_tables
                     where pipeline_id = $1 and deleted_at is null order by created_at, name"
                ),
                &[&pipeline],
            )
            .await?;
        Ok(rows.iter().map(SyncedTable::from).collect())
    }

    /// Replaces what runs are told; the next run takes it.
    pub async fn set_synced_table_settings(&self, name: &str, settings: &Value) -> Result<bool> {
        let changed = self
            .connection()
            .await?
            .execute(
                "update synced_tables set settings = $2 where name = $1 and deleted_at is null",
                &[&name, settings],
            )
            .await?;
        Ok(changed > 0)
    }

    /// Marks the table as to be deleted and cancels its part of updates, so that a run ends soon.
    pub async fn mark_synced_table_deleted(&self, name: &str, purge_data: bool) -> Result<bool> {
        transact!(self, |transaction| {
            let found = transaction
                .query_opt("select id from synced_tables where name = $1", &[&name])
                .await?;
            let Some(id) = found.map(|row| row.get::<_, Uuid>(0)) else { return Ok(false) };
            lock_pipeline_of(transaction, id).await?;
            cancel_parts(transaction, id).await?;
            let marked = transaction
                .execute(
                    "update synced_tables
                     set deleted_at = coalesce(deleted_at, now()), purge_data = purge_data or $2,
                         attempts = 0, next_attempt = now()
                     where id = $1",
                    &[&id, &purge_data],
                )
                .await?;
            Ok(marked > 0)
        })
    }

    /// Removes a table that has been ended, and its pipeline if it was the last one there.
    pub async fn forget_synced_table(&self, id: Uuid) -> Result<()> {
        transact!(self, |transaction| {
            // Locked, so that no table joins a pipeline that is about to go.
            let pipeline = lock_pipeline_of(transaction, id).await?;
            cancel_parts(transaction, id).await?;
            transaction
                .execute(
                    "delete from synced_tables where id = $1 and deleted_at is not null",
                    &[&id],
                )
                .await?;
            if let Some(pipeline) = pipeline {
                transaction
                    .execute(
                        "delete from pipelines p where p.id = $1
                           and not exists (select from synced_tables s where s.pipeline_id = p.id)",
                        &[&pipeline],
                    )
                    .await?;
            }
            Ok(())
        })
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

    /// Synced tables of the node that have a part in an update, or are to be deleted, and may try now.
    pub async fn due_synced_tables(&self, node: Uuid) -> Result<Vec<DueSyncedTable>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select s.id,
                     s.deleted_at is null and s.applied_version is not null
                     and p.policy = 'CONTINUOUS' and not exists (
                         select from pipeline_update_tables t
                         where t.synced_table_id = s.id and t.finished_at is null
                           and t.full_refresh and t.refreshed_at is null)
                 from synced_tables s
                 join pipelines p on p.id = s.pipeline_id
                 join instances i on i.uid = s.instance_uid
                 where i.node_id = $1 and s.next_attempt <= now()
                   and (s.deleted_at is not null
                        or p.paused_at is null and exists (
                            select from pipeline_update_tables t
                            where t.synced_table_id = s.id and t.finished_at is null))
                 order by s.created_at",
                &[&node],
            )
            .await?;
        Ok(rows.iter().map(|row| DueSyncedTable { id: row.get(0), follows: row.get(1) }).collect())
    }
}

/// A new pipeline, or the one to share: locked, so that it stays while the table joins it.
async fn pipeline_of(transaction: &Transaction<'_>, new: &NewSyncedTable) -> Result<Option<Uuid>> {
    if let Some(shared) = new.pipeline {
        lock_pipeline(transaction, shared).await?;
        let found = transaction
            .query_opt(
                "select from pipelines where id = $1 and instance_uid = $2 and policy = $3",
                &[&shared, &new.instance_uid, &new.policy],
            )
            .await?;
        return Ok(found.map(|_| shared));
    }
    let id = Uuid::new_v4();
    transaction
        .execute(
            "insert into pipelines (id, instance_uid, policy, creator) values ($1, $2, $3, $4)",
            &[&id, &new.instance_uid, &new.policy, &new.creator],
        )
        .await?;
    Ok(Some(id))
}
