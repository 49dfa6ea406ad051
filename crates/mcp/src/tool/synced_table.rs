//! Synced tables as all tools show them.
//!
//! Owns: finding one, describing it, and telling whether it is at rest. Never: a change.

use lakeport_api::{SyncedDatabaseTable, SyncedTableState, SyncedTableStatus};
use lakeport_client::Client;
use schemars::JsonSchema;
use serde::Serialize;

use crate::call::Result;
use crate::failure::{Failure, code};

#[derive(Default, Serialize, JsonSchema)]
pub(super) struct SyncedTable {
    pub(super) table_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target_table_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) instance_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) database_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) source_table_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) scheduling_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) primary_key_columns: Option<Vec<String>>,
    /// CREATING or deleted, if this call did it
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
    /// State of the sync, such as SYNCED_TABLE_ONLINE_NO_PENDING_UPDATE
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detailed_state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pipeline_id: Option<String>,
    /// When the rows of the last sync became visible
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_sync_time: Option<String>,
    /// Version of the Delta table that PostgreSQL shows
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta_version: Option<i64>,
    /// For delete: whether the table in PostgreSQL was kept or dropped
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) postgres_table: Option<&'static str>,
}

/// The catalog of a three-part name.
pub(super) fn three_parts<'a>(field: &str, name: &'a str) -> Result<&'a str, Failure> {
    let parts: Vec<_> = name.split('.').collect();
    match parts.as_slice() {
        [catalog, schema, table]
            if ![catalog, schema, table].iter().any(|part| part.is_empty()) =>
        {
            Ok(catalog)
        }
        _ => Err(Failure::invalid(format!("{field}: `{name}` is not catalog.schema.table"))),
    }
}

pub(super) async fn find(client: &Client, name: &str) -> Result<SyncedDatabaseTable> {
    match client.get_synced_database_table(name).await {
        Ok(table) => Ok(table.into_inner()),
        Err(error) if error.is_not_found() => {
            Err(Failure::new(code::NOT_FOUND, format!("Synced table '{name}' not found."))
                .field("table_name", name)
                .into())
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn describe(table: &SyncedDatabaseTable) -> SyncedTable {
    let spec = table.spec.clone().unwrap_or_default();
    let status = table.data_synchronization_status.clone().unwrap_or_default();
    let SyncedTableStatus { last_sync, message, pipeline_id, .. } = status;
    let last_sync = last_sync.unwrap_or_default();
    let given = |effective: &Option<String>, set: &Option<String>| {
        effective.clone().or_else(|| set.clone()).filter(|text| !text.is_empty())
    };
    SyncedTable {
        table_name: table.name.clone(),
        instance_name: given(
            &table.effective_database_instance_name,
            &table.database_instance_name,
        ),
        database_name: given(&table.effective_logical_database_name, &table.logical_database_name),
        source_table_name: spec.source_table_full_name,
        scheduling_policy: spec.scheduling_policy,
        primary_key_columns: spec.primary_key_columns,
        detailed_state: state_name(table),
        message: message.filter(|text| !text.is_empty()),
        pipeline_id,
        last_sync_time: last_sync.sync_end_timestamp,
        delta_version: last_sync.delta_table_sync_info.and_then(|info| info.delta_commit_version),
        ..SyncedTable::default()
    }
}

pub(super) fn state_name(table: &SyncedDatabaseTable) -> Option<String> {
    let state = table.data_synchronization_status.as_ref()?.detailed_state?;
    serde_json::to_value(state).ok()?.as_str().map(str::to_owned)
}

/// Whether the state is one that passes by itself. A continuous sync is never busy: it has no end.
pub(super) fn is_busy(table: &SyncedDatabaseTable) -> bool {
    use SyncedTableState as State;
    let status = table.data_synchronization_status.as_ref();
    matches!(
        status.and_then(|status| status.detailed_state),
        None | Some(
            State::Provisioning
                | State::ProvisioningPipelineResources
                | State::ProvisioningInitialSnapshot
                | State::OnlineTriggeredUpdate
        )
    )
}
