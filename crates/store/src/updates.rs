//! Updates of pipelines: an update has a part for each of its tables, and ends when all of them have.
//!
//! Locks are taken in one order: instances, pipelines, updates, their parts, synced tables. Whatever changes more than
//! one row locks the pipeline first, so that of two tables that end at once one sees the other.

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::connection::Transaction;
use crate::events::{self, NewEvent};
use crate::pipelines::{lock_pipeline, lock_pipeline_of};
use crate::retry::transact;
use crate::synced_tables::{AppliedVersion, SyncedTable};
use crate::{Result, Store};

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
    /// One of its tables has failed, whatever becomes of the others.
    pub has_failed: bool,
}

/// An update as one of its tables sees it.
#[derive(Debug, Clone)]
pub struct TableUpdate {
    pub id: Uuid,
    pub full_refresh: bool,
    pub state: String,
    /// When its first run has succeeded.
    pub refreshed_at: Option<Timestamp>,
}

/// What an update is asked to do.
#[derive(Debug, Clone)]
pub struct NewUpdate<'a> {
    pub pipeline: Uuid,
    pub cause: &'a str,
    /// The tables that take part, each with whether its whole source is to be read.
    pub tables: &'a [(Uuid, bool)],
    /// In the place of updates that have not ended.
    pub replace: bool,
}

const UPDATE: &str = "seq, id, pipeline_id, state, cause, full_refresh, created_at, finished_at, \
                      exists (select from pipeline_update_tables t \
                              where t.update_id = id and t.state = 'FAILED')";

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
            has_failed: row.get(8),
        }
    }
}

impl Store {
    pub async fn add_update(&self, new: &NewUpdate<'_>) -> Result<Uuid> {
        transact!(self, |transaction| {
            lock_pipeline(transaction, new.pipeline).await?;
            if new.replace {
                cancel_all(transaction, new.pipeline).await?;
            }
            let full_refresh = new.tables.iter().any(|(_, full)| *full);
            let id = insert(transaction, new.pipeline, new.cause, full_refresh).await?;
            for (table, full) in new.tables {
                transaction
                    .execute(
                        "insert into pipeline_update_tables (update_id, synced_table_id, full_refresh)
                         select $1, id, $3 from synced_tables where id = $2 and deleted_at is null",
                        &[&id, table, full],
                    )
                    .await?;
            }
            try_at_once(transaction, id).await?;
            Ok(id)
        })
    }

    /// Moves a pipeline's schedule on from a time that has come, and adds an update of all its tables
    /// unless one is under way. Nothing happens if another server has done it.
    pub async fn start_scheduled_update(
        &self,
        pipeline: Uuid,
        due: Timestamp,
        next_run: Option<Timestamp>,
    ) -> Result<()> {
        transact!(self, |transaction| {
            let moved = transaction
                .execute(
                    "update pipelines set next_run = $3 where id = $1 and next_run = $2",
                    &[&pipeline, &due, &next_run],
                )
                .await?;
            let busy = transaction
                .query_opt(
                    "select from pipeline_updates where pipeline_id = $1 and finished_at is null
                     limit 1",
                    &[&pipeline],
                )
                .await?;
            if moved > 0 && busy.is_none() {
                let id = insert(transaction, pipeline, "JOB_TASK", false).await?;
                transaction
                    .execute(
                        "insert into pipeline_update_tables (update_id, synced_table_id, full_refresh)
                         select $1, id, false from synced_tables
                         where pipeline_id = $2 and deleted_at is null",
                        &[&id, &pipeline],
                    )
                    .await?;
                try_at_once(transaction, id).await?;
            }
            Ok(())
        })
    }

