//! `lakeport sync …`: synced tables by their three-part names.
//!
//! Owns: which command is which. A synced table's pipeline is found by its status, so that the commands
//! that need nothing of Lakeport's serve a Databricks workspace too.

mod pipeline;
#[cfg(feature = "server")]
mod run;
mod status;
mod trigger;

use lakeport_api::SyncedDatabaseTable;
use lakeport_client::Client;

use super::database;
use crate::args::SyncCommand;
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, command: SyncCommand) -> Result<(), Failure> {
    match command {
        #[cfg(feature = "server")]
        SyncCommand::Run(args) => run::run(context, *args).await,
        SyncCommand::List(args) => database::synced_table::list(context, &args).await,
        SyncCommand::Status(name) => status::status(context, name.get()).await,
        SyncCommand::Watch(args) => status::watch(context, &args).await,
        SyncCommand::Trigger(args) => trigger::run(context, &args).await,
        SyncCommand::Pause(name) => pipeline::pause(context, name.get()).await,
        SyncCommand::Resume(name) => pipeline::resume(context, name.get()).await,
        SyncCommand::History(args) => status::history(context, &args).await,
        SyncCommand::Schedule(args) => pipeline::schedule(context, &args).await,
        SyncCommand::Settings(args) => pipeline::settings(context, &args).await,
    }
}

/// The pipeline of a synced table.
async fn pipeline_of(client: &Client, name: &str) -> Result<String, Failure> {
    let table = client.get_synced_database_table(name).await?;
    pipeline_id(&table)
}

fn pipeline_id(table: &SyncedDatabaseTable) -> Result<String, Failure> {
    let status = table.data_synchronization_status.as_ref();
    let pipeline = status.and_then(|status| status.pipeline_id.clone());
    pipeline.ok_or_else(|| Failure::new(format!("synced table `{}` has no pipeline", table.name)))
}
