//! The reconciler of a synced table: runs its pipeline's next update, or ends it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lakeport_api::{InstanceState, SyncedTableState};
use lakeport_catalog::TableName;
use lakeport_store::{AppliedVersion, Instance, NewEvent, SyncedTable, TableUpdate};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::backoff;
use super::follow;
use crate::instances::wire_name;
use crate::sync_counts::Ended;
use crate::synced_table_spec::{shape_of, stored_spec};
use crate::synced_table_wire::{Policy, policy_of, state_name};
use crate::{
    Control, Error, Kind, Result, RunError, RunKind, RunMode, RunOutcome, RunProgress, SyncRun,
    sync_settings,
};

/// How soon a cancelled update is noticed.
const CANCEL_POLL: Duration = Duration::from_secs(1);
/// How soon it is noticed that an instance has come up.
const INSTANCE_POLL: Duration = Duration::from_secs(1);

/// Kinds of events.
const UPDATE: &str = "update_progress";
pub(super) const FLOW: &str = "flow_progress";

/// How a run ended when not well.
pub(super) enum Failure {
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
    let Some(update) = control.store.next_update(table.id).await? else { return Ok(()) };
    if instance.state != wire_name(InstanceState::Available) {
        let message =
            format!("waiting for instance \"{}\", which is {}", instance.name, instance.state);
        control.store.hold_synced_table(table.id, &message, INSTANCE_POLL).await?;
        return Ok(());
    }
    let work = Work { control, instance: &instance, table, update: &update };
    let loads = table.applied.is_none() || work.refreshes();
    if policy_of(table) == Policy::Continuous && !loads {
        return follow::follow(&work, cancel).await;
    }
    run_update(&work, cancel).await
}

/// What a pass works on.
pub(super) struct Work<'a> {
    pub(super) control: &'a Control,
    pub(super) instance: &'a Instance,
    pub(super) table: &'a SyncedTable,
    pub(super) update: &'a TableUpdate,
}

impl Work<'_> {
    /// Whether the update has a full refresh still to make.
    fn refreshes(&self) -> bool {
        self.update.full_refresh && self.update.refreshed_at.is_none()
    }
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
    control.sync_counts.forget(table.id);
    Ok(())
}

async fn run_update(work: &Work<'_>, cancel: CancellationToken) -> Result<()> {
    let started_at = Timestamp::now();
    // The run does not wait until it is known that it has begun.
    let doing = while_wanted(work, &cancel, |stop| run_once(work, stop));
    let (begun, done) = tokio::join!(begin(work), doing);
    begun?;
    match done {
        Ok(outcome) => {
            complete(work, started_at, &outcome).await?;
            gather_statistics(work, &outcome).await;
            Ok(())
        }
        Err(failure) => conclude(work, failure).await,
    }
}

/// Of a table that is new: later, autovacuum keeps up. Its rows are announced, so that nothing fails.
async fn gather_statistics(work: &Work<'_>, outcome: &RunOutcome) {
    let Work { control, instance, table, .. } = *work;
    if table.applied.is_some() || outcome.kind != RunKind::Loaded {
        return;
    }
    let writer = control.writer(instance, &table.database_name);
    let gathered = control.runner.analyze(writer, &table.schema_name, &table.table_name).await;
    if let Err(error) = gathered {
        tracing::warn!(synced_table.name = table.name, error = error.message, "ANALYZE failed");
    }
}

/// What becomes of an update that did not end well.
pub(super) async fn conclude(work: &Work<'_>, failure: Failure) -> Result<()> {
    match failure {
        Failure::Later(message) => Err(Error::unavailable(message)),
        Failure::Now(message) => fail(work, &message).await,
        Failure::Cancelled => {
            let (state, _) = resting_states(work.table);
            let store = &work.control.store;
            store.set_synced_table_state(work.table.id, &state_name(state), None).await?;
            Ok(())
        }
    }
}

pub(super) async fn begin(work: &Work<'_>) -> Result<()> {
    let Work { control, table, update, .. } = *work;
    let state = match (&table.applied, policy_of(table)) {
        (None, _) => SyncedTableState::ProvisioningInitialSnapshot,
        (Some(_), Policy::Continuous) => SyncedTableState::OnlineContinuousUpdate,
        (Some(_), _) => SyncedTableState::OnlineTriggeredUpdate,
    };
    let news = match update.state.as_str() {
        "RUNNING" => Vec::new(),
        _ => vec![event("INFO", UPDATE, told(work, "RUNNING"))],
    };
    control.store.begin_update(table.id, update.id, &state_name(state), &news).await?;
    Ok(())
}

