//! How far a synced table is: now, as it goes on, and what has been.

use std::time::Duration;

use lakeport_api::SyncedDatabaseTable;
use lakeport_api::SyncedTableState as State;
use lakeport_api::pipeline::PipelineEvent;
use lakeport_api::synced_table::PipelineProgress;
use lakeport_client::Document;
use tokio::time::sleep;

use super::{pipeline_id, pipeline_of};
use crate::args::{HistoryArgs, WatchArgs};
use crate::command::database::{paging, synced_table};
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn status(context: &Context, name: &str) -> Result<(), Failure> {
    let table = context.client()?.get_synced_database_table(name).await?;
    context.output.show(&table, |table| {
        let progress = progress(table).map(|progress| format!("\n{}", progress_text(progress)));
        format!("{}{}", synced_table::view(table), progress.unwrap_or_default())
    })
}

/// A line for each state, message and version, as they come.
pub(super) async fn watch(context: &Context, args: &WatchArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let line = context.output.status_line();
    let mut seen = String::new();
    loop {
        let table = client.get_synced_database_table(args.name.get()).await?;
        let now = summary(&table);
        if now != seen {
            line.update("");
            output::print(&now)?;
            seen = now;
        }
        if args.until_online
            && let Some(end) = ended(&table)
        {
            return end;
        }
        if let Some(progress) = progress(&table) {
            line.update(&progress_text(progress));
        }
        sleep(LOOK).await;
    }
}

pub(super) async fn history(context: &Context, args: &HistoryArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let pipeline = pipeline_of(&client, args.name.get()).await?;
    let events = client.list_pipeline_events(&pipeline, &paging(&args.page)).await?;
    context.output.show(&events, |events| {
        let row = |event: &Document<PipelineEvent>| {
            [event.timestamp.clone(), event.level.clone(), event.message.clone()]
        };
        output::columns(["TIME", "LEVEL", "MESSAGE"], events.iter().map(row))
    })
}

/// Whether the table has come to rest: well, or not.
pub(super) fn ended(table: &SyncedDatabaseTable) -> Option<Result<(), Failure>> {
    let status = table.data_synchronization_status.as_ref()?;
    match status.detailed_state? {
        State::OnlineNoPendingUpdate | State::OnlineContinuousUpdate | State::Online => {
            Some(Ok(()))
        }
        State::OfflineFailed | State::OnlinePipelineFailed | State::Offline => {
            let message = status.message.clone().unwrap_or_default();
            let hint = match pipeline_id(table) {
                Ok(_) => format!("lakeport sync history {} tells what came before", table.name),
                Err(_) => String::from("it has no pipeline any more"),
            };
            Some(Err(Failure::new(format!("`{}` has failed: {message}", table.name)).hint(hint)))
        }
        _ => None,
    }
}

fn summary(table: &SyncedDatabaseTable) -> String {
    let status = table.data_synchronization_status.clone().unwrap_or_default();
    let last = status.last_sync.unwrap_or_default();
    let version = last.delta_table_sync_info.and_then(|info| info.delta_commit_version);
    let parts = [
        last.sync_end_timestamp,
        crate::command::database::wire_text(status.detailed_state),
        version.map(|version| format!("version {version}")),
        status.message,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

fn progress(table: &SyncedDatabaseTable) -> Option<&PipelineProgress> {
    let status = table.data_synchronization_status.as_ref()?;
    let first = status.provisioning_status.as_ref();
    let first = first.and_then(|status| status.initial_pipeline_sync_progress.as_ref());
    let triggered = status.triggered_update_status.as_ref();
    let triggered = triggered.and_then(|status| status.triggered_update_progress.as_ref());
    first.or(triggered)
}

fn progress_text(progress: &PipelineProgress) -> String {
    let rows = progress.synced_row_count.unwrap_or_default();
    let mut text = format!("{rows} rows");
    if let Some(total) = progress.total_row_count {
        text.push_str(&format!(" of {total}"));
    }
    if let Some(done) = progress.sync_progress_completion {
        text.push_str(&format!(", {:.0} %", done * 100.0));
    }
    if let Some(left) = progress.estimated_completion_time_seconds {
        text.push_str(&format!(", {left:.0} s left"));
    }
    text
}
