//! The reconciler of a synced table: runs its pipeline's next update, or ends it.

use std::time::Duration;

use jiff::Timestamp;
use lakeport_api::{InstanceState, SyncedDatabaseTable, SyncedTableState};
use lakeport_catalog::TableName;
use lakeport_store::{AppliedVersion, Instance, PipelineUpdate, SyncedTable};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::backoff;
use crate::instances::wire_name;
use crate::synced_table_wire::state_name;
use crate::{Control, Error, Kind, Result, RunError, RunOutcome, SnapshotRun};

/// How soon a cancelled update is noticed.
const CANCEL_POLL: Duration = Duration::from_secs(1);

/// How a run ended when not well.
enum Failure {
    /// Nobody needs to do anything: it is tried again.
    Later(String),
    /// The update has failed; the next one may succeed.
    Now(String),
    /// The user has stopped the pipeline, or the server is stopping.
    Cancelled,
}

pub(super) async fn reconcile(control: &Control, id: Uuid, cancel: CancellationToken) {
    let table = match control.store.synced_table_by_id(id).await {
        Ok(Some(table)) => table,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(synced_table.id = %id, %error, "reading a synced table failed");
            return;
        }
    };
    if let Err(error) = pass(control, &table, cancel).await {
        tracing::warn!(
            synced_table.name = table.name, error = error.message(),
            source = ?std::error::Error::source(&error), "a pass over a synced table failed"
        );
        let delay = backoff::delay(table.attempts);
        if let Err(error) = control.store.postpone_synced_table(id, error.message(), delay).await {
            tracing::warn!(synced_table.id = %id, %error, "recording a failed pass failed");
        }
    }
}

async fn pass(control: &Control, table: &SyncedTable, cancel: CancellationToken) -> Result<()> {
    let Some(instance) = control.store.instance(table.instance_uid).await? else { return Ok(()) };
    if table.deleted_at.is_some() {
        return end(control, &instance, table).await;
    }
    let Some(update) = control.store.next_update(table.pipeline_id).await? else { return Ok(()) };
    if instance.state != wire_name(InstanceState::Available) {
        return Err(Error::unavailable(format!(
            "waiting for instance \"{}\", which is {}",
            instance.name, instance.state
        )));
    }
    run_update(control, &instance, table, &update, cancel).await
}

/// The last pass: drops the table, or leaves it to its creator.
async fn end(control: &Control, instance: &Instance, table: &SyncedTable) -> Result<()> {
    let available = instance.state == wire_name(InstanceState::Available);
    if !available && (table.applied.is_some() || table.purge_data) {
        return Err(Error::unavailable(format!(
            "waiting for instance \"{}\", which is {}, to end the synced table",
            instance.name, instance.state
        )));
    }
    if available && control.has_database(instance, &table.database_name).await? {
        let writer = control.writer(instance, &table.database_name);
        control
            .runner
            .release(writer, &table.schema_name, &table.table_name, table.purge_data)
            .await
            .map_err(|error| Error::unavailable(error.message))?;
        if !table.purge_data {
            control.hand_over(instance, table).await?;
        }
    }
    control.store.forget_synced_table(table.id).await?;
    Ok(())
}

async fn run_update(
    control: &Control,
    instance: &Instance,
    table: &SyncedTable,
    update: &PipelineUpdate,
    cancel: CancellationToken,
) -> Result<()> {
    let started_at = Timestamp::now();
    begin(control, table, update).await?;
    match run(control, instance, table, update, cancel).await {
        Ok(outcome) => match control.publish_target(instance, table).await.map_err(from_error) {
            Ok(()) => complete(control, table, update, started_at, &outcome).await,
            Err(Failure::Now(message)) => fail(control, table, update, &message).await,
            Err(Failure::Later(message)) => Err(Error::unavailable(message)),
            Err(Failure::Cancelled) => Ok(()),
        },
        Err(Failure::Later(message)) => Err(Error::unavailable(message)),
        Err(Failure::Now(message)) => fail(control, table, update, &message).await,
        Err(Failure::Cancelled) => {
            let (state, _) = resting_states(table);
            control.store.set_synced_table_state(table.id, &state_name(state), None).await?;
            Ok(())
        }
    }
}

async fn begin(control: &Control, table: &SyncedTable, update: &PipelineUpdate) -> Result<()> {
    let state = match table.applied {
        None => SyncedTableState::ProvisioningInitialSnapshot,
        Some(_) => SyncedTableState::OnlineTriggeredUpdate,
    };
    control.store.set_synced_table_state(table.id, &state_name(state), None).await?;
    if update.state != "RUNNING" {
        let message = format!("Update {} of {} is RUNNING.", short(update.id), table.name);
        event(control, table, update, "INFO", "update_progress", &message).await?;
    }
    control.store.set_update_state(update.id, "RUNNING").await?;
    Ok(())
}

