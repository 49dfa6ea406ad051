//! The error of every service: a kind that edges map to their own codes, a message that a caller may see,
//! and a source that only the log sees.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    InvalidArgument,
    /// Right in itself, but not in the object's present state.
    FailedPrecondition,
    NotFound,
    AlreadyExists,
    /// Someone else changed the object at the same time.
    Conflict,
    PermissionDenied,
    NotImplemented,
    Unavailable,
    Internal,
}

#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Names the field, what was wrong with it, and what to do.
    pub fn invalid(field: &str, problem: impl fmt::Display) -> Self {
        Self::new(Kind::InvalidArgument, format!("{field}: {problem}"))
    }

    pub fn precondition(message: impl Into<String>) -> Self {
        Self::new(Kind::FailedPrecondition, message)
    }

    /// Clients look for the words "not found".
    pub fn not_found(what: &str, name: &str) -> Self {
        Self::new(Kind::NotFound, format!("{what} \"{name}\" was not found"))
    }

    pub fn already_exists(message: impl Into<String>) -> Self {
        Self::new(Kind::AlreadyExists, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    pub fn denied(message: impl Into<String>) -> Self {
        Self::new(Kind::PermissionDenied, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::NotImplemented, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// The caller learns nothing but that it happened; the log gets the source.
    pub fn internal(
        operation: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind: Kind::Internal,
            message: format!("{operation} failed inside the server"),
            source: Some(source.into()),
        }
    }

    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What a caller may see.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|source| &**source as &(dyn std::error::Error + 'static))
    }
}

impl From<lakeport_store::Error> for Error {
    fn from(error: lakeport_store::Error) -> Self {
        let kind = match &error {
            lakeport_store::Error::Unavailable(_) => Kind::Unavailable,
            _ => return Self::internal("a metadata statement", error),
        };
        Self {
            kind,
            message: String::from("the metadata database does not answer; try again"),
            source: Some(Box::new(error)),
        }
    }
}

impl From<lakeport_identity::Error> for Error {
    fn from(error: lakeport_identity::Error) -> Self {
        match error {
            lakeport_identity::Error::Store(error) => error.into(),
            error => Self::internal("working with a token", error),
        }
    }
}

impl From<lakeport_catalog::Error> for Error {
    fn from(error: lakeport_catalog::Error) -> Self {
        match error {
            lakeport_catalog::Error::NoSuchTable(_) => Self::new(Kind::NotFound, error.to_string()),
            lakeport_catalog::Error::Location(_) | lakeport_catalog::Error::NotDelta(_) => {
                Self::new(Kind::InvalidArgument, error.to_string())
            }
            lakeport_catalog::Error::OutsideRefused(message) => {
                Self::new(Kind::FailedPrecondition, message)
            }
            lakeport_catalog::Error::OutsideDown(message) => Self::unavailable(message),
            lakeport_catalog::Error::Store(error) => error.into(),
        }
    }
}
