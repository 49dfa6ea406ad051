//! A synced table as clients see it.

use lakeport_api::synced_table::{
    ContinuousUpdateStatus, DeltaTableSyncInfo, FailedStatus, PipelineProgress, ProvisioningState,
    ProvisioningStatus, SyncPosition, TriggeredUpdateStatus,
};
use lakeport_api::{SyncSettings, SyncedDatabaseTable, SyncedTableState, SyncedTableStatus};
use lakeport_store::{AppliedVersion, SyncedTable};

use crate::{Error, Result, sync_settings};

pub(crate) fn state_name(state: SyncedTableState) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => name,
        _ => String::from("SYNCED_TABLED_OFFLINE"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    Snapshot,
    Triggered,
    Continuous,
}

impl Policy {
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "SNAPSHOT" => Self::Snapshot,
            "TRIGGERED" => Self::Triggered,
            "CONTINUOUS" => Self::Continuous,
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "SNAPSHOT",
            Self::Triggered => "TRIGGERED",
            Self::Continuous => "CONTINUOUS",
        }
    }
}

/// The stored request was checked when it came.
pub(crate) fn policy_of(table: &SyncedTable) -> Policy {
    let name = table.request.pointer("/spec/scheduling_policy").and_then(|name| name.as_str());
    name.and_then(Policy::of).unwrap_or(Policy::Snapshot)
}

pub(crate) fn to_wire(
    table: &SyncedTable,
    instance_name: &str,
    progress: Option<PipelineProgress>,
) -> Result<SyncedDatabaseTable> {
    let mut wire: SyncedDatabaseTable = serde_json::from_value(table.request.clone())
        .map_err(|error| Error::internal("reading a synced table's request", error))?;
    wire.name.clone_from(&table.name);
    let settings = sync_settings::stored(table)?;
    if let Some(spec) = wire.spec.as_mut()
        && (spec.lakeport.is_some() || settings != SyncSettings::default())
    {
        spec.lakeport = Some(settings);
    }
    wire.effective_database_instance_name = Some(instance_name.to_owned());
    wire.effective_logical_database_name = Some(table.database_name.clone());
    wire.data_synchronization_status = Some(status(table, progress));
    wire.unity_catalog_provisioning_state = Some(if table.deleted_at.is_some() {
        ProvisioningState::Deleting
    } else {
        ProvisioningState::Active
    });
    Ok(wire)
}

fn status(table: &SyncedTable, progress: Option<PipelineProgress>) -> SyncedTableStatus {
    use SyncedTableState as State;
    let state = serde_json::from_value(table.state.clone().into()).unwrap_or(State::Offline);
    let mut status = SyncedTableStatus {
        detailed_state: Some(state),
        // As the service has it: what a full refresh is about to replace is not told.
        last_sync: table.applied.as_ref().filter(|_| !table.refreshing).map(position),
        message: message(table),
        pipeline_id: Some(table.pipeline_id.to_string()),
        ..SyncedTableStatus::default()
    };
    let version = table.applied.as_ref().map(|applied| applied.version);
    let finished = table.applied.as_ref().map(|applied| applied.finished_at.to_string());
    match state {
        State::Provisioning
        | State::ProvisioningPipelineResources
        | State::ProvisioningInitialSnapshot => {
            status.provisioning_status =
                Some(ProvisioningStatus { initial_pipeline_sync_progress: progress });
        }
        State::OfflineFailed | State::OnlinePipelineFailed | State::Offline => {
            status.failed_status =
                Some(FailedStatus { last_processed_commit_version: version, timestamp: finished });
        }
        _ if policy_of(table) == Policy::Continuous => {
            status.continuous_update_status = Some(ContinuousUpdateStatus {
                initial_pipeline_sync_progress: progress,
                last_processed_commit_version: version,
                timestamp: finished,
            });
        }
        _ => {
            status.triggered_update_status = Some(TriggeredUpdateStatus {
                last_processed_commit_version: version,
                timestamp: finished,
                triggered_update_progress: progress,
            });
        }
    }
    status
}

/// What a run that is tried again has met, and when that will be.
fn message(table: &SyncedTable) -> Option<String> {
    if let Some(paused_at) = table.paused_at {
        return Some(format!("The pipeline is paused since {paused_at}."));
    }
    let message = table.message.as_ref()?;
    if table.attempts == 0 || table.deleted_at.is_some() {
        return Some(message.clone());
    }
    let (tries, next) = (table.attempts, table.next_attempt);
    Some(format!("{message} (Tried {tries} times; the next try is at {next}.)"))
}

fn position(applied: &AppliedVersion) -> SyncPosition {
    SyncPosition {
        delta_table_sync_info: Some(DeltaTableSyncInfo {
            delta_commit_timestamp: applied.committed_at.map(|at| at.to_string()),
            delta_commit_version: Some(applied.version),
        }),
        sync_end_timestamp: Some(applied.finished_at.to_string()),
        sync_start_timestamp: Some(applied.started_at.to_string()),
    }
}
