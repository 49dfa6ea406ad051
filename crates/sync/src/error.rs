//! Everything that can go wrong, in the words that a user of the table needs.
//!
//! Owns: the error type, and the way from kernel and server errors to it. Every message is public: it
//! names tables, files, columns and keys, and never holds storage options or passwords.

use lakeport_pg::describe;
use tokio_postgres::error::SqlState;

use crate::job::TableName;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The Delta side. The kernel's own error is not kept as a source: it may show signed URLs.
    #[error("cannot read the Delta table at {location}: {message}")]
    Source { location: String, problem: SourceProblem, message: String },
    /// The source is readable, but PostgreSQL cannot hold what it says.
    #[error("cannot load {table}{}: {what}", place(.column.as_deref(), .key.as_deref()))]
    Data { table: String, column: Option<String>, key: Option<String>, what: String },
    /// The PostgreSQL side.
    #[error("cannot {operation} {table}: {message}")]
    Target {
        operation: &'static str,
        table: String,
        sqlstate: Option<String>,
        message: String,
        #[source]
        source: Option<tokio_postgres::Error>,
    },
    /// The source's columns are others than the table's, and nobody has asked to follow that.
    #[error("cannot refresh {table}: {what}; run a full refresh to follow the source")]
    Shape { table: String, what: String },
    #[error("the sync was cancelled; the table holds a whole version")]
    Cancelled,
    /// The job itself asks for something that cannot be done.
    #[error("{message}")]
    Config { message: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceProblem {
    /// The location does not exist.
    Missing,
    /// The location exists and has no Delta log.
    NotDelta,
    /// A table feature or a type that cannot be read.
    Unsupported,
    /// The log names a file that is not there.
    MissingFile,
    /// A file, or the log, is damaged.
    Corrupt,
    /// The store did not answer, or refused.
    Unavailable,
    /// The change data feed is, or was, not switched on.
    FeedOff,
    /// A part of the log or of the change data that is needed was removed.
    FeedLost,
    /// Another table stands at the location now, or this one was set back.
    Replaced,
}

impl Error {
    /// The text for users; never holds credentials.
    #[must_use]
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// Whether the changes are out of reach, while the whole table is not.
    #[must_use]
    pub fn heals_by_reload(&self) -> bool {
        use SourceProblem::{FeedLost, FeedOff, Replaced};
        let is_gap = matches!(self, Self::Source { problem: FeedLost | FeedOff | Replaced, .. });
        is_gap || matches!(self, Self::Shape { .. })
    }

    /// Whether the source records no changes to follow.
    #[must_use]
    pub fn is_feed_off(&self) -> bool {
        matches!(self, Self::Source { problem: SourceProblem::FeedOff, .. })
    }

    #[must_use]
    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Target { sqlstate, .. } => sqlstate.as_deref(),
            _ => None,
        }
    }

    /// The target's disk is full: what is needed is space, not another try.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.sqlstate() == Some(SqlState::DISK_FULL.code())
    }

    /// Whether the same run may succeed later with nothing changed by anybody.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Source { problem, .. } => *problem == SourceProblem::Unavailable,
            Self::Target { sqlstate: Some(state), .. } => is_passing(state),
            // Without a SQLSTATE it was the connection that failed.
            Self::Target { sqlstate: None, source, .. } => source.is_some(),
            Self::Data { .. } | Self::Shape { .. } | Self::Cancelled | Self::Config { .. } => false,
        }
    }

    /// For `map_err` on a server call: what was being done, and to which table.
    pub(crate) fn target(
        operation: &'static str,
        table: &TableName,
    ) -> impl FnOnce(tokio_postgres::Error) -> Self {
        move |error| Self::Target {
            operation,
            table: table.to_string(),
            sqlstate: error.code().map(|code| code.code().to_owned()),
            message: explain(&error),
            source: Some(error),
        }
    }

    /// A refusal of ours, with the SQLSTATE that a server would give.
    pub(crate) fn refused(
        operation: &'static str,
        table: &TableName,
        sqlstate: &SqlState,
        message: String,
    ) -> Self {
        Self::Target {
            operation,
            table: table.to_string(),
            sqlstate: Some(sqlstate.code().to_owned()),
            message,
            source: None,
        }
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::Config { message: message.into() }
    }
}

fn place(column: Option<&str>, key: Option<&str>) -> String {
    let column = column.map(|column| format!(", column \"{column}\"")).unwrap_or_default();
    let key = key.map(|key| format!(", row with the key ({key})")).unwrap_or_default();
    format!("{column}{key}")
}

fn is_passing(sqlstate: &str) -> bool {
    const PASSING: [SqlState; 6] = [
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
    ];
    sqlstate.starts_with("08")
        || sqlstate == SqlState::CANNOT_CONNECT_NOW.code()
        || PASSING.iter().any(|passing| passing.code() == sqlstate)
}

fn explain(error: &tokio_postgres::Error) -> String {
    let message = describe(error);
    let context = error.as_db_error().and_then(|db| db.where_());
    let message = match context {
        Some(context) => format!("{message}, at {}", context.lines().next().unwrap_or_default()),
        None => message,
    };
    match error.code() {
        Some(code) if *code == SqlState::DISK_FULL => {
            format!("the database's disk is full; free or add space, then sync again ({message})")
        }
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => {
            format!("another session holds a lock that is needed; sync again later ({message})")
        }
        Some(code) if *code == SqlState::PROGRAM_LIMIT_EXCEEDED => {
            let routine = error.as_db_error().and_then(|db| db.routine());
            format!("{} ({message})", beyond_limit(routine.unwrap_or_default()))
        }
        _ => message,
    }
}

/// Which of PostgreSQL's limits a routine of the server keeps: its messages may be in another language.
fn beyond_limit(routine: &str) -> &'static str {
    match routine {
        "RelationGetBufferForTuple" | "raw_heap_insert" => {
            "a row does not fit into a page of 8 kB, as far as its values cannot be stored aside; sync \
             fewer columns, or narrower ones"
        }
        _ if is_index_limit(routine) => {
            "a value is too long for an entry of an index; drop that index if it is yours, or choose \
             another key"
        }
        _ => "a value is larger than PostgreSQL can hold; shorten it at the source",
    }
}

/// Whether the routine refuses entries of indexes.
pub(crate) fn is_index_limit(routine: &str) -> bool {
    const ROUTINES: [&str; 7] = [
        "_bt_check_third_page",
        "index_form_tuple",
        "index_form_tuple_context",
        "GinFormTuple",
        "_hash_doinsert",
        "gistSplit",
        "SpGistGetBuffer",
    ];
    ROUTINES.contains(&routine) || routine.starts_with("spgdoinsert")
}