    /// The oldest update in which the table still has a part.
    pub async fn next_update(&self, table: Uuid) -> Result<Option<TableUpdate>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                "select u.id, t.full_refresh, t.state, t.refreshed_at
                 from pipeline_update_tables t join pipeline_updates u on u.id = t.update_id
                 where t.synced_table_id = $1 and t.finished_at is null order by u.seq limit 1",
                &[&table],
            )
            .await?;
        Ok(row.map(|row| TableUpdate {
            id: row.get(0),
            full_refresh: row.get(1),
            state: row.get(2),
            refreshed_at: row.get(3),
        }))
    }

    pub async fn update_of(&self, pipeline: Uuid, update: Uuid) -> Result<Option<PipelineUpdate>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {UPDATE} from pipeline_updates
                     where pipeline_id = $1 and id = $2"
                ),
                &[&pipeline, &update],
            )
            .await?;
        Ok(row.as_ref().map(PipelineUpdate::from))
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

    /// Whether the table's work on the update should go on: its part has not ended, it is not to be
    /// deleted, its pipeline is not paused, and the instance is in the state in which it can be written.
    pub async fn is_wanted(&self, table: Uuid, update: Uuid, instance_state: &str) -> Result<bool> {
        let row = self
            .connection()
            .await?
            .query_opt(
                "select from pipeline_update_tables t
                 join synced_tables s on s.id = t.synced_table_id
                 join pipelines p on p.id = s.pipeline_id
                 join instances i on i.uid = s.instance_uid
                 where t.update_id = $1 and t.synced_table_id = $2 and t.finished_at is null
                   and s.deleted_at is null and p.paused_at is null and i.state = $3",
                &[&update, &table, &instance_state],
            )
            .await?;
        Ok(row.is_some())
    }

    /// The update runs, at least for this table, which is in this state from now on.
    pub async fn begin_update(
        &self,
        table: Uuid,
        update: Uuid,
        state: &str,
        events: &[NewEvent],
    ) -> Result<()> {
        transact!(self, |transaction| {
            lock_pipeline_of(transaction, table).await?;
            transaction
                .execute(
                    "update pipeline_updates set state = 'RUNNING'
                     where id = $1 and finished_at is null",
                    &[&update],
                )
                .await?;
            transaction
                .execute(
                    "update pipeline_update_tables set state = 'RUNNING'
                     where update_id = $1 and synced_table_id = $2 and finished_at is null",
                    &[&update, &table],
                )
                .await?;
            transaction
                .execute(
                    "update synced_tables set state = $2, message = null where id = $1",
                    &[&table, &state],
                )
                .await?;
            events::add(transaction, update, events).await?;
            Ok(())
        })
    }

    /// Ends the table's part in an update, with the version that it made visible.
    pub async fn complete_update(
        &self,
        table: Uuid,
        update: Uuid,
        applied: &AppliedVersion,
        state: &str,
        message: &str,
        events: &[NewEvent],
    ) -> Result<()> {
        transact!(self, |transaction| {
            lock_pipeline_of(transaction, table).await?;
            end_part(transaction, update, table, "COMPLETED").await?;
            record_applied(transaction, table, applied, state, message).await?;
            events::add(transaction, update, events).await?;
            Ok(())
        })
    }

    /// Records the version that an update has made visible; the update goes on.
    pub async fn advance_update(
        &self,
        table: Uuid,
        update: Uuid,
        applied: &AppliedVersion,
        state: &str,
        message: &str,
        events: &[NewEvent],
    ) -> Result<()> {
        transact!(self, |transaction| {
            lock_pipeline_of(transaction, table).await?;
            transaction
                .execute(
                    "update pipeline_update_tables set refreshed_at = now()
                     where update_id = $1 and synced_table_id = $2 and refreshed_at is null",
                    &[&update, &table],
                )
                .await?;
            record_applied(transaction, table, applied, state, message).await?;
            events::add(transaction, update, events).await?;
            Ok(())
        })
    }

    /// Ends the table's part in an update that failed.
    pub async fn fail_update(
        &self,
        table: Uuid,
        update: Uuid,
        state: &str,
        message: &str,
        events: &[NewEvent],
    ) -> Result<()> {
        transact!(self, |transaction| {
            lock_pipeline_of(transaction, table).await?;
            end_part(transaction, update, table, "FAILED").await?;
            transaction
                .execute(
                    "update synced_tables set state = $2, message = $3, attempts = 0 where id = $1",
                    &[&table, &state, &message],
                )
                .await?;
            events::add(transaction, update, events).await?;
            Ok(())
        })
    }

    /// Cancels what has not ended. A table that waited for another try rests as `offline` or `online`
    /// says, by whether it was ever applied.
    pub async fn cancel_updates(&self, pipeline: Uuid, offline: &str, online: &str) -> Result<()> {
        transact!(self, |transaction| {
            lock_pipeline(transaction, pipeline).await?;
            let tables = cancel_all(transaction, pipeline).await?;
            transaction
                .execute(
                    "update synced_tables
                     set state = case when applied_version is null then $2 else $3 end,
                         message = null, attempts = 0, next_attempt = now()
                     where id = any ($1)",
                    &[&tables, &offline, &online],
                )
                .await?;
            Ok(())
        })
    }
}

/// A new table's part: in the update that its continuous pipeline is in, or in one of its own, so that
/// nothing else of the pipeline runs for its sake.
pub(crate) async fn add_part(
    transaction: &Transaction<'_>,
    table: &SyncedTable,
    continuous: bool,
) -> Result<Uuid> {
    let running = transaction
        .query_opt(
            "select id from pipeline_updates where pipeline_id = $1 and finished_at is null
             order by seq limit 1 for no key update",
            &[&table.pipeline_id],
        )
        .await?;
    let update = match running {
        Some(row) if continuous => row.get(0),
        _ => insert(transaction, table.pipeline_id, "USER_ACTION", false).await?,
    };
    transaction
        .execute(
            "insert into pipeline_update_tables (update_id, synced_table_id, full_refresh)
             values ($1, $2, false)",
            &[&update, &table.id],
        )
        .await?;
    Ok(update)
}

