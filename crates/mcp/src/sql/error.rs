//! What PostgreSQL says when it refuses, and what comes between us and it.

use std::io;

use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::ErrorFields;

use crate::failure::{Failure, code};

#[derive(Debug, thiserror::Error)]
pub(crate) enum SqlError {
    #[error("{}", .0.message)]
    Server(Box<ServerError>),
    #[error("the connection to PostgreSQL broke: {0}")]
    Broken(#[from] io::Error),
    #[error("a row is longer than {} MiB", .most >> 20)]
    TooLong { most: usize },
    #[error("the statement was still running after {seconds} s")]
    TimedOut { seconds: u64 },
}

/// An ErrorResponse or a notice.
#[derive(Debug, Default)]
pub(crate) struct ServerError {
    pub(crate) sqlstate: String,
    pub(crate) message: String,
    detail: Option<String>,
    hint: Option<String>,
    position: Option<String>,
}

impl ServerError {
    pub(super) fn read(mut fields: ErrorFields<'_>) -> Self {
        let mut error = Self::default();
        while let Ok(Some(field)) = fields.next() {
            let text = String::from_utf8_lossy(field.value_bytes()).into_owned();
            match field.type_() {
                b'C' => error.sqlstate = text,
                b'M' => error.message = text,
                b'D' => error.detail = Some(text),
                b'H' => error.hint = Some(text),
                b'P' => error.position = Some(text),
                _ => {}
            }
        }
        error
    }

    /// Message and detail, as psql shows a notice.
    pub(super) fn text(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{}: {detail}", self.message),
            None => self.message.clone(),
        }
    }
}

impl SqlError {
    pub(super) fn server(fields: ErrorFields<'_>) -> Self {
        Self::Server(Box::new(ServerError::read(fields)))
    }
}

impl From<SqlError> for Failure {
    fn from(error: SqlError) -> Self {
        match error {
            SqlError::Server(error) => refused(*error),
            SqlError::Broken(_) => Self::new(code::UNAVAILABLE, error.to_string())
                .hint("look at the instance's state, and try again if it is AVAILABLE"),
            SqlError::TooLong { .. } => Self::new(code::INVALID, error.to_string())
                .hint("select fewer columns, or parts of long values with left() or substring()"),
            SqlError::TimedOut { .. } => Self::new("57014", error.to_string()),
        }
    }
}

fn refused(error: ServerError) -> Failure {
    let mut failure = Failure::new(&error.sqlstate, &error.message);
    let hint = error.hint.or_else(|| advice(&error.sqlstate).map(str::to_owned));
    if let Some(hint) = hint {
        failure = failure.hint(hint);
    }
    for (name, value) in [("detail", error.detail), ("position", error.position)] {
        if let Some(value) = value {
            failure = failure.field(name, value);
        }
    }
    failure.field("sqlstate", error.sqlstate)
}

/// Where PostgreSQL's own words do not help an agent further.
fn advice(sqlstate: &str) -> Option<&'static str> {
    Some(match sqlstate {
        "25006" => "this tool only reads; lakebase_execute writes, if the operator allows it",
        "25001" => "statements that cannot run in a transaction are not served here; use psql",
        "57014" => "the statement took longer than the operator allows; narrow it, or add an index",
        "55P03" => "somebody else holds a lock that the statement needs; try again later",
        "42601" => "send exactly one statement, without a second one after a semicolon",
        "42P01" | "42703" => "lakebase_schema shows the tables and columns that there are",
        "28000" | "28P01" => {
            "the caller has no role here, or may not log in; ask the owner of the instance"
        }
        "25P03" => "the cursor was idle for too long; run the query again",
        _ => return None,
    })
}
