//! What can go wrong on the client side, with the operation and the object in every message.
//!
//! Owns: messages, hints, and the questions that callers ask of an error. Never: exit codes.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakeport_api::InstanceState;

use crate::ProfileError;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Profile(#[from] ProfileError),

    #[error("{operation}: {message}")]
    Api {
        operation: String,
        status: u16,
        /// Empty if the answer was not in the API's form.
        error_code: String,
        message: String,
        request_id: Option<String>,
    },

    #[error("{operation}: {host} cannot be reached: {reason}")]
    Transport {
        operation: String,
        host: String,
        /// The innermost cause: the outer ones only repeat the address.
        reason: String,
        certificate: bool,
        source: reqwest::Error,
    },

    #[error("{operation}: {host} answered {status}, but not in the form of the API")]
    NotTheApi { operation: String, host: String, status: u16 },

    #[error("the login at {host} cannot be used: {reason}")]
    Login { host: String, reason: String },

    #[error("the cache of logins {path} cannot be used: {reason}")]
    LoginCache { path: PathBuf, reason: String },

    #[error("instance `{name}` is stopped")]
    Stopped { name: String },

    #[error("instance `{name}` is not available but {state:?}")]
    NotAvailable { name: String, state: InstanceState, message: Option<String> },

    #[error("instance `{name}` has no host name yet")]
    NoHostName { name: String },

    #[error("{operation}: the answer is not what the API promises: {source}")]
    Decode { operation: String, source: serde_json::Error },

    #[error("{operation}: `{name}` cannot be part of an address")]
    Name { operation: String, name: String },

    #[error("the HTTP client cannot be set up for {host}: {source}")]
    Setup { host: String, source: reqwest::Error },

    #[error("the certificate file {path} cannot be used: {reason}")]
    CaFile { path: PathBuf, reason: String },

    #[error(
        "instance `{name}` is {state:?} after {} s instead of {wanted:?}{}",
        .waited.as_secs(), detail(.message.as_deref())
    )]
    WaitTimeout {
        name: String,
        wanted: InstanceState,
        state: InstanceState,
        message: Option<String>,
        waited: Duration,
    },

    #[error("instance `{name}` is being deleted: it will not become {wanted:?}")]
    Deleting { name: String, wanted: InstanceState },

    #[error("instance `{name}` is still there after {} s", .waited.as_secs())]
    StillThere { name: String, waited: Duration },

    #[error("PostgreSQL at {host}:{port} cannot be reached: {source}")]
    Connect { host: String, port: u16, source: io::Error },

    #[error("TLS with PostgreSQL at {host}:{port} failed: {source}")]
    Tls { host: String, port: u16, source: io::Error },

    #[error("PostgreSQL at {host}:{port} does not offer TLS: the token is not sent in clear")]
    TlsRefused { host: String, port: u16 },

    #[error("`{host}` is neither a host name nor an address")]
    Host { host: String },

    #[error("the private socket in {dir} cannot be made: {source}")]
    Socket { dir: PathBuf, source: io::Error },

    #[error("the connection between the private socket and {host}:{port} broke: {source}")]
    Relay { host: String, port: u16, source: io::Error },

    /// One renewal of a token failed, and several callers waited for it.
    #[error(transparent)]
    Shared(Arc<Error>),
}

fn detail(message: Option<&str>) -> String {
    message.map(|message| format!(": {message}")).unwrap_or_default()
}

impl Error {
    pub(crate) fn transport(operation: String, host: String, source: reqwest::Error) -> Self {
        Self::Transport {
            operation,
            host,
            reason: innermost(&source),
            certificate: is_certificate_error(&source),
            source: source.without_url(),
        }
    }

    /// The error itself, if callers share it.
    fn own(&self) -> &Self {
        match self {
            Self::Shared(error) => error.own(),
            error => error,
        }
    }

    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.own() {
            Self::Api { status, .. } => Some(*status),
            _ => None,
        }
    }

    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    #[must_use]
    pub fn is_already_exists(&self) -> bool {
        self.status() == Some(409)
    }

    /// The caller is unknown or may not do this.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self.status(), Some(401 | 403)) || matches!(self.own(), Self::Login { .. })
    }

    /// What the person at the keyboard can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self.own() {
            Self::Profile(error) => error.hint(),
            Self::Api { status, request_id, .. } => api_hint(*status, request_id.as_deref()),
            Self::Transport { certificate: true, .. } => Some(String::from(
                "name the server's CA in LAKEPORT_CA_FILE or as `lakeport_ca_file` in the profile",
            )),
            Self::Transport { .. } => Some(String::from(
                "check that the server runs and that `host` in the profile (or DATABRICKS_HOST) is its address",
            )),
            Self::Login { host, .. } => Some(format!(
                "log in again: lakeport auth login --host {}",
                host.trim_end_matches('/')
            )),
            Self::LoginCache { .. } => {
                Some(String::from("mend or remove that file, and log in again"))
            }
            Self::Stopped { name } => Some(format!("start it: lakeport instance start {name}")),
            Self::NotAvailable { message, .. } => {
                Some(message.clone().unwrap_or_else(|| String::from("try again in a moment")))
            }
            Self::NoHostName { .. } => Some(String::from("try again in a moment")),
            Self::Decode { .. } | Self::NotTheApi { .. } => {
                Some(String::from("check that the host is a workspace or a Lakeport server"))
            }
            Self::CaFile { .. } => Some(String::from(
                "give a PEM file; a Lakeport server writes `ca.pem` to its data directory",
            )),
            Self::WaitTimeout { .. } | Self::StillThere { .. } => {
                Some(String::from("it goes on in the background: wait longer with --timeout"))
            }
            Self::Tls { .. } => Some(String::from(
                "check that LAKEPORT_CA_FILE or `lakeport_ca_file` is this server's CA",
            )),
            _ => None,
        }
    }
}

fn api_hint(status: u16, request_id: Option<&str>) -> Option<String> {
    match status {
        300..=399 => Some(String::from(
            "the server points elsewhere; the token is sent to the configured host only: \
             set the host to the right address",
        )),
        401 => Some(String::from(
            "the token is unknown or expired: put a fresh one in the profile or in DATABRICKS_TOKEN",
        )),
        403 => Some(String::from("ask the owner of the object or an administrator for the right")),
        500..=599 => {
            request_id.map(|id| format!("the server's log says more under the request id {id}"))
        }
        _ => None,
    }
}

fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

fn innermost(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

fn is_certificate_error(error: &(dyn StdError + 'static)) -> bool {
    causes(error)
        .filter_map(tls_error)
        .any(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
}

/// An I/O error hides what it holds from its chain of causes.
fn tls_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    cause.downcast_ref().or_else(|| tls_error(cause.downcast_ref::<io::Error>()?.get_ref()?))
}
