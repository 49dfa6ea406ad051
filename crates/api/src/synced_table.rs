//! Synced tables: `/api/2.0/database/synced_tables`.

use serde::{Deserialize, Serialize};

use crate::sync_pipeline::SyncSettings;

/// A PostgreSQL table that is kept equal to a Delta table. `name` has three parts; schema and table are
/// those of PostgreSQL.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncedDatabaseTable {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_synchronization_status: Option<SyncedTableStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_instance_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_database_instance_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_logical_database_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logical_database_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spec: Option<SyncedTableSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unity_catalog_provisioning_state: Option<ProvisioningState>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncedTableSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accelerated_sync: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub create_database_objects_if_missing: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub existing_pipeline_id: Option<String>,
    /// An extension: settings from the first run on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lakeport: Option<SyncSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_pipeline_spec: Option<NewPipelineSpec>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_key_columns: Option<Vec<String>>,
    /// `SNAPSHOT`, `TRIGGERED` or `CONTINUOUS`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_table_full_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeseries_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub type_overrides: Option<Vec<TypeOverride>>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeOverride {
    pub column_name: String,
    /// `PG_SPECIFIC_TYPE_VARCHAR`, `PG_SPECIFIC_TYPE_VECTOR` or `PG_SPECIFIC_TYPE_HALFVEC`.
    pub pg_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewPipelineSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_catalog: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_schema: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncedTableStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub continuous_update_status: Option<ContinuousUpdateStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detailed_state: Option<SyncedTableState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_status: Option<FailedStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<SyncPosition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning_status: Option<ProvisioningStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggered_update_status: Option<TriggeredUpdateStatus>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncedTableState {
    #[serde(rename = "SYNCED_TABLE_PROVISIONING")]
    Provisioning,
    #[serde(rename = "SYNCED_TABLE_PROVISIONING_PIPELINE_RESOURCES")]
    ProvisioningPipelineResources,
    #[serde(rename = "SYNCED_TABLE_PROVISIONING_INITIAL_SNAPSHOT")]
    ProvisioningInitialSnapshot,
    #[serde(rename = "SYNCED_TABLE_ONLINE")]
    Online,
    #[serde(rename = "SYNCED_TABLE_ONLINE_CONTINUOUS_UPDATE")]
    OnlineContinuousUpdate,
    #[serde(rename = "SYNCED_TABLE_ONLINE_TRIGGERED_UPDATE")]
    OnlineTriggeredUpdate,
    #[serde(rename = "SYNCED_TABLE_ONLINE_NO_PENDING_UPDATE")]
    OnlineNoPendingUpdate,
    #[serde(rename = "SYNCED_TABLE_ONLINE_PIPELINE_FAILED")]
    OnlinePipelineFailed,
    #[serde(rename = "SYNCED_TABLE_OFFLINE_FAILED")]
    OfflineFailed,
    /// The misspelling is the wire value.
    #[serde(rename = "SYNCED_TABLED_OFFLINE")]
    Offline,
    /// A state that this crate does not know.
    #[serde(other)]
    Unspecified,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProvisioningState {
    Provisioning,
    Active,
    Updating,
    Degraded,
    Failed,
    Deleting,
    #[serde(other)]
    Unspecified,
}

/// The last successful sync: `sync_end_timestamp` is when its rows became visible.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncPosition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta_table_sync_info: Option<DeltaTableSyncInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_end_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_start_timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DeltaTableSyncInfo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta_commit_timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta_commit_version: Option<i64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineProgress {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_completion_time_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest_version_currently_processing: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provisioning_phase: Option<String>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sync_progress_completion: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub synced_row_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_row_count: Option<i64>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProvisioningStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_pipeline_sync_progress: Option<PipelineProgress>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TriggeredUpdateStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_processed_commit_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggered_update_progress: Option<PipelineProgress>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContinuousUpdateStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_pipeline_sync_progress: Option<PipelineProgress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_processed_commit_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FailedStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_processed_commit_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncedDatabaseTableList {
    pub synced_tables: Vec<SyncedDatabaseTable>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
