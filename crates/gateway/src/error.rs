//! What goes wrong between accept and relay, and how the client is told.
//!
//! One table: each refusal with its SQLSTATE, message, detail and hint. Nothing here depends on a
//! secret, and no refusal that can happen before a valid token says whether an instance or a role
//! exists.

use std::io;

use bytes::BytesMut;

use crate::message::{self, ErrorFields};
use crate::route::{AuthFailure, BackendFailure};

const ADMIN_SHUTDOWN: &str = "57P01";
const CANNOT_CONNECT_NOW: &str = "57P03";
const IDLE_SESSION_TIMEOUT: &str = "57P05";
const CONNECTION_FAILURE: &str = "08006";
const CONNECTION_REJECTED: &str = "08004";
const FEATURE_NOT_SUPPORTED: &str = "0A000";
pub(crate) const INVALID_AUTHORIZATION: &str = "28000";
const INVALID_PASSWORD: &str = "28P01";
const PROTOCOL_VIOLATION: &str = "08P01";
const TOO_MANY_CONNECTIONS: &str = "53300";

const TOKEN_HINT: &str = "The password is a database credential token. Get one with: \
    lakeport database generate-database-credential --json '{\"instance_names\": [\"NAME\"]}'";
const NATIVE_HINT: &str = "A password that PostgreSQL keeps needs enable_pg_native_login on the \
    instance, which the connection names, and a role that is no identity's.";
const OPTION_HINT: &str =
    "Name one instance in the connection string: options='-c lakeport.instance=NAME'";
const RESERVED_HINT: &str = "This role is reserved, or the instance does not know it yet.";
const RECONNECT_HINT: &str = "Connect again, with a token that is still valid.";

/// Why a connection does not become a session, or does not stay one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The client is gone, or never spoke TLS: there is nobody to answer.
    #[error("the client left: {0}")]
    Disconnected(#[from] io::Error),

    /// No start-up packet at all: closed without a byte, as PostgreSQL does. Whoever sends it would not
    /// understand an answer.
    #[error("{0}")]
    NoPacket(&'static str),
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the connection is not encrypted, and only SSL (TLS) connections are accepted")]
    Plaintext,
    #[error("received unencrypted data after an encryption request")]
    EarlyData,
    #[error("unsupported frontend protocol {major}.{minor}: server supports 3.0 to 3.2")]
    Protocol { major: u16, minor: u16 },
    #[error("replication connections are not accepted")]
    Replication,
    #[error("no PostgreSQL user name specified in startup packet")]
    NoUser,
    #[error("role name is longer than 63 bytes")]
    LongUser,
    #[error("too many connections are waiting to log in")]
    Crowded,
    #[error("login took longer than {seconds} seconds")]
    Slow { seconds: u64 },
    #[error("terminating connection due to administrator command")]
    Closing,
    #[error("terminating connection due to idle-session timeout")]
    Idle,
    #[error("terminating connection because it is too old")]
    Old,
    #[error("no random numbers for a cancel key")]
    Random,

    #[error("password authentication failed for user \"{user}\"")]
    Credential { user: String, failure: AuthFailure },
    #[error("password authentication failed for user \"{user}\"")]
    WrongUser { user: String, subject: String },
    #[error("password authentication failed for user \"{user}\"")]
    WrongInstance { user: String },
    #[error("the password cannot be checked at the moment")]
    AuthUnavailable,

    #[error("the connection names two instances, \"{one}\" and \"{other}\"")]
    Contradiction { one: String, other: String },
    #[error(
        "the token is for {count} instances, and the connection does not say which one is meant"
    )]
    Ambiguous { count: usize },
    #[error("instance \"{name}\" not found or no access")]
    NotFound { name: String },
    #[error("instances cannot be looked up at the moment")]
    RouteUnavailable,

    #[error(transparent)]
    Backend(#[from] BackendFailure),
    #[error("instance \"{name}\" does not accept connections")]
    Unreachable { name: String, source: io::Error },
    #[error("instance \"{name}\" did not answer within {seconds} seconds")]
    BackendSlow { name: String, seconds: u64 },
    #[error("instance \"{name}\" does not let the gateway in")]
    NotLetIn { name: String },
    #[error("role \"{role}\" cannot log in to this instance")]
    NoLogin { role: String },
    #[error("instance \"{name}\" answered the login with something unexpected")]
    BackendProtocol { name: String },
    /// The server's own words, passed on as they are.
    #[error("{}", .0.message())]
    Server(ErrorFields),
}

