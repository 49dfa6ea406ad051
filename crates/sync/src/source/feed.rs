//! The change data feed between two versions.
//!
//! Owns: cutting the range into pieces of one schema each, which is all that the kernel reads at once,
//! and finding out whether the feed tells the whole story: the same table, the feed on throughout,
//! nothing removed, no column that is another one under the same name.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;

use delta_kernel::arrow::array::cast::AsArray;
use delta_kernel::arrow::array::{Array as _, ArrayRef, Int64Array, StringArray, new_null_array};
use delta_kernel::arrow::datatypes::{DataType as ArrowType, Int64Type};
use delta_kernel::arrow::record_batch::RecordBatch;
use delta_kernel::commit_range::{CommitAction, CommitRange, DeltaAction};
use delta_kernel::engine::arrow_data::EngineDataArrowExt as _;
use delta_kernel::table_changes::TableChanges;
use delta_kernel::{EngineData, KernelError, KernelResult, Snapshot, SnapshotRef, Version};
use tokio::task::JoinError;

use super::engine::Engine;
use super::inside::{changed, physical_name};
use super::open::{LOG_BATCH_ROWS, SourceTable};
use super::problem::innermost;
use super::types::ColumnType;
use super::watch::{commit_file, is_there};
use crate::error::{Error, SourceProblem};

const PROPERTY: &str = "delta.enableChangeDataFeed";
const CHANGE_TYPE: &str = "_change_type";
const COMMIT_VERSION: &str = "_commit_version";

/// The changes after one version, up to the table's own.
pub(crate) struct Feed {
    table: Arc<SourceTable>,
    pieces: Vec<Piece>,
}

/// What there is to follow.
pub(crate) enum Opened {
    Feed(Feed),
    /// Something changed inside of a column, which its old rows show and the feed does not.
    Reshaped(String),
}

/// Versions with one schema, both ends included.
pub(crate) struct Piece {
    start: Version,
    end: Version,
    snapshot: SnapshotRef,
}

/// Some changes, in the columns that were asked for.
pub(crate) struct ChangeBatch {
    pub(crate) columns: Vec<ArrayRef>,
    kinds: StringArray,
    versions: Int64Array,
}

impl ChangeBatch {
    pub(crate) fn rows(&self) -> usize {
        self.kinds.len()
    }

    /// Whether the row came, rather than went.
    pub(crate) fn came(&self, row: usize) -> bool {
        matches!(self.kinds.value(row), "insert" | "update_postimage")
    }

    pub(crate) fn version(&self, row: usize) -> i64 {
        self.versions.value(row)
    }
}

pub(crate) struct Changes<'a> {
    feed: &'a Feed,
    columns: &'a [(String, ColumnType)],
    batches: Box<dyn Iterator<Item = KernelResult<Box<dyn EngineData>>>>,
}

impl Feed {
    /// The changes that lead from `applied` to the table's version.
    pub(crate) fn open(
        table: &Arc<SourceTable>,
        applied: i64,
        applied_table_id: &str,
    ) -> Result<Opened, Error> {
        if table.table_id() != applied_table_id || table.version() < applied {
            return Err(table.source.problem(
                SourceProblem::Replaced,
                format!(
                    "version {applied} was applied, of a table that has been replaced or set back \
                     (it is at version {} now); run a full refresh",
                    table.version()
                ),
            ));
        }
        let engine = Arc::new(table.engine(LOG_BATCH_ROWS)?);
        let cut = Cutter { table, engine }.pieces(applied)?;
        Ok(match cut {
            Cut::Pieces(pieces) => Opened::Feed(Self { table: Arc::clone(table), pieces }),
            Cut::Reshaped(what) => Opened::Reshaped(what),
        })
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub(crate) fn engine(&self, batch_rows: NonZero<usize>) -> Result<Arc<Engine>, Error> {
        self.table.engine(batch_rows).map(Arc::new)
    }

    pub(crate) fn crashed(&self, crash: &JoinError) -> Error {
        self.table.crashed(crash)
    }

    pub(crate) fn read<'a>(
        &'a self,
        engine: &Arc<Engine>,
        piece: &Piece,
        columns: &'a [(String, ColumnType)],
    ) -> Result<Changes<'a>, Error> {
        let (url, engine) = (self.table.url.clone(), Arc::clone(engine));
        let batches = TableChanges::try_new(url, engine.as_ref(), piece.start, Some(piece.end))
            .and_then(|changes| changes.into_scan_builder().build())
            .and_then(|scan| scan.execute(engine))
            .map_err(|error| self.failed(&error))?;
        Ok(Changes { feed: self, columns, batches: Box::new(batches) })
    }

    /// Files that are not there are reported in several ways.
    fn failed(&self, error: &KernelError) -> Error {
        let found = self.table.source.kernel("reading the change data feed", error);
        let text = innermost(error).to_string();
        let missing = ["not found", "No such file", "NotFound"].iter().any(|m| text.contains(m));
        match found {
            Error::Source { location, message, .. } if missing => Error::Source {
                location,
                problem: SourceProblem::FeedLost,
                message: format!("{message}; a VACUUM has removed it: run a full refresh"),
            },
            other => other,
        }
    }
}

