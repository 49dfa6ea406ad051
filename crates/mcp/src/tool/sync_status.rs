//! `lakebase_sync_status`, `lakebase_sync_list`, `lakebase_sync_trigger`: what synced tables do, and making
//! one catch up.

use lakeport_api::pipeline::StartUpdateRequest;
use lakeport_api::{SyncedDatabaseTable, SyncedTableState};
use lakeport_client::{Client, Paging};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::synced_table::{SyncedTable, describe, find, is_busy, state_name, three_parts};
use super::{Hints, Poll, Tool, WaitSeconds, find_instance};
use crate::Access;
use crate::call::{Call, Result};
use crate::failure::{Failure, code};

pub(super) struct Status;
pub(super) struct List;
pub(super) struct Trigger;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusArguments {
    /// Synced table, as catalog.schema.table
    table_name: String,
    /// For how long to wait until nothing runs; without it the call returns at once
    wait_seconds: Option<WaitSeconds>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct StatusOutput {
    synced_table: SyncedTable,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress>,
    /// Newest first
    #[serde(skip_serializing_if = "Vec::is_empty")]
    latest_updates: Vec<Update>,
    /// What can be done about a failure
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll: Option<Poll>,
}

#[derive(Serialize, JsonSchema)]
struct Progress {
    #[serde(skip_serializing_if = "Option::is_none")]
    synced_row_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_row_count: Option<i64>,
    /// 0 to 1
    #[serde(skip_serializing_if = "Option::is_none")]
    completion: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
struct Update {
    update_id: String,
    /// Such as RUNNING, COMPLETED or FAILED
    state: String,
    creation_time: String,
}

impl Tool for Status {
    const NAME: &str = "lakebase_sync_status";
    const TITLE: &str = "Look at a synced table";
    const DESCRIPTION: &str = "State of a synced table: what it reads, which Delta version PostgreSQL shows, \
        when it last synced, how far a running update is, and why it failed.";
    const NEEDS: Access = Access::Observe;
    const HINTS: Hints = Hints::READS;
    type Arguments = StatusArguments;
    type Output = StatusOutput;

