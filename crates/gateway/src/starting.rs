//! A login for an instance that is just starting waits for it, instead of being sent away.
//!
//! Owns: for how long, and how many do. Only logins with a verified token come here.

use tokio::io::AsyncBufReadExt;
use tokio::time::timeout;

use crate::Gateway;
use crate::error::Refusal;
use crate::hello::ClientStream;
use crate::route::{Backend, BackendFailure, Instance};

/// The instance's server. Ends when the client leaves, too.
pub(crate) async fn backend(
    gateway: &Gateway,
    instance: &Instance,
    stream: &mut ClientStream,
) -> Result<Backend, Refusal> {
    let starting = match gateway.route.backend(&instance.uid).await {
        Err(failure @ BackendFailure::Starting { .. }) => failure,
        known => return Ok(known?),
    };
    let Ok(_held) = gateway.held.try_acquire() else { return Err(starting.into()) };
    let started = gateway.route.backend_once_started(instance);
    tokio::select! {
        started = timeout(gateway.limits.starting_timeout, started) => match started {
            Ok(known) => Ok(known?),
            Err(_) => Err(starting.into()),
        },
        refusal = left(stream) => Err(refusal),
    }
}

/// Returns when the client has gone. What it sends is kept for its session.
async fn left(stream: &mut ClientStream) -> Refusal {
    match stream.fill_buf().await {
        Ok([]) => std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into(),
        Ok(_) => std::future::pending().await,
        Err(error) => error.into(),
    }
}
