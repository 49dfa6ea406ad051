//! Synced tables.

use lakeport_api::SyncedDatabaseTable;
use lakeport_client::Document;
use serde_json::json;

use super::{instance_of, paging, wire_text};
use crate::args::{
    CreateSyncedTableArgs, DeleteSyncedTableArgs, ListOfInstanceArgs, SyncedTableCommand,
    UpdateSyncedTableArgs,
};
use crate::body;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(context: &Context, command: SyncedTableCommand) -> Result<(), Failure> {
    match command {
        SyncedTableCommand::CreateSyncedDatabaseTable(args) => create(context, args).await,
        SyncedTableCommand::GetSyncedDatabaseTable(name) => {
            show(context, &context.client()?.get_synced_database_table(name.get()).await?)
        }
        SyncedTableCommand::UpdateSyncedDatabaseTable(args) => update(context, args).await,
        SyncedTableCommand::DeleteSyncedDatabaseTable(args) => delete(context, &args).await,
        SyncedTableCommand::ListSyncedDatabaseTables(args) => list(context, &args).await,
    }
}

async fn create(context: &Context, args: CreateSyncedTableArgs) -> Result<(), Failure> {
    let flags = json!({
        "name": args.positional.or(args.name),
        "database_instance_name": args.database_instance_name,
        "logical_database_name": args.logical_database_name,
    });
    let body = body::merge(&flags, args.json.as_deref())?;
    body::required(&body, "name")?;
    show(context, &context.client()?.create_synced_database_table(&body).await?)
}

/// The server decides what becomes of it: the service that clients know has no such call yet.
async fn update(context: &Context, args: UpdateSyncedTableArgs) -> Result<(), Failure> {
    let UpdateSyncedTableArgs { name, update_mask, json } = args;
    let body = body::merge(&json!({ "name": name }), json.as_deref())?;
    let client = context.client()?;
    show(context, &client.update_synced_database_table(&name, &body, &update_mask).await?)
}

async fn delete(context: &Context, args: &DeleteSyncedTableArgs) -> Result<(), Failure> {
    let name = args.name.get();
    context.client()?.delete_synced_database_table(name, args.purge_data).await?;
    context.output.note(&format!("synced table `{name}` is deleted"));
    Ok(())
}

pub(crate) async fn list(context: &Context, args: &ListOfInstanceArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let instance = instance_of(args);
    let tables = client.list_synced_database_tables(instance, &paging(&args.page)).await?;
    context.output.show(&tables, |tables| {
        output::columns(
            ["NAME", "STATE", "DATABASE", "SOURCE"],
            tables.iter().map(|table| row(table)),
        )
    })
}

fn show(context: &Context, table: &Document<SyncedDatabaseTable>) -> Result<(), Failure> {
    context.output.show(table, |table| view(table))
}

pub(crate) fn view(table: &SyncedDatabaseTable) -> String {
    let [name, state, database, source] = row(table);
    let status = table.data_synchronization_status.as_ref();
    let last_sync = status.and_then(|status| status.last_sync.as_ref());
    let version = last_sync
        .and_then(|sync| sync.delta_table_sync_info.as_ref())
        .and_then(|info| info.delta_commit_version);
    output::fields([
        ("name", Some(name)),
        ("state", Some(state)),
        ("message", status.and_then(|status| status.message.clone())),
        ("instance", table.effective_database_instance_name.clone()),
        ("database", Some(database)),
        ("source", Some(source)),
        ("policy", table.spec.as_ref().and_then(|spec| spec.scheduling_policy.clone())),
        ("last sync", last_sync.and_then(|sync| sync.sync_end_timestamp.clone())),
        ("version", version.map(|version| version.to_string())),
        ("pipeline", status.and_then(|status| status.pipeline_id.clone())),
    ])
}

fn row(table: &SyncedDatabaseTable) -> [String; 4] {
    let status = table.data_synchronization_status.as_ref();
    let database = table.effective_logical_database_name.clone();
    [
        table.name.clone(),
        wire_text(status.and_then(|status| status.detailed_state)).unwrap_or_default(),
        database.or(table.logical_database_name.clone()).unwrap_or_default(),
        table
            .spec
            .as_ref()
            .and_then(|spec| spec.source_table_full_name.clone())
            .unwrap_or_default(),
    ]
}
