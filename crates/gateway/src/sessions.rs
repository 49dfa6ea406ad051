//! The open sessions, so that they can be counted and ended.
//!
//! It knows their instance and how to tell them to stop; the sockets belong to their tasks.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// Every change under these locks is complete in itself, so a panic elsewhere spoils nothing.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Sessions {
    /// The parent of every session's token.
    all: CancellationToken,
    open: Arc<Mutex<HashMap<u64, Open>>>,
}

/// Whose a session is: the token's subject, as one role on one instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Opened {
    pub uid: String,
    pub subject: String,
    pub role: String,
}

struct Open {
    whose: Opened,
    closing: CancellationToken,
}

/// One open session; dropping it takes it off the list.
pub(crate) struct Session {
    id: u64,
    pub(crate) closing: CancellationToken,
    open: Arc<Mutex<HashMap<u64, Open>>>,
}

impl Sessions {
    pub(crate) fn new(all: CancellationToken) -> Self {
        Self { all, open: Arc::default() }
    }

    pub(crate) fn open(&self, id: u64, whose: &Opened) -> Session {
        let closing = self.all.child_token();
        let entry = Open { whose: whose.clone(), closing: closing.clone() };
        locked(&self.open).insert(id, entry);
        Session { id, closing, open: self.open.clone() }
    }

    pub(crate) fn len(&self) -> usize {
        locked(&self.open).len()
    }

    /// Whose sessions are open, each once.
    pub(crate) fn list(&self) -> Vec<Opened> {
        let all: HashSet<_> =
            locked(&self.open).values().map(|session| session.whose.clone()).collect();
        all.into_iter().collect()
    }

    pub(crate) fn close_of(&self, whose: &Opened) -> usize {
        let open = locked(&self.open);
        let theirs = open.values().filter(|session| session.whose == *whose);
        theirs.inspect(|session| session.closing.cancel()).count()
    }

    pub(crate) fn close(&self, uid: &str) -> usize {
        let open = locked(&self.open);
        let of_instance = open.values().filter(|session| session.whose.uid == uid);
        of_instance.inspect(|session| session.closing.cancel()).count()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        locked(&self.open).remove(&self.id);
    }
}
