//! Slows down who guesses passwords, by where the guesses come from and by what they aim at.
//!
//! Only answers to wrong passwords are held back. It never looks at who a client says it is, and
//! a right password is never delayed, so nobody can lock out somebody else.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::Limits;
use crate::admission::Source;
use crate::sessions::locked;

const MINUTE: Duration = Duration::from_secs(60);
/// Entries remembered at most before the old ones are swept out.
const SWEEP_AT: usize = 4_096;

pub(crate) struct Failures {
    delay: Duration,
    by_source: Windows<Source>,
    /// By the uid of the instance; those that aim at none count together.
    by_instance: Windows<Option<String>>,
}

impl Failures {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            delay: limits.failure_delay,
            by_source: Windows::new(limits.failures_per_minute),
            by_instance: Windows::new(limits.instance_failures_per_minute),
        }
    }

    /// Notes a refused password; returns how long to hold the answer back.
    pub(crate) fn record(&self, source: Source, instance: Option<&str>, now: Instant) -> Duration {
        // Whoever is on this machine can do worse than guess.
        if source == Source::Loopback {
            return Duration::ZERO;
        }
        let too_many = [
            self.by_source.too_many(source, now),
            self.by_instance.too_many(instance.map(str::to_owned), now),
        ];
        if too_many.contains(&true) { self.delay } else { Duration::ZERO }
    }
}

/// Failures within a minute, by some key.
struct Windows<K> {
    free: u32,
    by_key: Mutex<HashMap<K, Window>>,
}

struct Window {
    since: Instant,
    failures: u32,
}

impl<K: Eq + Hash> Windows<K> {
    fn new(free: u32) -> Self {
        Self { free, by_key: Mutex::default() }
    }

    /// Counts one more.
    fn too_many(&self, key: K, now: Instant) -> bool {
        let mut by_key = locked(&self.by_key);
        if by_key.len() >= SWEEP_AT {
            by_key.retain(|_, window| now.duration_since(window.since) < MINUTE);
        }
        let window = by_key.entry(key).or_insert(Window { since: now, failures: 0 });
        if now.duration_since(window.since) >= MINUTE {
            *window = Window { since: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
        window.failures > self.free
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn source(n: u8) -> Source {
        IpAddr::from([192, 0, n, 1]).into()
    }

    #[test]
    fn the_eleventh_failure_of_a_source_in_a_minute_waits() {
        let failures = Failures::new(&Limits::default());
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(failures.record(source(2), None, start), Duration::ZERO);
        }
        assert_eq!(failures.record(source(2), None, start), Duration::from_secs(1));
        assert_eq!(failures.record(source(3), None, start), Duration::ZERO);
        assert_eq!(failures.record(source(2), None, start + MINUTE), Duration::ZERO);
        assert!((0..50).all(|_| failures.record(Source::Loopback, None, start).is_zero()));
    }

    #[test]
    fn guesses_at_one_instance_wait_wherever_they_come_from() {
        let limits = Limits { instance_failures_per_minute: 3, ..Limits::default() };
        let failures = Failures::new(&limits);
        let start = Instant::now();
        for n in 0..3 {
            assert_eq!(failures.record(source(n), Some("shop"), start), Duration::ZERO);
        }
        assert_eq!(failures.record(source(4), Some("shop"), start), Duration::from_secs(1));
        assert_eq!(failures.record(source(5), Some("till"), start), Duration::ZERO);
        assert_eq!(failures.record(source(6), Some("shop"), start + MINUTE), Duration::ZERO);
    }
}
