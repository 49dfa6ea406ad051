//! Which revision of the reader has loaded each synced table.
//!
//! Owns: finding tables that an older one has loaded, and that each is loaded again at most once for that.

use uuid::Uuid;

use crate::connection::Transaction;
use crate::events::{self, NewEvent};
use crate::pipelines::lock_pipeline_of;
use crate::retry::transact;
use crate::synced_tables::{SyncedTable, TABLE};
use crate::updates::{insert, try_at_once};
use crate::{Result, Store};

impl Store {
    /// Synced tables of the node that readers before this revision have loaded.
    pub async fn synced_tables_read_before(
        &self,
        node: Uuid,
        revision: i32,
    ) -> Result<Vec<SyncedTable>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {TABLE} from synced_tables
                     where applied_version is not null and reader_revision < $2
                       and deleted_at is null
                       and instance_uid in (select uid from instances where node_id = $1)
                     order by created_at"
                ),
                &[&node, &revision],
            )
            .await?;
        Ok(rows.iter().map(SyncedTable::from).collect())
    }

    /// Adds an update of one synced table that an older reader may have loaded wrongly, which tells why; and not a
    /// second time.
    pub async fn add_reload(&self, table: Uuid, revision: i32, events: &[NewEvent]) -> Result<()> {
        transact!(self, |transaction| {
            let Some(pipeline) = lock_pipeline_of(transaction, table).await? else {
                return Ok(());
            };
            if !set_reader_revision(transaction, table, revision).await? {
                return Ok(());
            }
            let id = insert(transaction, pipeline, "SERVICE_UPGRADE", false).await?;
            transaction
                .execute(
                    "insert into pipeline_update_tables (update_id, synced_table_id, full_refresh)
                     values ($1, $2, false)",
                    &[&id, &table],
                )
                .await?;
            events::add(transaction, id, events).await?;
            try_at_once(transaction, id).await
        })
    }

    /// What is loaded is as the reader of this revision would have loaded it.
    pub async fn confirm_reader(&self, table: Uuid, revision: i32) -> Result<()> {
        transact!(self, |transaction| {
            set_reader_revision(transaction, table, revision).await.map(|_| ())
        })
    }
}

/// False if it has the revision already, or is to be deleted.
async fn set_reader_revision(
    transaction: &Transaction<'_>,
    table: Uuid,
    revision: i32,
) -> Result<bool> {
    let changed = transaction
        .execute(
            "update synced_tables set reader_revision = $2
             where id = $1 and reader_revision < $2 and deleted_at is null",
            &[&table, &revision],
        )
        .await?;
    Ok(changed > 0)
}
