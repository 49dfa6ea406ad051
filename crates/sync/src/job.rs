//! What one run is asked for, and what it answers.
//!
//! Owns: the plain data of the public API. Never does any work.

use std::collections::HashMap;
use std::fmt;

/// Where a Delta table is, and how to get in.
#[derive(Clone, Default)]
pub struct Source {
    /// A path or a `file:///`, `s3://`, `abfss://` or `gs://` URL.
    pub location: String,
    /// The object store's options, by the names that `object_store` uses. May hold credentials.
    pub storage_options: HashMap<String, String>,
}

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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_bytes: 512 * 1024 * 1024,
            null_bytes: NullBytes::Fail,
            force: false,
            readers: None,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The table was made and filled.
    Loaded,
    /// The table was there and got the differences.
    Refreshed,
    /// The table already holds the source's version.
    Unchanged,
}
