//! The TLS gateway for the PostgreSQL wire.
//!
//! It accepts connections, speaks TLS and the start-up part of the protocol, has the password (a
//! token) checked, finds the instance that is meant, logs in to that instance's PostgreSQL server
//! as the real role, and from then on relays bytes without looking at them.
//!
//! It never decides who a token speaks for or where an instance runs, and keeps no log of its own: it
//! declares [`Authenticate`], [`Route`] and [`Observe`], and whoever wires it brings all three. It never pools backends, never parses SQL and
//! never sends a statement of its own.

mod admission;
mod borders;
mod cancel;
mod connection;
mod error;
mod failures;
#[cfg(test)]
mod fuzz;
mod hello;
mod limits;
mod listener;
mod login;
mod message;
mod observe;
mod options;
mod proxy;
mod relay;
mod route;
mod sessions;
mod starting;
mod startup;
mod threads;
mod tls;
mod upstream;
mod windows;

pub use admission::{Admission, Place, Room, Source};
pub use limits::{KeepAlive, Limits};
pub use observe::{Ended, Login, Observe, Refused, Times, TurnedAway};
pub use route::{
    AuthFailure, Authenticate, Backend, BackendFailure, Identity, Instance, Route, RouteFailure,
    Selector,
};
pub use sessions::{Moved, Opened};
pub use tls::tls_config;
pub use windows::Windows;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often sessions are looked at, depending on how long they may be idle or open.
const SHORTEST_LOOK: Duration = Duration::from_millis(50);
const LONGEST_LOOK: Duration = Duration::from_secs(30);

/// One gateway: what its listeners share.
pub struct Gateway {
    auth: Arc<dyn Authenticate>,
    route: Arc<dyn Route>,
    observe: Arc<dyn Observe>,
    limits: Limits,
    admission: Admission,
    failures: failures::Failures,
    cancels: cancel::CancelKeys,
    sessions: sessions::Sessions,
    threads: threads::Threads,
    /// Room for logins that wait for their instance to start.
    held: Semaphore,
    /// Cancelled once, by [`Gateway::drain`].
    draining: CancellationToken,
    connections: TaskTracker,
}

impl Gateway {
    /// Starts the threads that will carry its connections; they end with it.
    pub fn new(
        auth: Arc<dyn Authenticate>,
        route: Arc<dyn Route>,
        observe: Arc<dyn Observe>,
        limits: Limits,
    ) -> io::Result<Arc<Self>> {
        let draining = CancellationToken::new();
        Ok(Arc::new(Self {
            auth,
            route,
            observe,
            admission: Admission::new(limits.room.clone()),
            failures: failures::Failures::new(&limits),
            held: Semaphore::new(limits.held_logins),
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

    /// Ends sessions that have been idle or open for too long, until `cancel`.
    pub async fn watch_sessions(&self, cancel: CancellationToken) {
        let (idle, age) = (self.limits.session_idle, self.limits.session_age);
        let Some(shortest) = idle.into_iter().chain(age).min() else { return };
        let pause = (shortest / 10).clamp(SHORTEST_LOOK, LONGEST_LOOK);
        while cancel.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
            self.sessions.close_too_long(Instant::now(), idle, age);
        }
    }

    /// How many sessions are open: logged in, and not ended yet.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The same by the uid of the instance.
    pub fn sessions_by_instance(&self) -> HashMap<String, usize> {
        self.sessions.by_instance()
    }

    /// What all sessions have moved, open and ended.
    pub fn moved(&self) -> Moved {
        self.sessions.moved()
    }

    /// How many connections have not logged in yet.
    pub fn waiting(&self) -> usize {
        self.admission.taken()
    }

    /// Ends the open sessions of one instance with FATAL 57P01; returns how many there were.
    pub fn close_sessions(&self, uid: &str) -> usize {
        self.sessions.close(uid)
    }

    /// Whose sessions are open, each once.
    pub fn open_sessions(&self) -> Vec<Opened> {
        self.sessions.list()
    }

    /// Ends one principal's sessions as one role on one instance with FATAL 57P01.
    pub fn close_sessions_of(&self, whose: &Opened) -> usize {
        self.sessions.close_of(whose)
    }
}