async fn run_once(
    work: &Work<'_>,
    cancel: CancellationToken,
) -> std::result::Result<RunOutcome, Failure> {
    let job = prepare(work).await?;
    let progress = work.control.progress.begin(work.table.id);
    let outcome = run(work, job, progress, work.refreshes(), &cancel).await;
    work.control.progress.end(work.table.id);
    let outcome = outcome?;
    publish(work, &outcome).await?;
    Ok(outcome)
}

/// Gives the table to its readers, unless a run before has.
pub(super) async fn publish(
    work: &Work<'_>,
    outcome: &RunOutcome,
) -> std::result::Result<(), Failure> {
    if outcome.is_published {
        return Ok(());
    }
    work.control.publish_target(work.instance, work.table).await.map_err(from_error)
}

/// A run as the table's spec describes it, with a target that is ready to be written or once was.
pub(super) async fn prepare(work: &Work<'_>) -> std::result::Result<SyncRun, Failure> {
    let Work { control, instance, table, .. } = *work;
    let spec = stored_spec(&table.request).map_err(from_error)?;
    let shape = shape_of(&spec).map_err(from_error)?;
    let settings = sync_settings::of(table).map_err(from_error)?;
    let source_name = spec.source_table_full_name.unwrap_or_default();
    let name: TableName = source_name.parse().map_err(|error| Failure::Now(format!("{error}")))?;
    control.require_select_of(&table.creator, &name).await.map_err(from_error)?;
    let source = control.catalog.resolve(&name).await.map_err(|error| from_error(error.into()))?;
    if table.applied.is_none() {
        control.prepare_target(instance, table).await.map_err(from_error)?;
    }
    Ok(SyncRun {
        mode: match policy_of(table) {
            Policy::Snapshot => RunMode::Snapshot,
            Policy::Triggered | Policy::Continuous => RunMode::Changes,
        },
        full_refresh: false,
        source,
        source_name,
        target: control.writer(instance, &table.database_name),
        schema: table.schema_name.clone(),
        table: table.table_name.clone(),
        shape,
        settings,
    })
}

pub(super) async fn run(
    work: &Work<'_>,
    job: SyncRun,
    progress: Arc<RunProgress>,
    full_refresh: bool,
    cancel: &CancellationToken,
) -> std::result::Result<RunOutcome, Failure> {
    let job = SyncRun { full_refresh, ..job };
    let done = attempt(work, job.clone(), &progress, cancel).await;
    // To look each time whether the target is ready would take longer than a small run.
    let may_mend = work.table.applied.is_some() && !cancel.is_cancelled();
    if matches!(done, Err(Failure::Now(_)))
        && may_mend
        && work.control.prepare_target(work.instance, work.table).await.map_err(from_error)?
    {
        return attempt(work, job, &progress, cancel).await;
    }
    done
}

async fn attempt(
    work: &Work<'_>,
    job: SyncRun,
    progress: &Arc<RunProgress>,
    cancel: &CancellationToken,
) -> std::result::Result<RunOutcome, Failure> {
    let _slot = tokio::select! {
        slot = work.control.sync_slots.take(work.instance.uid) => slot,
        () = cancel.cancelled() => return Err(Failure::Cancelled),
    };
    let source = job.source_name.clone();
    let outcome = work.control.runner.run(job, Arc::clone(progress), cancel.clone()).await;
    let ended = match &outcome {
        Ok(outcome) => Ended::Well(outcome),
        Err(_) if cancel.is_cancelled() => Ended::Cancelled,
        Err(_) => Ended::Failed,
    };
    work.control.sync_counts.record(work.table, progress, &ended);
    outcome.map_err(|error| from_run_error(error, &source, work.table))
}

