//! The bounds of one gateway, in one place.

use std::time::Duration;

use ipnet::IpNet;

use crate::admission::Room;

/// How much a stranger may take before a login, and a session afterwards.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accept to a whole start-up packet, the TLS handshake included.
    pub startup_timeout: Duration,
    /// From accept to a checked token and a known instance.
    pub login_timeout: Duration,
    /// From there to the instance's server being ready for queries.
    pub backend_timeout: Duration,
    /// How long a login waits for an instance that is starting, before that.
    pub starting_timeout: Duration,
    /// How many logins wait so at a time; further ones are told at once.
    pub held_logins: usize,
    /// Connections before login.
    pub room: Room,
    /// Refused passwords from one source within a minute that are answered at once.
    pub failures_per_minute: u32,
    /// The same for one instance, wherever they come from.
    pub instance_failures_per_minute: u32,
    /// How long each further answer is held back; loopback is exempt.
    pub failure_delay: Duration,
    /// A session ends when nothing was asked and nothing answered for so long.
    pub session_idle: Option<Duration>,
    /// A session ends when it is so old, whatever it does.
    pub session_age: Option<Duration>,
    /// When a silent client is asked whether it still lives.
    pub keep_alive: KeepAlive,
    /// Whoever connects from here begins with a PROXY protocol header, and is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// TCP's own question to a peer of which nothing is heard and which owes no acknowledgement.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// How long nothing is heard before the first question.
    pub idle: Duration,
    pub interval: Duration,
    /// How many questions without an answer end the connection.
    pub probes: u32,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), interval: Duration::from_secs(10), probes: 6 }
    }
}

const HOUR: Duration = Duration::from_secs(3_600);

impl Default for Limits {
    fn default() -> Self {
        Self {
            startup_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(30),
            backend_timeout: Duration::from_secs(15),
            starting_timeout: Duration::from_secs(60),
            held_logins: 512,
            room: Room {
                total: 2_000,
                per_source: 64,
                per_loopback: 1_000,
                patience: Duration::from_millis(500),
            },
            failures_per_minute: 10,
            instance_failures_per_minute: 100,
            failure_delay: Duration::from_secs(1),
            session_idle: Some(24 * HOUR),
            session_age: Some(72 * HOUR),
            keep_alive: KeepAlive::default(),
            trusted_proxies: Vec::new(),
        }
    }
}
