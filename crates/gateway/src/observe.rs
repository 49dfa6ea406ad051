//! What is told of connections, for whoever keeps an audit log or counts.
//!
//! Only the trait and its vocabulary. No event holds a token or a password.

use std::net::SocketAddr;
use std::time::Duration;

use crate::route::{Identity, Instance};

/// Told of what happens, by the connection's own task: an answer must come at once.
pub trait Observe: Send + Sync {
    /// Somebody asked to log in, and was let in or refused.
    fn login(&self, login: &Login<'_>);
    /// A session is over.
    fn ended(&self, ended: &Ended<'_>);
    /// A connection ended before it had asked to log in.
    fn turned_away(&self, source: SocketAddr, why: TurnedAway<'_>);
    /// Somebody asked to cancel a query; `found` tells whether the key was right.
    fn cancelled(&self, source: SocketAddr, found: bool);
}

/// A login, whatever came of it.
#[derive(Debug)]
pub struct Login<'a> {
    /// The same in the session's end.
    pub session: u64,
    pub source: SocketAddr,
    /// The host name of the TLS handshake.
    pub server_name: Option<&'a str>,
    /// The role of the start-up packet.
    pub user: &'a str,
    pub application: Option<String>,
    /// Of a token that was right.
    pub identity: Option<&'a Identity>,
    pub instance: Option<&'a Instance>,
    /// `None` for a session.
    pub refusal: Option<Refused<'a>>,
    pub times: Times,
}

#[derive(Debug)]
pub struct Refused<'a> {
    pub sqlstate: &'a str,
    /// What the client was told.
    pub message: String,
    /// What it was not told, perhaps.
    pub reason: String,
    /// Whether it counts as a wrong password.
    pub is_credential: bool,
    /// How long the answer is held back.
    pub held_back: Duration,
}

/// How long the parts of a login took; those that it did not come to are not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// From accept to a whole start-up packet.
    pub startup: Duration,
    /// The check of the token.
    pub token: Option<Duration>,
    /// Finding the instance.
    pub route: Option<Duration>,
    /// The instance's server becoming ready.
    pub backend: Option<Duration>,
    /// From accept to the outcome.
    pub total: Duration,
}

#[derive(Debug)]
pub struct Ended<'a> {
    pub session: u64,
    pub source: SocketAddr,
    pub user: &'a str,
    pub identity: Option<&'a Identity>,
    pub instance: Option<&'a Instance>,
    pub reason: String,
    pub to_server: u64,
    pub to_client: u64,
    /// Since accept.
    pub duration: Duration,
}

/// Why nobody got as far as asking for a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway<'a> {
    /// It left, or was never a client at all.
    Left,
    /// No place was free, or its place was given to somebody else.
    Crowded,
    /// No whole start-up packet in time.
    Slow,
    /// It was told what is wrong.
    Refused(&'a str),
    /// Its proxy's header was not right.
    Proxy(&'a str),
}
