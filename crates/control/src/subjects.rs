//! What principals may log in to and as, and which tokens hold, remembered for a moment, so that most
//! logins ask no database.
//!
//! A change by this server counts at once; one by another server within [`MEMORY`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::{Control, Result};

const MEMORY: Duration = Duration::from_secs(5);
/// Far above the users of one installation; reached, all are forgotten.
const MAX_NAMES: usize = 10_000;

/// What an active principal may log in to, and as whom.
#[derive(Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its id: the name may be given again.
    pub principal: i64,
    /// Its own name and those of its groups.
    pub roles: Vec<String>,
    /// Uids of instances.
    pub instances: Vec<String>,
}

impl Standing {
    #[must_use]
    pub fn opens(&self, instance: Uuid) -> bool {
        let uid = instance.to_string();
        self.instances.contains(&uid)
    }

    #[must_use]
    pub fn speaks_for(&self, role: &str) -> bool {
        self.roles.iter().any(|own| own == role)
    }
}

#[derive(Default)]
pub struct Subjects(Mutex<State>);

#[derive(Default)]
struct State {
    /// Grows with each change: what was read before it is not remembered after it.
    generation: u64,
    known: HashMap<String, (Instant, Arc<Standing>)>,
    /// Ids of tokens that were not revoked.
    tokens: HashMap<String, Instant>,
}

impl Subjects {
    /// What is known of the name, else what [`Self::remember`] wants back.
    fn recall(&self, name: &str) -> std::result::Result<Arc<Standing>, u64> {
        let state = self.state();
        match state.known.get(name) {
            Some((seen, standing)) if seen.elapsed() < MEMORY => Ok(Arc::clone(standing)),
            _ => Err(state.generation),
        }
    }

    fn recall_token(&self, id: &str) -> Option<u64> {
        let state = self.state();
        let known = state.tokens.get(id).is_some_and(|seen| seen.elapsed() < MEMORY);
        (!known).then_some(state.generation)
    }

    fn remember_token(&self, id: &str, generation: u64) {
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        if state.tokens.len() >= MAX_NAMES {
            state.tokens.clear();
        }
        state.tokens.insert(id.to_owned(), Instant::now());
    }

    fn remember(&self, name: &str, generation: u64, standing: &Arc<Standing>) {
        let mut state = self.state();
        if state.generation != generation {
            return;
        }
        if state.known.len() >= MAX_NAMES {
            state.known.clear();
        }
        state.known.insert(name.to_owned(), (Instant::now(), Arc::clone(standing)));
    }

    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.generation += 1;
        state.known.clear();
        state.tokens.clear();
    }

    /// Each change of it is whole, so a poisoned lock is as good as any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// None if there is no active principal of this name.
    pub async fn standing(&self, user_name: &str) -> Result<Option<Arc<Standing>>> {
        let generation = match self.subjects.recall(user_name) {
            Ok(standing) => return Ok(Some(standing)),
            Err(generation) => generation,
        };
        let found = self.store.principal(user_name).await?;
        let Some(principal) = found.filter(|principal| principal.active) else { return Ok(None) };
        let subjects = self.store.subjects_of(principal.id).await?;
        let open = self.instances_open_to(&principal, &subjects).await?;
        let standing = Arc::new(Standing {
            principal: principal.id,
            roles: subjects.into_iter().map(|subject| subject.name).collect(),
            instances: open.iter().map(Uuid::to_string).collect(),
        });
        self.subjects.remember(user_name, generation, &standing);
        Ok(Some(standing))
    }

    /// Whether a token was not ended before its time, by itself or with what it came of.
    pub async fn token_holds(&self, id: &str, origin: Option<Uuid>) -> Result<bool> {
        let Some(generation) = self.subjects.recall_token(id) else { return Ok(true) };
        let holds = !self.store.is_revoked(id, origin).await?;
        if holds {
            self.subjects.remember_token(id, generation);
        }
        Ok(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let subjects = Subjects::default();
        let one = Arc::new(Standing {
            principal: 1,
            roles: vec![String::from("a")],
            instances: Vec::new(),
        });
        let before = subjects.recall("a").unwrap_err();
        subjects.remember("a", before, &one);
        assert_eq!(subjects.recall("a").unwrap(), one);
        let early = subjects.recall("b").unwrap_err();
        subjects.forget();
        assert!(subjects.recall("a").is_err());
        subjects.remember("b", early, &one);
        assert!(subjects.recall("b").is_err());
    }
}