/// The parts of an answer beside its message.
#[derive(Default)]
struct Report {
    sqlstate: &'static str,
    detail: Option<String>,
    hint: Option<String>,
}

impl Report {
    fn new(sqlstate: &'static str) -> Self {
        Self { sqlstate, ..Self::default() }
    }

    fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl Refusal {
    fn report(&self) -> Report {
        match self {
            Self::Disconnected(_) | Self::Random => Report::new(CONNECTION_FAILURE),
            Self::NoPacket(_) | Self::Malformed(_) => Report::new(PROTOCOL_VIOLATION),
            Self::Plaintext => Report::new(INVALID_AUTHORIZATION)
                .hint("Set sslmode=require, or sslmode=verify-full with the server's CA file."),
            Self::EarlyData => Report::new(PROTOCOL_VIOLATION).detail(
                "Either the client has a bug, or somebody between it and the server adds bytes.",
            ),
            Self::Protocol { .. } => Report::new(FEATURE_NOT_SUPPORTED),
            Self::Replication => Report::new(FEATURE_NOT_SUPPORTED)
                .detail("The gateway opens sessions for SQL; it does not stream an instance's WAL.")
                .hint(
                    "Connect without the parameter \"replication\"; COPY and pg_dump read data so.",
                ),
            Self::NoUser | Self::LongUser => Report::new(INVALID_AUTHORIZATION),
            Self::Crowded => Report::new(TOO_MANY_CONNECTIONS).hint("Try again in a moment."),
            Self::Slow { .. } => Report::new(CONNECTION_FAILURE),
            Self::Closing => Report::new(ADMIN_SHUTDOWN),
            Self::Idle => Report::new(IDLE_SESSION_TIMEOUT).hint(RECONNECT_HINT),
            Self::Old => Report::new(ADMIN_SHUTDOWN).hint(RECONNECT_HINT),

            Self::Credential { failure, .. } => credential_report(failure),
            Self::WrongUser { user, subject } => Report::new(INVALID_PASSWORD)
                .detail(format!(
                    "The token is for \"{subject}\", who may not log in as \"{user}\"."
                ))
                .hint("Log in as the token's subject or as one of its groups."),
            Self::WrongInstance { .. } => Report::new(INVALID_PASSWORD)
                .detail("The token is not for this instance.")
                .hint(TOKEN_HINT),
            Self::AuthUnavailable | Self::RouteUnavailable => {
                Report::new(CONNECTION_FAILURE).hint("Try again in a moment.")
            }

            Self::Contradiction { .. } => Report::new(PROTOCOL_VIOLATION)
                .detail("The host name, the address and the start-up option must agree.")
                .hint(OPTION_HINT),
            Self::Ambiguous { .. } => Report::new(CONNECTION_REJECTED).hint(OPTION_HINT),
            Self::NotFound { .. } => Report::new(CONNECTION_REJECTED)
                .hint("See what there is with: lakeport database list-database-instances"),

            Self::Backend(failure) => backend_report(failure),
            Self::Unreachable { .. } | Self::BackendSlow { .. } => Report::new(CONNECTION_FAILURE)
                .hint("Try again in a moment; the instance may be starting again."),
            Self::NotLetIn { .. } => Report::new(CONNECTION_FAILURE)
                .detail("Its server asks the gateway for a password.")
                .hint("Restart the instance: its pg_hba.conf is written anew."),
            Self::NoLogin { .. } => Report::new(INVALID_AUTHORIZATION).hint(RESERVED_HINT),
            Self::BackendProtocol { .. } => Report::new(CONNECTION_FAILURE),
            // Encoded from its own fields; the SQLSTATE of the table is not used.
            Self::Server(_) => Report::new(CONNECTION_FAILURE),
        }
    }

    pub(crate) fn sqlstate(&self) -> &str {
        match self {
            Self::Server(fields) => fields.sqlstate(),
            _ => self.report().sqlstate,
        }
    }

    /// Whether anybody is told.
    pub(crate) fn is_answered(&self) -> bool {
        !matches!(self, Self::Disconnected(_) | Self::NoPacket(_))
    }

    /// Whether it counts as a guess at a password.
    pub(crate) fn is_credential(&self) -> bool {
        self.sqlstate() == INVALID_PASSWORD
    }

    /// What it comes from, which the client is not always told.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Credential { failure, .. } => failure.to_string(),
            Self::WrongUser { .. } => String::from("the token is for another user"),
            Self::WrongInstance { .. } => String::from("the token is not for this instance"),
            Self::Unreachable { source, .. } => source.to_string(),
            other => other.to_string(),
        }
    }

    /// The ErrorResponse for the client.
    pub(crate) fn encode(&self) -> BytesMut {
        let mut out = BytesMut::new();
        match self {
            Self::Server(fields) => fields.encode(&mut out),
            // As PostgreSQL does; for it, all zeros is no version yet.
            Self::Protocol { major, minor } if *major < 3 && (*major, *minor) != (0, 0) => {
                message::old_error(&mut out, &self.to_string());
            }
            _ => self.encode_report(&mut out),
        }
        out
    }

    fn encode_report(&self, out: &mut BytesMut) {
        let report = self.report();
        let message = self.to_string();
        let fields = [
            (b'S', Some("FATAL")),
            (b'V', Some("FATAL")),
            (b'C', Some(report.sqlstate)),
            (b'M', Some(message.as_str())),
            (b'D', report.detail.as_deref()),
            (b'H', report.hint.as_deref()),
        ];
        message::error_response(out, fields);
    }
}

