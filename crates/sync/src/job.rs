//! What one run is asked for, and what it answers.
//!
//! Owns: the plain data of the public API. Never does any work.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::target::Sessions;

/// Where a Delta table is, and how to get in.
#[derive(Clone, Default)]
pub struct Source {
    /// A path or a `file:///`, `s3://`, `abfss://` or `gs://` URL.
    pub location: String,
    /// The object store's options, by the names that `object_store` uses. May hold credentials.
    pub storage_options: HashMap<String, String>,
    /// Which files outside of its folder the table's log may name; none without it.
    pub may_read: Option<MayRead>,
}

/// Whether the file at a URL of the same store may be read.
pub type MayRead = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl fmt::Debug for Source {
    /// Neither the location, which may carry a signature, nor the options are shown in full.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<&String> = self.storage_options.keys().collect();
        f.debug_struct("Source")
            .field("location", &crate::source::shown(&self.location))
            .field("storage_options", &options)
            .finish()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    pub schema: String,
    pub table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

#[derive(Debug, Clone)]
pub struct Job {
    pub source: Source,
    /// The database, and the role that owns the table.
    pub target: tokio_postgres::Config,
    /// Where the connection is kept for the next run; without, each run has its own.
    pub sessions: Option<Sessions>,
    pub table: TableName,
    pub primary_key: Vec<String>,
    pub options: Options,
}

#[derive(Debug, Clone)]
pub struct Options {
    /// Bounds what is read ahead: files in flight and encoded rows that wait for the server.
    pub memory_bytes: usize,
    /// What happens to NUL characters, which PostgreSQL's text cannot hold.
    pub null_bytes: NullBytes,
    /// Run even if the source's version is the one that is applied already.
    pub force: bool,
    /// Files read at once; the machine's cores when absent.
    pub readers: Option<usize>,
    /// Where several source rows have one primary key, the one that is greatest here is kept.
    pub timeseries_key: Option<String>,
    /// A change run in which more than this share of the table's rows changes loads the table anew.
    pub reload_share: f64,
    /// A refresh that finds more than this share of the rows changed replaces all of them at once: readers wait
    /// meanwhile, and whoever began to read before sees none. Never without it.
    pub swap_share: Option<f64>,
    /// A run that cannot reach the changes, or whose source has other columns than before, loads the table anew
    /// instead of failing.
    pub reload_on_gap: bool,
    /// Columns that get another type than the one that follows from the source.
    pub type_choices: Vec<TypeChoice>,
}

/// Another type for one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeChoice {
    pub column: String,
    pub pg_type: PgType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PgType {
    /// For strings of so many characters at most.
    Varchar(u32),
    /// For arrays of so many numbers: types of the extension `vector`, which must be there.
    Vector(u16),
    HalfVector(u16),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes: 512 * 1024 * 1024,
            null_bytes: NullBytes::Fail,
            force: false,
            readers: None,
            timeseries_key: None,
            reload_share: 0.1,
            swap_share: None,
            reload_on_gap: false,
            type_choices: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NullBytes {
    /// The run fails and names the row.
    #[default]
    Fail,
    /// They are left out.
    Strip,
    /// Each becomes U+FFFD.
    Replace,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub version: i64,
    pub commit_timestamp_ms: Option<i64>,
    /// Rows in the table now.
    pub rows: u64,
    pub inserted: u64,
    pub updated: u64,
    pub deleted: u64,
    /// Source rows that were left out, because a part of their key is NULL.
    pub null_key_rows: u64,
    pub kind: Kind,
    /// The table belongs to the role that ran: since it was made, nobody has given it to another.
    pub owned: bool,
    /// All rows were replaced at once.
    pub swapped: bool,
    /// Why a change run has loaded the table anew, if it has.
    pub reload: Option<Reload>,
}

/// Why changes were not applied one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reload {
    /// It was asked for.
    Asked,
    /// More changed than is worth applying.
    TooManyChanges { changes: u64, rows: u64 },
    /// The changes do not add up to one row a key; only the whole table tells what is right.
    Unclear { keys: u64 },
    /// The newest row of a key is gone, and the changes do not tell which one is newest now.
    NewestDeleted { keys: u64 },
    /// The source's columns are others than before.
    Reshaped(String),
    /// The changes were out of reach.
    Gap(String),
    /// Readers of older builds may have read the source wrongly.
    Misread(String),
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asked => write!(f, "a full refresh was asked for"),
            Self::TooManyChanges { changes, rows } => {
                write!(f, "{changes} changes are too many for a table of {rows} rows")
            }
            Self::Unclear { keys } => {
                write!(f, "the changes of {keys} keys do not add up to one row each")
            }
            Self::NewestDeleted { keys } => write!(f, "the newest row of {keys} keys was deleted"),
            Self::Gap(problem) | Self::Reshaped(problem) => write!(f, "{problem}"),
            Self::Misread(what) => write!(f, "an older version may have read it wrongly: {what}"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The table was made and filled.
    Loaded,
    /// The table was there and got the differences.
    Refreshed,
    /// The table was there and got the changes of the source's change data feed.
    Changed,
    /// The table already holds the source's version.
    Unchanged,
}