/// Does the work for as long as somebody wants it: until the update or the table is ended, the instance
/// stops, or the server does. Then the work is told to stop, and leaves the table at a whole version.
pub(super) async fn while_wanted<T, F>(
    work: &Work<'_>,
    shutdown: &CancellationToken,
    doing: impl FnOnce(CancellationToken) -> F,
) -> std::result::Result<T, Failure>
where
    F: Future<Output = std::result::Result<T, Failure>>,
{
    let stop = shutdown.child_token();
    let mut doing = std::pin::pin!(doing(stop.clone()));
    let result = tokio::select! {
        result = &mut doing => result,
        () = unwanted(work) => {
            stop.cancel();
            doing.await
        }
    };
    match result {
        Err(_) if stop.is_cancelled() => Err(Failure::Cancelled),
        result => result,
    }
}

async fn unwanted(work: &Work<'_>) {
    let available = wire_name(InstanceState::Available);
    loop {
        tokio::time::sleep(CANCEL_POLL).await;
        if let Ok(false) =
            work.control.store.is_wanted(work.table.id, work.update.id, &available).await
        {
            return;
        }
    }
}

pub(super) fn from_error(error: Error) -> Failure {
    match error.kind() {
        Kind::Unavailable => Failure::Later(error.message().to_owned()),
        _ => Failure::Now(error.message().to_owned()),
    }
}

/// Names the one command that heals it, where there is one.
pub(super) fn from_run_error(error: RunError, source: &str, table: &SyncedTable) -> Failure {
    let mut message = format!("{source}: {}", error.message);
    if error.feed_off {
        message = format!("[SOURCE_READ_ERROR] {message}");
    }
    if error.heals_by_reload && table.applied.is_some() {
        message.push_str(&format!(" (lakeport sync trigger {} --full-refresh)", table.name));
    }
    if error.retryable { Failure::Later(message) } else { Failure::Now(message) }
}

async fn complete(work: &Work<'_>, started_at: Timestamp, outcome: &RunOutcome) -> Result<()> {
    let Work { control, table, update, .. } = *work;
    let applied = applied(work, started_at, outcome);
    let mut news = news(work, outcome);
    let (store, message) = (&control.store, message(outcome));
    if policy_of(table) == Policy::Continuous {
        // Loaded: from here on it follows.
        let state = state_name(SyncedTableState::OnlineContinuousUpdate);
        store.advance_update(table.id, update.id, &applied, &state, &message, &news).await?;
        return Ok(());
    }
    news.push(event("INFO", UPDATE, told(work, "COMPLETED")));
    let state = state_name(SyncedTableState::OnlineNoPendingUpdate);
    store.complete_update(table.id, update.id, &applied, &state, &message, &news).await?;
    Ok(())
}

pub(super) fn applied(
    work: &Work<'_>,
    started_at: Timestamp,
    outcome: &RunOutcome,
) -> AppliedVersion {
    AppliedVersion {
        version: outcome.version,
        committed_at: outcome.committed_at,
        started_at,
        finished_at: Timestamp::now(),
        reader_revision: work.control.runner.reader_revision(),
    }
}

/// What a run tells in the pipeline's events. Of changes that a continuous pipeline applies there are too
/// many to tell.
pub(super) fn news(work: &Work<'_>, outcome: &RunOutcome) -> Vec<NewEvent> {
    let warning = outcome.warning.iter().map(|warning| event("WARN", FLOW, warning.clone()));
    let quiet = outcome.kind != RunKind::Loaded && policy_of(work.table) == Policy::Continuous;
    let summary = (!quiet).then(|| event("INFO", FLOW, outcome.summary.clone()));
    warning.chain(summary).collect()
}

pub(super) fn message(outcome: &RunOutcome) -> String {
    match &outcome.warning {
        Some(warning) => format!("{} {warning}", outcome.summary),
        None => outcome.summary.clone(),
    }
}

async fn fail(work: &Work<'_>, message: &str) -> Result<()> {
    let Work { control, table, update, .. } = *work;
    let (_, failed) = resting_states(table);
    tracing::warn!(synced_table.name = table.name, error = message, "an update failed");
    let news = [event("ERROR", UPDATE, message.to_owned())];
    control.store.fail_update(table.id, update.id, &state_name(failed), message, &news).await?;
    Ok(())
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

pub(super) fn event(level: &'static str, event_type: &'static str, message: String) -> NewEvent {
    NewEvent { level, event_type, message }
}

/// What has become of the update.
fn told(work: &Work<'_>, state: &str) -> String {
    let id: String = work.update.id.to_string().chars().take(6).collect();
    format!("Update {id} of {} is {state}.", work.table.name)
}