    async fn run(call: &Call, arguments: StatusArguments) -> Result<StatusOutput> {
        let name = arguments.table_name;
        three_parts("table_name", &name)?;
        let patience = arguments.wait_seconds.unwrap_or_default().duration();
        let table = call
            .watch(patience, || find(call.client(), &name), |seen| !is_busy(seen), told)
            .await?;
        let latest_updates = updates(call.client(), &table).await;
        let poll =
            is_busy(&table).then(|| Poll::new(Self::NAME, &[("table_name", name.as_str())], 5));
        Ok(StatusOutput {
            progress: progress(&table),
            advice: advice(&table),
            synced_table: describe(&table),
            latest_updates,
            poll,
        })
    }
}

fn told(table: &SyncedDatabaseTable) -> String {
    let state = state_name(table).unwrap_or_default();
    match progress(table).and_then(|progress| progress.synced_row_count) {
        Some(rows) => format!("{}: {state}, {rows} rows", table.name),
        None => format!("{}: {state}", table.name),
    }
}

fn progress(table: &SyncedDatabaseTable) -> Option<Progress> {
    let status = table.data_synchronization_status.as_ref()?;
    let initial = status.provisioning_status.as_ref();
    let triggered = status.triggered_update_status.as_ref();
    let running = triggered
        .and_then(|status| status.triggered_update_progress.as_ref())
        .or(initial.and_then(|status| status.initial_pipeline_sync_progress.as_ref()))?;
    Some(Progress {
        synced_row_count: running.synced_row_count,
        total_row_count: running.total_row_count,
        completion: running.sync_progress_completion,
    })
}

/// Pipelines may be closed to who may see the table; then there is less to tell.
async fn updates(client: &Client, table: &SyncedDatabaseTable) -> Vec<Update> {
    let Ok(id) = pipeline(table) else { return Vec::new() };
    let Ok(pipeline) = client.get_pipeline(&id).await else { return Vec::new() };
    let updates = pipeline.into_inner().latest_updates.into_iter();
    let update = |update: lakeport_api::pipeline::UpdateStateInfo| Update {
        update_id: update.update_id,
        state: update.state,
        creation_time: update.creation_time,
    };
    updates.take(5).map(update).collect()
}

fn advice(table: &SyncedDatabaseTable) -> Option<&'static str> {
    match table.data_synchronization_status.as_ref()?.detailed_state? {
        SyncedTableState::OnlinePipelineFailed => Some(
            "PostgreSQL still shows the last good version. Mend what `message` names, then call \
             lakebase_sync_trigger; if the source's schema changed, pass full_refresh.",
        ),
        SyncedTableState::OfflineFailed => Some(
            "No version was ever applied. Mend what `message` names, then call lakebase_sync_trigger.",
        ),
        _ => None,
    }
}

fn pipeline(table: &SyncedDatabaseTable) -> Result<String, Failure> {
    let status = table.data_synchronization_status.as_ref();
    let id = status.and_then(|status| status.pipeline_id.clone()).filter(|id| !id.is_empty());
    id.ok_or_else(|| {
        Failure::new(code::STATE, format!("synced table `{}` has no pipeline yet", table.name))
            .hint("ask for its status again in a few seconds")
    })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListArguments {
    /// Instance whose synced tables are listed
    instance_name: String,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct ListOutput {
    synced_tables: Vec<SyncedTable>,
}

impl Tool for List {
    const NAME: &str = "lakebase_sync_list";
    const TITLE: &str = "List synced tables";
    const DESCRIPTION: &str =
        "The synced tables of an instance, each with its state and last sync.";
    const NEEDS: Access = Access::Observe;
    const HINTS: Hints = Hints::READS;
    type Arguments = ListArguments;
    type Output = ListOutput;

    async fn run(call: &Call, arguments: ListArguments) -> Result<ListOutput> {
        let client = call.client();
        find_instance(client, &arguments.instance_name).await?;
        let paging = Paging::default();
        let tables = client.list_synced_database_tables(&arguments.instance_name, &paging).await?;
        Ok(ListOutput { synced_tables: tables.iter().map(|table| describe(table)).collect() })
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TriggerArguments {
    /// Synced table, as catalog.schema.table
    table_name: String,
    /// Read all rows again instead of the changes; for after a change of the source's schema
    full_refresh: Option<bool>,
    /// For how long to wait until the update ends; without it the call returns at once
    wait_seconds: Option<WaitSeconds>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct TriggerOutput {
    table_name: String,
    pipeline_id: String,
    update_id: String,
    /// Such as QUEUED, RUNNING or COMPLETED
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll: Option<Poll>,
}

impl Tool for Trigger {
    const NAME: &str = "lakebase_sync_trigger";
    const TITLE: &str = "Update a synced table";
    const DESCRIPTION: &str = "Starts an update of a synced table now. Readers see the old rows until all new \
        ones are there.";
    const NEEDS: Access = Access::Manage;
    const HINTS: Hints = Hints { read_only: false, destructive: false, idempotent: true };
    type Arguments = TriggerArguments;
    type Output = TriggerOutput;

    async fn run(call: &Call, arguments: TriggerArguments) -> Result<TriggerOutput> {
        let client = call.client();
        let name = arguments.table_name;
        three_parts("table_name", &name)?;
        let id = pipeline(&find(client, &name).await?)?;
        let request = StartUpdateRequest {
            full_refresh: arguments.full_refresh,
            ..StartUpdateRequest::default()
        };
        let update = client.start_pipeline_update(&id, &request).await?.into_inner().update_id;
        let look = || async {
            Ok(client.get_pipeline_update(&id, &update).await?.into_inner().update.state)
        };
        let patience = arguments.wait_seconds.unwrap_or_default().duration();
        let told = |state: &String| format!("the update of {name} is {state}");
        let state = call.watch(patience, look, |state| has_ended(state), told).await?;
        if state == "FAILED" {
            return Err(failed(client, &name, &update).await?.into());
        }
        let poll = (!has_ended(&state))
            .then(|| Poll::new(Status::NAME, &[("table_name", name.as_str())], 2));
        Ok(TriggerOutput { table_name: name, pipeline_id: id, update_id: update, state, poll })
    }
}

fn has_ended(state: &str) -> bool {
    matches!(state, "COMPLETED" | "FAILED" | "CANCELED")
}

async fn failed(client: &Client, name: &str, update: &str) -> Result<Failure> {
    let table = find(client, name).await?;
    let described = describe(&table);
    let why = described.message.unwrap_or_else(|| String::from("no reason was given"));
    let failure = Failure::new(code::STATE, format!("the update of `{name}` failed: {why}"))
        .field("update_id", update)
        .field("detailed_state", described.detailed_state);
    Ok(match advice(&table) {
        Some(advice) => failure.hint(advice),
        None => failure,
    })
}
