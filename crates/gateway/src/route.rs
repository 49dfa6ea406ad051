//! What the gateway asks of those who use it: who a token speaks for, and where an instance is.
//!
//! Only the traits and their vocabulary; no implementation lives in this crate.

use std::net::SocketAddr;
use std::path::PathBuf;

use async_trait::async_trait;

/// Who a verified token speaks for.
#[derive(Clone, Debug)]
pub struct Identity {
    pub subject: String,
    /// The PostgreSQL roles it may start as: the subject and its groups.
    pub roles: Vec<String>,
    /// The uids of the instances it is for.
    pub instances: Vec<String>,
    /// Names the token in the audit log; never the token itself.
    pub token_id: String,
    /// Names what the token came of and ends with, if anything.
    pub origin: Option<String>,
    /// The role that its sessions have, whichever of `roles` they ask for; none: the one they ask for.
    pub session_role: Option<String>,
}

/// Checks the password of a login.
#[async_trait]
pub trait Authenticate: Send + Sync {
    async fn authenticate(&self, token: &str) -> Result<Identity, AuthFailure>;

    /// The same for a password that is no token: one that the role has in PostgreSQL itself. Says no
    /// more than [`AuthFailure::NotAToken`] about whatever is wrong.
    async fn authenticate_natively(
        &self,
        instance: &Instance,
        role: &str,
        password: &str,
    ) -> Result<Identity, AuthFailure>;
}

/// Why a password was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthFailure {
    /// It does not even look like a JWT: somebody typed a password.
    #[error("the password is not a token")]
    NotAToken,
    #[error("the token expired {seconds_ago} seconds ago")]
    Expired { seconds_ago: u64 },
    #[error("the token is not valid")]
    Invalid,
    /// It could not be checked; nothing is known about it.
    #[error("tokens cannot be checked at the moment")]
    Unavailable,
}

/// What the client said about where it wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The host name in the TLS handshake (SNI).
    ServerName(String),
    /// The address that the client reached.
    LocalAddress(SocketAddr),
    /// `-c lakeport.instance=NAME` in the start-up options.
    Option(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub uid: String,
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteFailure {
    #[error("instances cannot be looked up at the moment")]
    Unavailable,
}

/// Where an instance's PostgreSQL server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The unix socket file itself: `DIR/.s.PGSQL.5432`.
    pub socket: PathBuf,
}

/// Why an instance cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendFailure {
    #[error("instance \"{name}\" is stopped")]
    Stopped { name: String },
    #[error("instance \"{name}\" is starting")]
    Starting { name: String },
    #[error("instance \"{name}\" is being deleted")]
    Deleting { name: String },
    #[error("instance \"{name}\" cannot run: {reason}")]
    Failed { name: String, reason: String },
    #[error("instances cannot be looked up at the moment")]
    Unavailable,
}

/// Finds the instance that a client means, and its server.
#[async_trait]
pub trait Route: Send + Sync {
    /// `None`: this selector names nothing. For an address or a server name that only means that
    /// it says nothing (a shared address, a foreign name); for an option it is an unknown name.
    async fn resolve(&self, selector: &Selector) -> Result<Option<Instance>, RouteFailure>;

    async fn instance(&self, uid: &str) -> Result<Option<Instance>, RouteFailure>;

    /// Answers at once: it does not wait for an instance to start.
    async fn backend(&self, uid: &str) -> Result<Backend, BackendFailure>;

    /// The same for an instance that starts: waits for as long as it does, and not longer. Whoever asks
    /// sets the limit.
    async fn backend_once_started(&self, instance: &Instance) -> Result<Backend, BackendFailure>;
}
