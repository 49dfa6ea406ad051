//! What the control plane needs of a sync engine. Declared here, so that nothing in this crate compiles
//! Arrow.

use std::collections::BTreeMap;
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
    pub partition_columns: Vec<String>,
    pub comment: Option<String>,
    /// The table's properties, as they are set in its metadata.
    pub properties: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
pub struct ColumnInspection {
    pub name: String,
    pub delta_type: String,
    /// The column as Spark writes a field of a schema in JSON.
    pub spark_json: String,
    pub nullable: bool,
    pub comment: Option<String>,
}

/// One run: make the table equal to the source's current version.
#[derive(Clone)]
pub struct SyncRun {
    pub mode: RunMode,
    /// Read the whole source, even if nothing seems to have changed.
    pub full_refresh: bool,
    pub source: DeltaLocation,
    /// Name of the source, for messages.
    pub source_name: String,
    pub target: tokio_postgres::Config,
    pub schema: String,
    pub table: String,
    pub shape: TableShape,
    pub settings: RunSettings,
}

/// How a table follows from its source.
#[derive(Debug, Clone, Default)]
pub struct TableShape {
    pub primary_key: Vec<String>,
    /// Of rows with one primary key, the one that is greatest in this column is kept.
    pub timeseries_key: Option<String>,
    pub type_choices: Vec<TypeChoice>,
}

/// A column that gets another type than its source's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeChoice {
    pub column: String,
    pub pg_type: PgType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PgType {
    /// Of so many characters at most.
    Varchar(u32),
    /// pgvector's types, of so many dimensions.
    Vector(u16),
    HalfVector(u16),
}

/// How a run behaves; what is absent is left to the runner.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunSettings {
    pub null_characters: NullCharacters,
    pub reload_share: Option<f64>,
    pub swap_share: Option<f64>,
    pub reload_on_gap: bool,
    pub memory_bytes: Option<usize>,
}

/// What becomes of NUL characters, which PostgreSQL's text cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NullCharacters {
    #[default]
    Fail,
    Strip,
    Replace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunMode {
    /// The whole source is read and compared.
    Snapshot,
    /// The source's change data feed is read.
    Changes,
}

#[derive(Debug, Clone)]
pub struct RunOutcome {
    pub version: i64,
    pub committed_at: Option<Timestamp>,
    pub rows: u64,
    /// One sentence about what was done.
    pub summary: String,
    pub kind: RunKind,
    /// The table was given from the writer to the owner of published ones, and is there as it was then.
    pub is_published: bool,
    /// Rows left out, which people should know of.
    pub warning: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunKind {
    /// The table holds the version already.
    Unchanged,
    /// Changes were applied.
    Changed,
    /// The whole source was read.
    Loaded,
}

#[derive(Debug, Clone)]
pub struct RunError {
    /// For people; names table, column and row where there is one, and never holds a secret.
    pub message: String,
    /// Whether the same run may succeed later without anyone doing anything.
    pub retryable: bool,
    /// Whether a run that reads the whole source would succeed.
    pub heals_by_reload: bool,
    /// Whether the source records no changes to follow.
    pub feed_off: bool,
}

#[async_trait]
pub trait SyncRunner: Send + Sync {
    async fn inspect(&self, source: &DeltaLocation) -> Result<Inspection, RunError>;

    /// Refuses a table that PostgreSQL could not hold, before anything is made.
    async fn check_shape(&self, source: &DeltaLocation, shape: &TableShape)
    -> Result<(), RunError>;

    async fn run(
        &self,
        run: SyncRun,
        progress: Arc<RunProgress>,
        cancel: CancellationToken,
    ) -> Result<RunOutcome, RunError>;

    /// Gathers statistics of a table that a run has loaded, once its rows are announced.
    async fn analyze(
        &self,
        target: tokio_postgres::Config,
        schema: &str,
        table: &str,
    ) -> Result<(), RunError>;

    /// Waits for a version after this one, for some time. Returns too if none has come: a table that
    /// was replaced has no next version.
    async fn next_commit(
        &self,
        source: &DeltaLocation,
        version: i64,
        cancel: CancellationToken,
    ) -> Result<(), RunError>;

    /// Which revision of the reader this is: it grows when values of some source are read otherwise than before.
    fn reader_revision(&self) -> i32;

    /// Why readers before this one may have read the source wrongly, if they may.
    async fn misread(&self, source: &DeltaLocation) -> Result<Option<String>, RunError>;

    /// Whether the table is there as a sync that has ended left it.
    async fn is_left(
        &self,
        target: tokio_postgres::Config,
        schema: &str,
        table: &str,
    ) -> Result<bool, RunError>;

    /// Ends the sync of a table: drops it, or leaves it and remembers that.
    async fn release(
        &self,
        target: tokio_postgres::Config,
        schema: &str,
        table: &str,
        drop_table: bool,
    ) -> Result<(), RunError>;
}