impl Piece {
    pub(crate) fn has(&self) -> impl Fn(&str) -> bool {
        let schema = self.snapshot.schema();
        move |name| schema.field(name).is_some()
    }
}

impl Changes<'_> {
    pub(crate) fn next_batch(&mut self) -> Result<Option<ChangeBatch>, Error> {
        let Some(batch) = self.batches.next() else { return Ok(None) };
        let rows = batch.try_into_record_batch().map_err(|error| self.feed.failed(&error))?;
        let marks = || {
            let kinds = rows.column_by_name(CHANGE_TYPE)?.as_string_opt::<i32>()?.clone();
            let versions = rows.column_by_name(COMMIT_VERSION)?.as_primitive_opt::<Int64Type>()?;
            Some((kinds, versions.clone()))
        };
        let (kinds, versions) = marks().ok_or_else(|| {
            let message = "the change data feed has no change types or versions";
            self.feed.table.source.problem(SourceProblem::Corrupt, message)
        })?;
        let finish = &self.feed.table.finish;
        let columns = self.columns.iter();
        let columns = columns.map(|(name, _)| finish.column(name, &column(&rows, name))).collect();
        Ok(Some(ChangeBatch { columns, kinds, versions }))
    }
}

fn column(rows: &RecordBatch, name: &str) -> ArrayRef {
    let found = rows.column_by_name(name).map(Arc::clone);
    found.unwrap_or_else(|| new_null_array(&ArrowType::Null, rows.num_rows()))
}

/// Walks over the log once, and cuts where metadata change.
struct Cutter<'a> {
    table: &'a SourceTable,
    engine: Arc<Engine>,
}

enum Cut {
    Pieces(Vec<Piece>),
    Reshaped(String),
}

