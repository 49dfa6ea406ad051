//! Opening a Delta table: from a location to a version with its columns.
//!
//! Owns: locations, stores, engines and what the log alone can tell. Reads no data files. Everything
//! here blocks; callers run it on a blocking thread.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use delta_kernel::KernelError;
use delta_kernel::scan::Scan;
use delta_kernel::schema::{MetadataValue, StructField};
use delta_kernel::{Snapshot, SnapshotRef};
use tokio::task::JoinError;
use url::Url;

use super::engine::{Access, Engine};
use super::logical::Finish;
use super::partition::Spelling;
use super::reach::Reach;
use super::spark_json::field_json;
use super::store;
use super::types::{ColumnType, delta_name};
use crate::error::{Error, SourceProblem};
use crate::job::Source;

/// Schemes of stores that hold Delta tables. Plain `http` is not among them: a location comes from a
/// user, and must not make this machine call addresses of that user's choice.
const SCHEMES: [&str; 9] = ["file", "s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl"];

/// Log entries read at once.
pub(crate) const LOG_BATCH_ROWS: NonZero<usize> =
    NonZero::new(1024).expect("a constant that is not zero");

/// What a Delta location holds now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    pub version: i64,
    pub table_id: String,
    pub columns: Vec<Column>,
    /// Each of the columns as Spark writes a field of a schema in JSON.
    pub spark_fields: Vec<String>,
    /// As far as the log tells.
    pub row_count: Option<u64>,
    pub partition_columns: Vec<String>,
    pub comment: Option<String>,
    /// The table's properties, as they are set in its metadata.
    pub properties: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// In SQL spelling: `decimal(10,2)`, `struct<a:int>`.
    pub delta_type: String,
    /// In the spelling of PostgreSQL's `format_type`.
    pub pg_type: String,
    pub nullable: bool,
    pub comment: Option<String>,
}

/// One version of a Delta table, open for reading.
pub(crate) struct SourceTable {
    pub(super) source: Source,
    pub(super) scan: Scan,
    pub(super) url: Url,
    pub(super) snapshot: SnapshotRef,
    pub(super) access: Access,
    commit_timestamp_ms: Option<i64>,
    columns: Vec<(Column, ColumnType)>,
    pub(super) finish: Finish,
}

impl SourceTable {
    /// The newest version at the location.
    pub(crate) fn open(source: &Source) -> Result<Self, Error> {
        let url = locate(source)?;
        let (snapshot, hint) = newest(source, &url)?;
        let metadata = snapshot.table_configuration().metadata();
        let spelling = Spelling::of(&snapshot.schema(), metadata.partition_columns());
        let access = Access { spelling, hint, ..access(source, &url) };
        let engine = Engine::new(store::open(source, &url)?, access.clone(), LOG_BATCH_ROWS);
        let columns = snapshot.schema().fields().map(column).collect();
        // Only a display value: a log whose last commit file is gone is still a readable table.
        let commit_timestamp_ms = snapshot.get_timestamp(&engine).ok();
        let scan = Arc::clone(&snapshot)
            .scan_builder()
            .build()
            .map_err(|error| source.kernel("planning the scan", &error))?;
        let finish = Finish::of(&snapshot.schema());
        let source = source.clone();
        Ok(Self { source, scan, url, snapshot, access, commit_timestamp_ms, columns, finish })
    }

    /// An engine of one reader's own: engines decode on one thread each, and connections to a store
    /// must not outlive the runtime that opened them.
    pub(crate) fn engine(&self, batch_rows: NonZero<usize>) -> Result<Engine, Error> {
        let store = store::open(&self.source, &self.url)?;
        Ok(Engine::new(store, self.access.clone(), batch_rows))
    }

    pub(crate) fn version(&self) -> i64 {
        // Versions are file names of twenty digits; none has ever come near the end of i64.
        i64::try_from(self.snapshot.version()).unwrap_or(i64::MAX)
    }

    pub(crate) fn commit_timestamp_ms(&self) -> Option<i64> {
        self.commit_timestamp_ms
    }

    /// Stays the same while the table lives, and differs when it is made anew at the same place.
    pub(crate) fn table_id(&self) -> &str {
        self.snapshot.table_configuration().metadata().id()
    }

    pub(crate) fn columns(&self) -> &[(Column, ColumnType)] {
        &self.columns
    }

