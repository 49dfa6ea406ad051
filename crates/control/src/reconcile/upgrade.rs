//! After an upgrade of the reader: finding the synced tables that an older one may have loaded wrongly.
//!
//! Owns: asking each source once, and starting an update of the tables that are to be loaded again. That update finds
//! out for itself what to do, by what is written beside the rows; a crash in between only asks again. What is
//! continuous asks by itself when it starts to follow.

use std::sync::Arc;
use std::time::Duration;

use lakeport_catalog::TableName;
use lakeport_store::SyncedTable;
use tokio_util::sync::CancellationToken;

use super::synced_table::{FLOW, event};
use crate::synced_table_spec::stored_spec;
use crate::synced_table_wire::{Policy, policy_of};
use crate::{Control, Error, Result};

/// How soon a source that could not be read is asked again.
const PAUSE: Duration = Duration::from_secs(60);

/// Ends when every table was looked at.
pub async fn reload_misread(control: Arc<Control>, cancel: CancellationToken) -> Result<()> {
    let revision = control.runner.reader_revision();
    loop {
        let found = control.store.synced_tables_read_before(control.node, revision).await;
        let tables = match found {
            Ok(tables) if tables.is_empty() => return Ok(()),
            Ok(tables) => tables,
            Err(error) => {
                tracing::warn!(%error, "looking for tables of an older reader failed");
                Vec::new()
            }
        };
        for table in &tables {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                looked = look_at(&control, table, revision) => if let Err(error) = looked {
                    tracing::info!(
                        synced_table.name = table.name, error = error.message(),
                        "the source cannot be looked at; it is asked again"
                    );
                },
            }
        }
        tokio::select! {
            () = cancel.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

async fn look_at(control: &Control, table: &SyncedTable, revision: i32) -> Result<()> {
    let source = stored_spec(&table.request)?.source_table_full_name.unwrap_or_default();
    let name: TableName =
        source.parse().map_err(|error| Error::invalid("source_table_full_name", error))?;
    let location = control.catalog.resolve(&name).await?;
    let misread = control.runner.misread(&location).await;
    let misread = misread.map_err(|error| Error::unavailable(error.message))?;
    let Some(what) = misread.filter(|_| policy_of(table) != Policy::Continuous) else {
        control.store.confirm_reader(table.id, revision).await?;
        return Ok(());
    };
    let told = format!(
        "An older version of Lakeport may have loaded {} wrongly, so it is loaded again once: {what}.",
        table.name
    );
    tracing::warn!(synced_table.name = table.name, "{told}");
    control.store.add_reload(table.id, revision, &[event("WARN", FLOW, told)]).await?;
    control.wake.notify_one();
    Ok(())
}
