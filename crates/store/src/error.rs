//! What can go wrong with the metadata database.

use std::error::Error as StdError;

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::WrongType;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the metadata database is not available: {0}")]
    Unavailable(String),
    /// A unique or foreign key refused the row; holds the constraint's name.
    #[error("the metadata database refused the row: constraint {0}")]
    Constraint(String),
    #[error("metadata statement failed: {}", lakeport_pg::describe(.0))]
    Statement(tokio_postgres::Error),
    #[error("{0}")]
    Schema(String),
    #[error("nobody would be left to administer the installation")]
    LastAdmin,
    #[error("a group would be a member of itself")]
    GroupRing,
}

impl Error {
    /// Whether the named constraint refused the row.
    #[must_use]
    pub fn is_constraint(&self, name: &str) -> bool {
        matches!(self, Self::Constraint(constraint) if constraint == name)
    }
}

impl From<tokio_postgres::Error> for Error {
    fn from(error: tokio_postgres::Error) -> Self {
        // A value of a type that the statement does not take is our fault, not the server's.
        if StdError::source(&error).is_some_and(|source| source.is::<WrongType>()) {
            return Self::Statement(error);
        }
        let Some(db) = error.as_db_error() else {
            return Self::Unavailable(lakeport_pg::describe(&error));
        };
        let keyed = [SqlState::UNIQUE_VIOLATION, SqlState::FOREIGN_KEY_VIOLATION];
        match db.constraint() {
            Some(constraint) if keyed.contains(db.code()) => {
                Self::Constraint(constraint.to_owned())
            }
            _ => Self::Statement(error),
        }
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Unavailable(lakeport_pg::describe(&error)),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
