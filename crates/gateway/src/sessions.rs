//! The open sessions, so that they can be counted and ended.
//!
//! It knows their instance and how to tell them to stop; the sockets belong to their tasks.

use std::collections::HashMap;
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

struct Open {
    uid: String,
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

    pub(crate) fn open(&self, id: u64, uid: &str) -> Session {
        let closing = self.all.child_token();
        let entry = Open { uid: uid.to_owned(), closing: closing.clone() };
        locked(&self.open).insert(id, entry);
        Session { id, closing, open: self.open.clone() }
    }

    pub(crate) fn len(&self) -> usize {
        locked(&self.open).len()
    }

    pub(crate) fn close(&self, uid: &str) -> usize {
        let open = locked(&self.open);
        let of_instance = open.values().filter(|session| session.uid == uid);
        of_instance.inspect(|session| session.closing.cancel()).count()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        locked(&self.open).remove(&self.id);
    }
}
