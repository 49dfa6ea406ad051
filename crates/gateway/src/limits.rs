//! How much a stranger may take before a login: time, connections, tries.
//!
//! It counts by source prefix, because one machine has many addresses. It never looks at who a
//! client says it is, so nobody can lock out somebody else's identity.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::sessions::locked;

/// The bounds of one gateway.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accept to a whole start-up packet, the TLS handshake included.
    pub startup_timeout: Duration,
    /// From accept to a checked token and a known instance.
    pub login_timeout: Duration,
    /// From there to the instance's server being ready for queries.
    pub backend_timeout: Duration,
    /// Connections before login, all together.
    pub max_unauthenticated: usize,
    /// Connections before login from one /24 (IPv4) or /64 (IPv6).
    pub max_unauthenticated_per_source: usize,
    /// The same for loopback, where all clients of this machine count as one.
    pub max_unauthenticated_per_loopback: usize,
    /// Refused passwords from one source within a minute that are answered at once.
    pub failures_per_minute: u32,
    /// How long each further answer is held back; loopback is exempt.
    pub failure_delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            startup_timeout: Duration::from_secs(10),
            login_timeout: Duration::from_secs(30),
            backend_timeout: Duration::from_secs(15),
            max_unauthenticated: 2_000,
            max_unauthenticated_per_source: 64,
            max_unauthenticated_per_loopback: 1_000,
            failures_per_minute: 10,
            failure_delay: Duration::from_secs(1),
        }
    }
}

/// Where a connection comes from, as far as limits tell sources apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    Loopback,
    /// The address with its host part cleared.
    Prefix(IpAddr),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            address if address.is_loopback() => Self::Loopback,
            IpAddr::V4(v4) => Self::Prefix(Ipv4Addr::from(u32::from(v4) & (!0 << 8)).into()),
            IpAddr::V6(v6) => Self::Prefix(Ipv6Addr::from(u128::from(v6) & (!0 << 64)).into()),
        }
    }
}

/// Counts the connections that have not logged in.
pub(crate) struct Admission {
    total: usize,
    per_source: usize,
    per_loopback: usize,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    total: usize,
    by_source: HashMap<Source, usize>,
}

/// A place among those that have not logged in; dropping it gives it back.
pub(crate) struct Place {
    source: Source,
    waiting: Arc<Mutex<Waiting>>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            total: limits.max_unauthenticated,
            per_source: limits.max_unauthenticated_per_source,
            per_loopback: limits.max_unauthenticated_per_loopback,
            waiting: Arc::default(),
        }
    }

    /// `None` when there are too many already.
    pub(crate) fn enter(&self, source: Source) -> Option<Place> {
        let most = match source {
            Source::Loopback => self.per_loopback,
            Source::Prefix(_) => self.per_source,
        };
        let mut waiting = locked(&self.waiting);
        let here = waiting.by_source.get(&source).copied().unwrap_or(0);
        if waiting.total >= self.total || here >= most {
            return None;
        }
        waiting.total += 1;
        waiting.by_source.insert(source, here + 1);
        Some(Place { source, waiting: self.waiting.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = locked(&self.waiting);
        waiting.total -= 1;
        if let Some(here) = waiting.by_source.get_mut(&self.source) {
            *here -= 1;
            if *here == 0 {
                waiting.by_source.remove(&self.source);
            }
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);
/// Sources remembered at most before the old ones are swept out.
const SWEEP_AT: usize = 4_096;

/// Slows down who guesses passwords.
pub(crate) struct Failures {
    free: u32,
    delay: Duration,
    by_source: Mutex<HashMap<Source, Window>>,
}

struct Window {
    since: Instant,
    failures: u32,
}

impl Failures {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            free: limits.failures_per_minute,
            delay: limits.failure_delay,
            by_source: Mutex::default(),
        }
    }

    /// Notes a refused password; returns how long to hold the answer back.
    pub(crate) fn record(&self, source: Source, now: Instant) -> Duration {
        if source == Source::Loopback {
            return Duration::ZERO;
        }
        let mut by_source = locked(&self.by_source);
        if by_source.len() >= SWEEP_AT {
            by_source.retain(|_, window| now.duration_since(window.since) < MINUTE);
        }
        let window = by_source.entry(source).or_insert(Window { since: now, failures: 0 });
        if now.duration_since(window.since) >= MINUTE {
            *window = Window { since: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
        if window.failures > self.free { self.delay } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Source {
        address.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn neighbours_are_one_source() {
        assert_eq!(source("192.0.2.1"), source("192.0.2.254"));
        assert_eq!(source("192.0.2.1"), source("::ffff:192.0.2.9"));
        assert_ne!(source("192.0.2.1"), source("192.0.3.1"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(source(loopback), Source::Loopback);
        }
    }

    #[test]
    fn a_crowd_from_one_source_leaves_room_for_others() {
        let limits = Limits {
            max_unauthenticated: 4,
            max_unauthenticated_per_source: 2,
            max_unauthenticated_per_loopback: 3,
            ..Limits::default()
        };
        let admission = Admission::new(&limits);
        let (bad, good) = (source("192.0.2.1"), source("198.51.100.1"));
        let mut places: Vec<_> = (0..2).filter_map(|_| admission.enter(bad)).collect();
        assert!(admission.enter(bad).is_none());
        places.extend(admission.enter(good));
        places.extend(admission.enter(Source::Loopback));
        assert_eq!(places.len(), 4);
        assert!(admission.enter(good).is_none(), "the total is reached");
        places.remove(0);
        assert!(admission.enter(bad).is_some());
        drop(places);
        assert!(locked(&admission.waiting).by_source.is_empty());
    }

    #[test]
    fn the_eleventh_failure_in_a_minute_waits() {
        let failures = Failures::new(&Limits::default());
        let (here, start) = (source("192.0.2.1"), Instant::now());
        for _ in 0..10 {
            assert_eq!(failures.record(here, start), Duration::ZERO);
        }
        assert_eq!(failures.record(here, start), Duration::from_secs(1));
        assert_eq!(failures.record(source("198.51.100.1"), start), Duration::ZERO);
        assert_eq!(failures.record(here, start + MINUTE), Duration::ZERO);
        assert!((0..50).all(|_| failures.record(Source::Loopback, start).is_zero()));
    }
}
