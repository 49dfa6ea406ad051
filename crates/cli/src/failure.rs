//! How a command fails: a message, what to do about it, and an exit code.
//!
//! Owns: the exit codes. Never: a stack of causes; a message is whole in itself.

use std::fmt::Display;
use std::process::ExitCode;

use lakeport_client::{Error, ProfileError};

use crate::output;

#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Failed = 1,
    Usage = 2,
    NotFound = 3,
    Denied = 4,
    /// A shell's convention for a program that Ctrl-C has ended.
    Interrupted = 130,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { kind: Kind::Failed, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { kind: Kind::Usage, ..Self::new(message) }
    }

    pub(crate) fn interrupted(message: impl Into<String>) -> Self {
        Self { kind: Kind::Interrupted, ..Self::new(message) }
    }

    #[cfg(feature = "server")]
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self { kind: Kind::NotFound, ..Self::new(message) }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// For `map_err`: what was being done, and what came in between.
    pub(crate) fn while_doing<E: Display>(what: impl Display) -> impl FnOnce(E) -> Self {
        move |error| Self::new(format!("{what}: {error}"))
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn what_to_do(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn report(&self) -> ExitCode {
        output::complain(&format!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            output::complain(&format!("hint: {hint}"));
        }
        ExitCode::from(self.kind as u8)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match &error {
            error if error.is_not_found() => Kind::NotFound,
            error if error.is_denied() => Kind::Denied,
            Error::Profile(ProfileError::NoToken { .. }) => Kind::Denied,
            Error::Name { .. } => Kind::Usage,
            _ => Kind::Failed,
        };
        Self { kind, message: error.to_string(), hint: error.hint() }
    }
}

impl From<ProfileError> for Failure {
    fn from(error: ProfileError) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16) -> Kind {
        let error = Error::Api {
            operation: String::from("get x"),
            status,
            error_code: String::new(),
            message: String::from("no"),
            request_id: None,
        };
        Failure::from(error).kind
    }

    #[test]
    fn exit_codes_follow_the_status() {
        assert_eq!(kind(404) as u8, 3);
        assert_eq!(kind(401) as u8, 4);
        assert_eq!(kind(403) as u8, 4);
        assert_eq!(kind(409) as u8, 1);
        assert_eq!(kind(500) as u8, 1);
        assert_eq!(Failure::usage("x").kind as u8, 2);
    }

    #[test]
    fn a_missing_token_counts_as_unauthenticated() {
        let error = ProfileError::NoToken { host: String::new(), looked_at: String::new() };
        let failure = Failure::from(error);
        assert_eq!(failure.kind, Kind::Denied);
        assert!(failure.hint.is_some());
    }
}
