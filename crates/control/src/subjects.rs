//! Who may log in, remembered for a moment, so that most logins ask no database.
//!
//! A change by this server counts at once; one by another server within [`MEMORY`].

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Control, Result};

const MEMORY: Duration = Duration::from_secs(5);
/// Far above the users of one installation; reached, all are forgotten.
const MAX_NAMES: usize = 10_000;

#[derive(Default)]
pub struct Subjects(Mutex<State>);

#[derive(Default)]
struct State {
    /// Grows with each change: what was read before it is not remembered after it.
    generation: u64,
    active: HashMap<String, Instant>,
}

impl Subjects {
    /// None if the name is known to be active, else what [`Self::remember`] wants back.
    fn unknown(&self, name: &str) -> Option<u64> {
        let state = self.state();
        let known = state.active.get(name).is_some_and(|seen| seen.elapsed() < MEMORY);
        (!known).then_some(state.generation)
    }

    fn remember(&self, name: &str, generation: u64) {
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        if state.active.len() >= MAX_NAMES {
            state.active.clear();
        }
        state.active.insert(name.to_owned(), Instant::now());
    }

    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.active.clear();
    }

    /// Each change of it is whole, so a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// Whether the principal of this name exists and is active.
    pub async fn may_log_in(&self, user_name: &str) -> Result<bool> {
        let Some(generation) = self.subjects.unknown(user_name) else { return Ok(true) };
        let found = self.store.principal(user_name).await?;
        let active = found.is_some_and(|principal| principal.active);
        if active {
            self.subjects.remember(user_name, generation);
        }
        Ok(active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let subjects = Subjects::default();
        let before = subjects.unknown("a").unwrap();
        subjects.remember("a", before);
        assert_eq!(subjects.unknown("a"), None);
        let early = subjects.unknown("b").unwrap();
        subjects.forget();
        assert!(subjects.unknown("a").is_some());
        subjects.remember("b", early);
        assert!(subjects.unknown("b").is_some());
    }
}
