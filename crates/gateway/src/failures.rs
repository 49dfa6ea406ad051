//! Slows down who guesses passwords, by where the guesses come from and by what they aim at.
//!
//! Only answers to wrong passwords are held back. It never looks at who a client says it is, and
//! a right password is never delayed, so nobody can lock out somebody else.

use std::time::{Duration, Instant};

use crate::admission::Source;
use crate::{Limits, Windows};

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
            self.by_source.count(source, now).is_some(),
            self.by_instance.count(instance.map(str::to_owned), now).is_some(),
        ];
        if too_many.contains(&true) { self.delay } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

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
