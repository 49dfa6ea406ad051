//! Pipelines, of which each synced table has one, alone or with others: `/api/2.0/pipelines`.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pipeline {
    pub pipeline_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator_user_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// Milliseconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<i64>,
    /// Newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub latest_updates: Vec<UpdateStateInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user_name: Option<String>,
    pub state: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateStateInfo {
    /// RFC 3339: a string here, a number in [`UpdateInfo`].
    pub creation_time: String,
    pub state: String,
    pub update_id: String,
}

/// Body of `POST /{id}/updates`. Fields that a synced table has no use for are accepted and ignored.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StartUpdateRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub development: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_refresh: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_refresh_selection: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_selection: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_only: Option<bool>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StartUpdateResponse {
    pub update_id: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GetUpdateResponse {
    pub update: UpdateInfo,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateInfo {
    pub cause: String,
    /// Milliseconds since the epoch.
    pub creation_time: i64,
    pub full_refresh: bool,
    pub pipeline_id: String,
    pub state: String,
    pub update_id: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListUpdatesResponse {
    pub updates: Vec<UpdateInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prev_page_token: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListEventsResponse {
    pub events: Vec<PipelineEvent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_token: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PipelineEvent {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<EventError>,
    pub event_type: String,
    pub id: String,
    /// `INFO`, `WARN`, `ERROR` or `METRICS`.
    pub level: String,
    pub maturity_level: String,
    pub message: String,
    pub origin: EventOrigin,
    pub sequence: EventSequence,
    /// RFC 3339.
    pub timestamp: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventOrigin {
    pub pipeline_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub update_id: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventSequence {
    pub control_plane_seq_no: i64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventError {
    pub exceptions: Vec<EventException>,
    pub fatal: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventException {
    pub class_name: String,
    pub message: String,
}
