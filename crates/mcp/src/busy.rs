//! How many calls run at once, for one caller and for all.
//!
//! Owns: the count. A call beyond it is refused at once, so that an agent gone wild hurts itself only.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::failure::Failure;

const CALLS_OF_A_CALLER: usize = 16;
const CALLS: usize = 128;

#[derive(Default)]
pub(crate) struct Busy(Mutex<HashMap<String, usize>>);

/// A call that runs; dropping it makes room.
pub(crate) struct Entered<'a> {
    busy: &'a Busy,
    caller: String,
}

impl Busy {
    fn calls(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, caller: &str) -> Result<Entered<'_>, Failure> {
        let mut calls = self.calls();
        let own = calls.get(caller).copied().unwrap_or_default();
        if own >= CALLS_OF_A_CALLER || calls.values().sum::<usize>() >= CALLS {
            return Err(Failure::new("REQUEST_LIMIT_EXCEEDED", "too many calls run at once")
                .hint("wait for the answers to the earlier ones"));
        }
        calls.insert(caller.to_owned(), own + 1);
        Ok(Entered { busy: self, caller: caller.to_owned() })
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut calls = self.busy.calls();
        match calls.get_mut(&self.caller) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(calls.remove(&self.caller)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_does_not_take_the_place_of_all() {
        let busy = Busy::default();
        let mut running: Vec<_> = (0..CALLS_OF_A_CALLER).map(|_| busy.enter("a").ok()).collect();
        assert!(running.iter().all(Option::is_some));
        assert!(busy.enter("a").is_err());
        assert!(busy.enter("b").is_ok());
        running.pop();
        assert!(busy.enter("a").is_ok());
        drop(running);
        assert!(busy.calls().is_empty());
    }
}