impl Cutter<'_> {
    fn pieces(&self, applied: i64) -> Result<Cut, Error> {
        self.check_log(applied + 1)?;
        let (first, last) = (version(applied + 1), self.table.snapshot.version());
        let before = self.snapshot(version(applied)).map_err(|error| match error {
            Error::Source { location, .. } => Error::Source {
                location,
                problem: SourceProblem::FeedLost,
                message: format!(
                    "version {applied}, which was applied last, cannot be opened any more; run a \
                     full refresh"
                ),
            },
            other => other,
        })?;

        let mut cuts = self.metadata_changes(first, last)?;
        if cuts.first() != Some(&first) {
            cuts.insert(0, first);
        }
        let mut pieces: Vec<Piece> = Vec::new();
        let mut columns = HashMap::new();
        self.check_columns(&mut columns, &before)?;
        for (nth, start) in cuts.iter().enumerate() {
            let end = cuts.get(nth + 1).map_or(last, |next| next - 1);
            let snapshot = self.snapshot(*start)?;
            self.check_table(&snapshot)?;
            self.check_columns(&mut columns, &snapshot)?;
            if let Some(column) = changed(&before.schema(), &snapshot.schema()) {
                let what = format!("column \"{column}\" changed inside at version {start}");
                return Ok(Cut::Reshaped(what));
            }
            match pieces.last_mut() {
                Some(piece) if piece.snapshot.schema() == snapshot.schema() => piece.end = end,
                _ => pieces.push(Piece { start: *start, end, snapshot }),
            }
        }
        Ok(Cut::Pieces(pieces))
    }

    fn check_log(&self, next: i64) -> Result<(), Error> {
        let source = &self.table.source;
        let file = commit_file(source, &self.table.url, next)?;
        if is_there(source, &self.engine, &file)? {
            return Ok(());
        }
        Err(source.problem(
            SourceProblem::FeedLost,
            format!(
                "the log no longer has version {next}, the first one to apply; run a full refresh, \
                 and sync more often than the log is cleaned up (delta.logRetentionDuration)"
            ),
        ))
    }

    fn snapshot(&self, version: Version) -> Result<SnapshotRef, Error> {
        Snapshot::builder_for(self.table.url.as_str())
            .at_version(version)
            .build(self.engine.as_ref())
            .map_err(|error| {
                self.table.source.kernel(&format!("opening version {version}"), &error)
            })
    }

    fn metadata_changes(&self, first: Version, last: Version) -> Result<Vec<Version>, Error> {
        let failed = |error: KernelError| self.table.source.kernel("reading the log", &error);
        let range = CommitRange::builder_for(self.table.url.as_str(), first)
            .with_end_version(last)
            .build(self.engine.as_ref())
            .map_err(failed)?;
        let commits =
            range.commits(self.engine.clone(), None, &[DeltaAction::Metadata]).map_err(failed)?;
        let mut changes = Vec::new();
        for commit in commits {
            let commit = commit.map_err(failed)?;
            if self.has_metadata(&commit).map_err(failed)? {
                changes.push(commit.version());
            }
        }
        Ok(changes)
    }

    fn has_metadata(&self, commit: &CommitAction) -> KernelResult<bool> {
        for batch in commit.get_actions(self.engine.as_ref())? {
            let batch = batch.try_into_record_batch()?;
            if batch.column(0).null_count() < batch.num_rows() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn check_table(&self, snapshot: &Snapshot) -> Result<(), Error> {
        let (metadata, version) = (snapshot.table_configuration().metadata(), snapshot.version());
        if metadata.id() != self.table.table_id() {
            return Err(self.table.source.problem(
                SourceProblem::Replaced,
                format!("the table was replaced at version {version}; run a full refresh"),
            ));
        }
        if records_changes(metadata.configuration()) {
            return Ok(());
        }
        Err(self.table.source.problem(
            SourceProblem::FeedOff,
            format!(
                "the change data feed is off at version {version}; set the table's property \
                 {PROPERTY} = true, and run a full refresh"
            ),
        ))
    }

    /// With column mapping, a column may be dropped and another one added under its name: old rows
    /// lose their values, and no change says so.
    fn check_columns(
        &self,
        seen: &mut HashMap<String, String>,
        snapshot: &Snapshot,
    ) -> Result<(), Error> {
        for field in snapshot.schema().fields() {
            let physical = physical_name(field).to_owned();
            let before = seen.insert(field.name().clone(), physical.clone());
            if before.is_some_and(|before| before != physical) {
                return Err(self.another_column(field.name(), snapshot.version()));
            }
        }
        // One that is missing in between has values that its changes do not show under its name.
        let wanted = |name: &str| self.table.snapshot.schema().field(name).is_some();
        let missing = |name: &str| snapshot.schema().field(name).is_none() && wanted(name);
        match seen.keys().find(|name| missing(name)) {
            Some(name) => Err(self.another_column(name, snapshot.version())),
            None => Ok(()),
        }
    }

    fn another_column(&self, name: &str, version: Version) -> Error {
        self.table.source.problem(
            SourceProblem::FeedLost,
            format!(
                "column \"{name}\" was dropped and made again, or renamed, at version {version}, \
                 which the change data feed does not show; run a full refresh"
            ),
        )
    }
}

impl SourceTable {
    /// What the files call the columns, in the columns' order.
    pub(crate) fn physical_names(&self) -> Vec<String> {
        self.snapshot.schema().fields().map(|field| physical_name(field).to_owned()).collect()
    }

    /// Whether the table records its changes now.
    pub(crate) fn has_feed(&self) -> bool {
        records_changes(self.snapshot.table_configuration().metadata().configuration())
    }

    pub(crate) fn no_feed(&self) -> Error {
        self.source.problem(
            SourceProblem::FeedOff,
            format!(
                "the change data feed is off; set the table's property {PROPERTY} = true, and start \
                 again"
            ),
        )
    }
}

fn records_changes(properties: &HashMap<String, String>) -> bool {
    properties.get(PROPERTY).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Positions hold what a log has given, which is never below zero.
fn version(version: i64) -> Version {
    Version::try_from(version).unwrap_or_default()
}
