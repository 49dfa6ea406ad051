//! What synced tables have beyond the API of Databricks: pauses, schedules and settings, below
//! `/api/2.0/lakeport`.

use serde::{Deserialize, Serialize};

/// `GET /api/2.0/lakeport/pipelines/{id}`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncPipeline {
    pub pipeline_id: String,
    pub scheduling_policy: String,
    pub paused: bool,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<SyncSchedule>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run: Option<String>,
    /// Three-part names.
    pub synced_tables: Vec<String>,
}

/// When updates start by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncSchedule {
    /// Five fields as in a crontab, or six or seven as Quartz writes them, with seconds first.
    pub cron: String,
    /// A name of the time zone database; UTC if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
}

/// How runs of one synced table behave. What is absent is as without settings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncSettings {
    /// `FAIL`, `STRIP` or `REPLACE`: what becomes of NUL characters, which PostgreSQL's text cannot hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_characters: Option<String>,
    /// Share of changed rows above which an update reads the whole source instead, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_share: Option<f64>,
    /// Share of differing rows above which a refresh replaces all rows at once, 0 to 1; readers wait meanwhile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_share: Option<f64>,
    /// Read the whole source where changes are out of reach, or its columns have changed, instead of failing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reload_on_gap: Option<bool>,
    /// Bounds what a run reads ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<i64>,
}