/// Cancels the parts of one table, and ends the updates of which nothing is left.
pub(crate) async fn cancel_parts(transaction: &Transaction<'_>, table: Uuid) -> Result<()> {
    let updates = transaction
        .query(
            "select id from pipeline_updates
             where id in (select update_id from pipeline_update_tables
                          where synced_table_id = $1 and finished_at is null)
             order by seq for no key update",
            &[&table],
        )
        .await?;
    for update in updates {
        end_part(transaction, update.get(0), table, "CANCELED").await?;
    }
    Ok(())
}

/// A new update's tables need not wait for what made them wait before. One without tables has ended.
pub(crate) async fn try_at_once(transaction: &Transaction<'_>, update: Uuid) -> Result<()> {
    transaction
        .execute(
            "update synced_tables set attempts = 0, next_attempt = now()
             where id in (select synced_table_id from pipeline_update_tables where update_id = $1)",
            &[&update],
        )
        .await?;
    settle(transaction, update).await
}

pub(crate) async fn insert(
    transaction: &Transaction<'_>,
    pipeline: Uuid,
    cause: &str,
    full_refresh: bool,
) -> Result<Uuid> {
    let id = Uuid::new_v4();
    transaction
        .execute(
            "insert into pipeline_updates (id, pipeline_id, state, cause, full_refresh)
             values ($1, $2, 'QUEUED', $3, $4)",
            &[&id, &pipeline, &cause, &full_refresh],
        )
        .await?;
    Ok(id)
}

async fn end_part(
    transaction: &Transaction<'_>,
    update: Uuid,
    table: Uuid,
    state: &str,
) -> Result<()> {
    transaction
        .execute("select from pipeline_updates where id = $1 for no key update", &[&update])
        .await?;
    transaction
        .execute(
            "update pipeline_update_tables
             set state = $3, finished_at = now(),
                 refreshed_at = case when $3 = 'COMPLETED' then now() else refreshed_at end
             where update_id = $1 and synced_table_id = $2 and finished_at is null",
            &[&update, &table, &state],
        )
        .await?;
    settle(transaction, update).await
}

/// Ends an update of which no part is left to do: failed or cancelled if one of them is.
async fn settle(transaction: &Transaction<'_>, update: Uuid) -> Result<()> {
    transaction
        .execute(
            "update pipeline_updates u
             set finished_at = now(), state = (
                 select case when bool_or(t.state = 'FAILED') then 'FAILED'
                             when bool_or(t.state = 'COMPLETED') then 'COMPLETED'
                             else 'CANCELED' end
                 from pipeline_update_tables t where t.update_id = u.id)
             where u.id = $1 and u.finished_at is null and not exists (
                 select from pipeline_update_tables t
                 where t.update_id = u.id and t.finished_at is null)",
            &[&update],
        )
        .await?;
    Ok(())
}

/// Gives the tables that had a part in what is cancelled.
async fn cancel_all(transaction: &Transaction<'_>, pipeline: Uuid) -> Result<Vec<Uuid>> {
    transaction
        .execute(
            "select from pipeline_updates where pipeline_id = $1 and finished_at is null
             order by seq for no key update",
            &[&pipeline],
        )
        .await?;
    let tables = transaction
        .query(
            "update pipeline_update_tables t set state = 'CANCELED', finished_at = now()
             from pipeline_updates u
             where u.id = t.update_id and u.pipeline_id = $1 and t.finished_at is null
             returning t.synced_table_id",
            &[&pipeline],
        )
        .await?;
    transaction
        .execute(
            "update pipeline_updates set state = 'CANCELED', finished_at = now()
             where pipeline_id = $1 and finished_at is null",
            &[&pipeline],
        )
        .await?;
    Ok(tables.iter().map(|row| row.get(0)).collect())
}

async fn record_applied(
    transaction: &Transaction<'_>,
    table: Uuid,
    applied: &AppliedVersion,
    state: &str,
    message: &str,
) -> Result<()> {
    transaction
        .execute(
            "update synced_tables
             set state = $2, message = $3, applied_version = $4, applied_commit_at = $5,
                 applied_started_at = $6, applied_finished_at = $7, reader_revision = $8, attempts = 0
             where id = $1",
            &[
                &table,
                &state,
                &message,
                &applied.version,
                &applied.committed_at,
                &applied.started_at,
                &applied.finished_at,
                &applied.reader_revision,
            ],
        )
        .await?;
    Ok(())
}