async fn run(
    control: &Control,
    instance: &Instance,
    table: &SyncedTable,
    update: &PipelineUpdate,
    shutdown: CancellationToken,
) -> std::result::Result<RunOutcome, Failure> {
    let request: SyncedDatabaseTable = serde_json::from_value(table.request.clone())
        .map_err(|error| Failure::Now(format!("the stored request is not readable: {error}")))?;
    let spec = request.spec.unwrap_or_default();
    let source_name = spec.source_table_full_name.unwrap_or_default();
    let name: TableName = source_name.parse().map_err(|error| Failure::Now(format!("{error}")))?;
    let source = control.catalog.resolve(&name).await.map_err(|error| from_error(error.into()))?;
    let create = spec.create_database_objects_if_missing.unwrap_or_default();
    control.prepare_target(instance, table, create).await.map_err(from_error)?;

    let progress = control.progress.begin(table.id);
    let (cancel, watching) = (shutdown.child_token(), CancellationToken::new());
    let run = SnapshotRun {
        source,
        source_name: source_name.clone(),
        target: control.writer(instance, &table.database_name),
        schema: table.schema_name.clone(),
        table: table.table_name.clone(),
        primary_key: spec.primary_key_columns.unwrap_or_default(),
        full_refresh: update.full_refresh,
    };
    let work = control.runner.snapshot(run, progress, cancel.clone());
    let (result, ()) = tokio::join!(
        async {
            let result = work.await;
            watching.cancel();
            result
        },
        watch_for_cancel(control, table, update, &cancel, &watching),
    );
    control.progress.end(table.id);
    result.map_err(|error| from_run_error(error, &source_name, &cancel))
}

/// Cancels the run when its update was cancelled, for as long as there is a run to watch.
async fn watch_for_cancel(
    control: &Control,
    table: &SyncedTable,
    update: &PipelineUpdate,
    cancel: &CancellationToken,
    watching: &CancellationToken,
) {
    while watching.run_until_cancelled(tokio::time::sleep(CANCEL_POLL)).await.is_some() {
        let now = control.store.update_of(table.pipeline_id, update.id).await;
        let gone = matches!(now, Ok(None));
        let ended = matches!(&now, Ok(Some(update)) if update.finished_at.is_some());
        if gone || ended {
            cancel.cancel();
            return;
        }
    }
}

fn from_error(error: Error) -> Failure {
    match error.kind() {
        Kind::Unavailable => Failure::Later(error.message().to_owned()),
        _ => Failure::Now(error.message().to_owned()),
    }
}

fn from_run_error(error: RunError, source: &str, cancel: &CancellationToken) -> Failure {
    if cancel.is_cancelled() {
        return Failure::Cancelled;
    }
    let message = format!("{source}: {}", error.message);
    if error.retryable { Failure::Later(message) } else { Failure::Now(message) }
}

async fn complete(
    control: &Control,
    table: &SyncedTable,
    update: &PipelineUpdate,
    started_at: Timestamp,
    outcome: &RunOutcome,
) -> Result<()> {
    let applied = AppliedVersion {
        version: outcome.version,
        committed_at: outcome.committed_at,
        started_at,
        finished_at: Timestamp::now(),
    };
    if let Some(warning) = &outcome.warning {
        event(control, table, update, "WARN", "flow_progress", warning).await?;
    }
    event(control, table, update, "INFO", "flow_progress", &outcome.summary).await?;
    let message = match &outcome.warning {
        Some(warning) => format!("{} {warning}", outcome.summary),
        None => outcome.summary.clone(),
    };
    let state = state_name(SyncedTableState::OnlineNoPendingUpdate);
    control.store.complete_update(table.id, update.id, &applied, &state, &message).await?;
    let message = format!("Update {} of {} is COMPLETED.", short(update.id), table.name);
    event(control, table, update, "INFO", "update_progress", &message).await
}

async fn fail(
    control: &Control,
    table: &SyncedTable,
    update: &PipelineUpdate,
    message: &str,
) -> Result<()> {
    let (_, failed) = resting_states(table);
    tracing::warn!(synced_table.name = table.name, error = message, "an update failed");
    control.store.fail_update(table.id, update.id, &state_name(failed), message).await?;
    event(control, table, update, "ERROR", "update_progress", message).await
}

/// Where a table rests after a run that changed nothing: undisturbed, and failed.
fn resting_states(table: &SyncedTable) -> (SyncedTableState, SyncedTableState) {
    match table.applied {
        Some(_) => {
            (SyncedTableState::OnlineNoPendingUpdate, SyncedTableState::OnlinePipelineFailed)
        }
        None => (SyncedTableState::Provisioning, SyncedTableState::OfflineFailed),
    }
}

async fn event(
    control: &Control,
    table: &SyncedTable,
    update: &PipelineUpdate,
    level: &str,
    event_type: &str,
    message: &str,
) -> Result<()> {
    control.store.add_event(table.pipeline_id, Some(update.id), level, event_type, message).await?;
    Ok(())
}

fn short(id: Uuid) -> String {
    id.to_string().chars().take(6).collect()
}
