//! The TLS gateway for the PostgreSQL wire.
//!
//! It accepts connections, speaks TLS and the start-up part of the protocol, has the password (a
//! token) checked, finds the instance that is meant, logs in to that instance's PostgreSQL server
//! as the real role, and from then on relays bytes without looking at them.
//!
//! It never decides who a token speaks for or where an instance runs: it declares [`Authenticate`]
//! and [`Route`], and whoever wires it brings both. It never pools backends, never parses SQL and
//! never sends a statement of its own.

mod cancel;
mod connection;
mod error;
mod hello;
mod limits;
mod listener;
mod login;
mod message;
mod options;
mod relay;
mod route;
mod sessions;
mod startup;
mod threads;
mod tls;
mod upstream;

pub use limits::Limits;
pub use route::{
    AuthFailure, Authenticate, Backend, BackendFailure, Identity, Instance, Route, RouteFailure,
    Selector,
};
pub use tls::tls_config;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// One gateway: what its listeners share.
pub struct Gateway {
    auth: Arc<dyn Authenticate>,
    route: Arc<dyn Route>,
    limits: Limits,
    admission: limits::Admission,
    failures: limits::Failures,
    cancels: cancel::CancelKeys,
    sessions: sessions::Sessions,
    threads: threads::Threads,
    /// Cancelled once, by [`Gateway::drain`].
    draining: CancellationToken,
    connections: TaskTracker,
}

impl Gateway {
    /// Starts the threads that will carry its connections; they end with it.
    pub fn new(
        auth: Arc<dyn Authenticate>,
        route: Arc<dyn Route>,
        limits: Limits,
    ) -> io::Result<Arc<Self>> {
        let draining = CancellationToken::new();
        Ok(Arc::new(Self {
            auth,
            route,
            admission: limits::Admission::new(&limits),
            failures: limits::Failures::new(&limits),
            limits,
            cancels: cancel::CancelKeys::default(),
            sessions: sessions::Sessions::new(draining.clone()),
            threads: threads::Threads::start()?,
            draining,
            connections: TaskTracker::new(),
        }))
    }

    /// Serves one listener until `cancel` or [`Gateway::drain`]; an accept error never ends it.
    /// Many listeners (one for each loopback address) may share one gateway. Sessions outlive
    /// their listener: `drain` and [`Gateway::close_sessions`] end them.
    pub async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        cancel: CancellationToken,
    ) {
        listener::serve(self, listener, tls, cancel).await;
    }

    /// Ends everything: no new logins, and every open session is told FATAL 57P01 and closed.
    /// Returns when the last connection has ended, after `deadline` at the latest.
    pub async fn drain(&self, deadline: Duration) {
        self.draining.cancel();
        self.connections.close();
        if tokio::time::timeout(deadline, self.connections.wait()).await.is_err() {
            tracing::warn!(
                open = self.connections.len(),
                "connections outlived the drain deadline"
            );
        }
    }

    /// How many sessions are open: logged in, and not ended yet.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Ends the open sessions of one instance with FATAL 57P01; returns how many there were.
    pub fn close_sessions(&self, uid: &str) -> usize {
        self.sessions.close(uid)
    }
}
