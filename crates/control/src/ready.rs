//! Instances of this process that take logins: what the reconciler knows, kept in memory so that a login
//! asks no database. Empty at start; an instance that is not in it is looked up.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use uuid::Uuid;

#[derive(Default)]
pub struct Ready(RwLock<HashSet<Uuid>>);

impl Ready {
    #[must_use]
    pub fn contains(&self, uid: Uuid) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&uid)
    }

    pub(crate) fn set(&self, uid: Uuid, ready: bool) {
        if self.contains(uid) == ready {
            return;
        }
        let mut uids = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if ready {
            uids.insert(uid);
        } else {
            uids.remove(&uid);
        }
    }
}
