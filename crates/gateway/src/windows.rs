//! Counts failures within a minute by some key, such as where they come from.
//!
//! It never knows what a failure is, or what becomes of whoever has too many.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::sessions::locked;

const MINUTE: Duration = Duration::from_secs(60);
/// Keys remembered at most before those of past minutes are swept out.
const SWEEP_AT: usize = 4_096;

/// One window a key. It begins with the first failure and ends a minute later.
pub struct Windows<K> {
    free: u32,
    by_key: Mutex<HashMap<K, Window>>,
}

struct Window {
    since: Instant,
    failures: u32,
}

impl<K: Eq + Hash> Windows<K> {
    /// `free` failures within a minute are not too many.
    #[must_use]
    pub fn new(free: u32) -> Self {
        Self { free, by_key: Mutex::default() }
    }

    /// Counts one more. If it is one too many: how long until its window ends.
    pub fn count(&self, key: K, now: Instant) -> Option<Duration> {
        let mut by_key = locked(&self.by_key);
        if by_key.len() >= SWEEP_AT {
            by_key.retain(|_, window| window.rest(now).is_some());
        }
        let window = by_key.entry(key).or_insert(Window { since: now, failures: 0 });
        let rest = window.rest(now).unwrap_or_else(|| {
            *window = Window { since: now, failures: 0 };
            MINUTE
        });
        window.failures = window.failures.saturating_add(1);
        (window.failures > self.free).then_some(rest)
    }

    /// What was counted last for the key was no failure.
    pub fn take_back(&self, key: &K) {
        if let Some(window) = locked(&self.by_key).get_mut(key) {
            window.failures = window.failures.saturating_sub(1);
        }
    }
}

impl Window {
    fn rest(&self, now: Instant) -> Option<Duration> {
        MINUTE.checked_sub(now.duration_since(self.since)).filter(|rest| !rest.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_ends_a_minute_after_its_first_failure() {
        let windows = Windows::new(1);
        let start = Instant::now();
        assert_eq!(windows.count("a", start), None);
        let later = start + Duration::from_secs(20);
        assert_eq!(windows.count("a", later), Some(Duration::from_secs(40)));
        assert_eq!(windows.count("b", later), None);
        assert_eq!(windows.count("a", start + MINUTE), None);
    }

    #[test]
    fn what_is_taken_back_counts_no_longer() {
        let windows = Windows::new(1);
        let start = Instant::now();
        for _ in 0..10 {
            assert_eq!(windows.count("a", start), None);
            windows.take_back(&"a");
        }
        windows.take_back(&"nobody");
    }

    #[test]
    fn past_minutes_are_swept_out() {
        let windows = Windows::new(1);
        let start = Instant::now();
        for key in 0..SWEEP_AT {
            windows.count(key, start);
        }
        windows.count(SWEEP_AT, start + MINUTE);
        assert_eq!(locked(&windows.by_key).len(), 1);
    }
}
