//! Database instances: `/api/2.0/database/instances`.

use serde::{Deserialize, Serialize};

/// A PostgreSQL instance. A plain field comes back only if its client has set it; its `effective_`
/// twin always does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseInstance {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capacity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child_instance_refs: Option<Vec<DatabaseInstanceRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creation_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_tags: Option<Vec<CustomTag>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_capacity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_custom_tags: Option<Vec<CustomTag>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_enable_pg_native_login: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_enable_readable_secondaries: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_node_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_retention_window_in_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_stopped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_usage_policy_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_pg_native_login: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enable_readable_secondaries: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_instance_ref: Option<DatabaseInstanceRef>,
    /// `PG_VERSION_16` in answers. Accepted at create, as an extension of the API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pg_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_write_dns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_window_in_days: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<InstanceState>,
    /// Extension of the API: what a person can read when the state is not the wanted one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_policy_id: Option<String>,
}

/// There is no STOPPING and no FAILED on the wire: waiting clients know only these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InstanceState {
    Starting,
    Available,
    Updating,
    Stopped,
    FailingOver,
    Deleting,
    /// A state that this crate does not know.
    #[serde(other)]
    StateUnspecified,
}

/// A parent or a child of an instance. With neither time nor LSN: the parent's latest LSN.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseInstanceRef {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effective_lsn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lsn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomTag {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseInstanceList {
    pub database_instances: Vec<DatabaseInstance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}
