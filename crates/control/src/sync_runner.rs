//! What the control plane needs of a sync engine. Declared here, so that nothing in this crate compiles
//! Arrow.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use lakeport_catalog::DeltaLocation;
use tokio_util::sync::CancellationToken;

use crate::progress::RunProgress;

/// What a Delta location holds now.
#[derive(Debug, Clone)]
pub struct Inspection {
    pub version: i64,
    pub columns: Vec<ColumnInspection>,
}

#[derive(Debug, Clone)]
pub struct ColumnInspection {
    pub name: String,
    pub delta_type: String,
    pub nullable: bool,
    pub comment: Option<String>,
}

/// One run: make the table equal to the source's current version.
pub struct SnapshotRun {
    pub source: DeltaLocation,
    /// Name of the source, for messages.
    pub source_name: String,
    pub target: tokio_postgres::Config,
    pub schema: String,
    pub table: String,
    pub primary_key: Vec<String>,
    /// Compare every row, even if the source's version is the one that was applied.
    pub full_refresh: bool,
}

#[derive(Debug, Clone)]
pub struct RunOutcome {
    pub version: i64,
    pub committed_at: Option<Timestamp>,
    pub rows: u64,
    /// One sentence about what was done.
    pub summary: String,
    /// Rows left out, which people should know of.
    pub warning: Option<String>,
}

#[derive(Debug, Clone)]
pub struct RunError {
    /// For people; names table, column and row where there is one, and never holds a secret.
    pub message: String,
    /// Whether the same run may succeed later without anyone doing anything.
    pub retryable: bool,
}

#[async_trait]
pub trait SyncRunner: Send + Sync {
    async fn inspect(&self, source: &DeltaLocation) -> Result<Inspection, RunError>;

    async fn snapshot(
        &self,
        run: SnapshotRun,
        progress: Arc<RunProgress>,
        cancel: CancellationToken,
    ) -> Result<RunOutcome, RunError>;

    /// Drops the table and what is known of it, or only the latter.
    async fn release(
        &self,
        target: tokio_postgres::Config,
        schema: &str,
        table: &str,
        drop_table: bool,
    ) -> Result<(), RunError>;
}
