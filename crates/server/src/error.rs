//! Why a server did not start, in words for the person who started it.

use std::fmt::Display;
use std::io;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Config(String),
    #[error("{0}")]
    Port(String),
    #[error("{action} {object}: {source}")]
    Io { action: &'static str, object: String, source: io::Error },
    #[error("{0}")]
    InUse(String),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("{operation}: {source}")]
    Control { operation: &'static str, source: lakeport_control::Error },
    #[error(transparent)]
    Engine(#[from] lakeport_engine::Error),
    #[error(transparent)]
    Identity(#[from] lakeport_identity::Error),
    #[error(transparent)]
    Store(#[from] lakeport_store::Error),
}

impl Error {
    pub(crate) fn io(action: &'static str, object: impl Display) -> impl FnOnce(io::Error) -> Self {
        let object = object.to_string();
        move |source| Self::Io { action, object, source }
    }

    pub(crate) fn control(operation: &'static str) -> impl FnOnce(lakeport_control::Error) -> Self {
        move |source| Self::Control { operation, source }
    }
}
