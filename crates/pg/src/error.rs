//! Reading PostgreSQL's errors: the SQLSTATE for programs, one line for people.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

#[must_use]
pub fn sqlstate(error: &Error) -> Option<&SqlState> {
    error.code()
}

/// One line with the server's own message, detail and SQLSTATE, or the transport's cause.
#[must_use]
pub fn describe(error: &Error) -> String {
    if let Some(db) = error.as_db_error() {
        let detail = db.detail().map(|detail| format!(" ({detail})")).unwrap_or_default();
        return format!("{}{detail} [SQLSTATE {}]", db.message(), db.code().code());
    }
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