fn credential_report(failure: &AuthFailure) -> Report {
    let report = Report::new(INVALID_PASSWORD).hint(format!("{TOKEN_HINT}. {NATIVE_HINT}"));
    match failure {
        AuthFailure::Expired { seconds_ago } => {
            report.detail(format!("The token expired {seconds_ago} seconds ago."))
        }
        // All told the same: a forger learns nothing from how far he came.
        AuthFailure::NotAToken | AuthFailure::Invalid | AuthFailure::Unavailable => report,
    }
}

fn backend_report(failure: &BackendFailure) -> Report {
    match failure {
        BackendFailure::Stopped { name } => Report::new(CANNOT_CONNECT_NOW).hint(format!(
            "Start it with: lakeport database update-database-instance {name} stopped \
             --json '{{\"stopped\": false}}'"
        )),
        BackendFailure::Starting { .. } => {
            Report::new(CANNOT_CONNECT_NOW).hint("Try again in a moment.")
        }
        BackendFailure::Deleting { .. } => Report::new(CANNOT_CONNECT_NOW),
        BackendFailure::Failed { name, .. } => Report::new(CANNOT_CONNECT_NOW)
            .hint(format!("See: lakeport database get-database-instance {name}")),
        BackendFailure::Unavailable => {
            Report::new(CONNECTION_FAILURE).hint("Try again in a moment.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopped_instance_says_how_to_start_it() {
        let refusal = Refusal::from(BackendFailure::Stopped { name: "shop".into() });
        let text = String::from_utf8_lossy(&refusal.encode()).into_owned();
        assert!(text.contains("C57P03\0Minstance \"shop\" is stopped\0HStart it with: "), "{text}");
        assert!(
            text.contains("update-database-instance shop stopped --json '{\"stopped\": false}'\0"),
            "{text}"
        );
    }

    #[test]
    fn a_bad_token_is_told_no_reason() {
        let refusal = |failure| Refusal::Credential { user: "ann".into(), failure };
        let (invalid, other) = (refusal(AuthFailure::Invalid), refusal(AuthFailure::NotAToken));
        assert_eq!(invalid.encode(), other.encode());
        let text = String::from_utf8_lossy(&invalid.encode()).into_owned();
        assert!(text.contains("Mpassword authentication failed for user \"ann\"\0H"), "{text}");
        assert!(invalid.is_credential() && !Refusal::Plaintext.is_credential());
        assert_ne!(invalid.reason(), other.reason());
    }
}
