//! Instances of this process that take logins: what the reconciler knows, kept in memory so that a login
//! asks no database. Empty at start; an instance that is not in it is looked up.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use tokio::sync::watch;
use uuid::Uuid;

#[derive(Default)]
pub struct Ready {
    uids: RwLock<HashSet<Uuid>>,
    /// Told whenever an instance may have become another than whoever waits for it has seen.
    changes: watch::Sender<()>,
}

impl Ready {
    #[must_use]
    pub fn contains(&self, uid: Uuid) -> bool {
        self.uids.read().unwrap_or_else(PoisonError::into_inner).contains(&uid)
    }

    pub(crate) fn set(&self, uid: Uuid, ready: bool) {
        if self.contains(uid) == ready {
            return;
        }
        {
            let mut uids = self.uids.write().unwrap_or_else(PoisonError::into_inner);
            if ready {
                uids.insert(uid);
            } else {
                uids.remove(&uid);
            }
        }
        self.changed();
    }

    /// Something else about an instance has changed.
    pub(crate) fn changed(&self) {
        self.changes.send_replace(());
    }

    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }
}