    pub(crate) fn inspection(&self, row_count: Option<u64>) -> Result<Inspection, Error> {
        let metadata = self.snapshot.table_configuration().metadata();
        let properties = metadata.configuration().iter();
        let schema = self.snapshot.schema();
        let spark_fields: serde_json::Result<_> = schema.fields().map(field_json).collect();
        let spark_fields = spark_fields.map_err(|error| {
            let message = format!("the schema cannot be written as JSON: {error}");
            self.source.problem(SourceProblem::Corrupt, message)
        })?;
        Ok(Inspection {
            version: self.version(),
            table_id: self.table_id().to_owned(),
            columns: self.columns.iter().map(|(column, _)| column.clone()).collect(),
            row_count,
            partition_columns: metadata.partition_columns().to_vec(),
            comment: metadata.description().map(str::to_owned),
            properties: properties.map(|(name, value)| (name.clone(), value.clone())).collect(),
            spark_fields,
        })
    }

    /// A reader thread panicked: the kernel met a file that it did not expect.
    pub(crate) fn crashed(&self, crash: &JoinError) -> Error {
        let message = format!("reading its files failed unexpectedly: {crash}");
        self.source.problem(SourceProblem::Corrupt, message)
    }
}

/// A path or URL as the URL of a directory that can be read.
pub(super) fn locate(source: &Source) -> Result<Url, Error> {
    let location = source.location.trim();
    if location.is_empty() {
        return Err(Error::config("the source's location is empty; give a path or a URL"));
    }
    // In a file's URL, parsers take a backslash for a slash; in a name it is one character of many.
    let parsed = match location.starts_with("file:") {
        true => Url::parse(&location.replace('\\', "%5C")),
        false => Url::parse(location),
    };
    let url = match parsed {
        Ok(url) if url.scheme() != "file" => url,
        Ok(url) => {
            let path = url.to_file_path().map_err(|()| not_a_path(source))?;
            directory(source, &path)?
        }
        Err(_) => directory(source, Path::new(location))?,
    };
    if !SCHEMES.contains(&url.scheme()) {
        let schemes = SCHEMES.join(", ");
        let message = format!("the scheme \"{}\" is not one of: {schemes}", url.scheme());
        return Err(source.problem(SourceProblem::Unsupported, message));
    }
    Ok(as_directory(url))
}

fn directory(source: &Source, path: &Path) -> Result<Url, Error> {
    let missing = |reason: &dyn std::fmt::Display| {
        source.problem(SourceProblem::Missing, format!("the directory cannot be opened: {reason}"))
    };
    let path = path.canonicalize().map_err(|error| missing(&error))?;
    let log = path.join("_delta_log");
    if !log.is_dir() {
        let message = "there is no _delta_log directory, so this is not a Delta table";
        return Err(source.problem(SourceProblem::NotDelta, message));
    }
    Url::from_directory_path(&path).map_err(|()| not_a_path(source))
}

fn not_a_path(source: &Source) -> Error {
    source.problem(SourceProblem::Missing, "the location is not an absolute path of this machine")
}

/// URLs resolve names against the last slash.
fn as_directory(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

pub(super) fn engine(
    source: &Source,
    url: &Url,
    batch_rows: NonZero<usize>,
) -> Result<Engine, Error> {
    Ok(Engine::new(store::open(source, url)?, access(source, url), batch_rows))
}

fn access(source: &Source, url: &Url) -> Access {
    let reach = Reach::new(url, source.may_read.clone());
    Access { reach, spelling: Spelling::default(), hint: true }
}

/// The newest version, and whether its log's hint is right. One that names a checkpoint which is not there hides
/// commits that are.
fn newest(source: &Source, url: &Url) -> Result<(SnapshotRef, bool), Error> {
    let read = |hint: bool| {
        let access = Access { hint, ..access(source, url) };
        let engine = Engine::new(store::open(source, url)?, access, LOG_BATCH_ROWS);
        let snapshot = Snapshot::builder_for(url.as_str()).build(&engine);
        snapshot.map_err(|error| log_error(source, &error))
    };
    match read(true) {
        Ok(snapshot) => Ok((snapshot, true)),
        Err(error) => match error.is_retryable() {
            true => Err(error),
            false => read(false).map_or(Err(error), |snapshot| Ok((snapshot, false))),
        },
    }
}

/// In the log, a file that is not there means that there is no table.
fn log_error(source: &Source, error: &KernelError) -> Error {
    match source.kernel("reading the log", error) {
        Error::Source { problem: SourceProblem::MissingFile, location, message } => {
            Error::Source { problem: SourceProblem::NotDelta, location, message }
        }
        other => other,
    }
}

fn column(field: &StructField) -> (Column, ColumnType) {
    let delta_type = delta_name(field.data_type());
    let column_type = ColumnType::of(field.data_type());
    let comment = match field.metadata().get("comment") {
        Some(MetadataValue::String(comment)) => Some(comment.clone()),
        _ => None,
    };
    let column = Column {
        name: field.name().clone(),
        delta_type,
        pg_type: column_type.postgres(),
        nullable: field.is_nullable(),
        comment,
    };
    (column, column_type)
}
