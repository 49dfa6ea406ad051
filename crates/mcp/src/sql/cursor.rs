//! Results that are not at their end: sessions that stay open for a while, each with its caller.
//!
//! Owns: how long and how many. A cursor shows one moment of the database, however late its pages are
//! fetched. Never: a cursor that another caller can use.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::Session;
use crate::failure::{Failure, code};

/// PostgreSQL ends the transaction then; the connection is given back with the next look at the list.
pub(crate) const CURSOR_LIFETIME: Duration = Duration::from_secs(60);
const CURSORS_OF_A_CALLER: usize = 4;

#[derive(Default)]
pub(crate) struct Cursors(Mutex<HashMap<String, Open>>);

struct Open {
    caller: String,
    since: Instant,
    session: Session,
}

impl Cursors {
    fn open(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        let mut cursors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cursors.retain(|_, open| open.since.elapsed() < CURSOR_LIFETIME);
        cursors
    }

    pub(crate) fn close(&self) {
        self.open().clear();
    }

    /// The oldest of the caller's makes room.
    pub(crate) fn keep(&self, caller: &str, session: Session) -> String {
        let mut cursors = self.open();
        let own = || cursors.iter().filter(|(_, open)| open.caller == caller);
        if own().count() >= CURSORS_OF_A_CALLER {
            let oldest = own().min_by_key(|(_, open)| open.since).map(|(name, _)| name.clone());
            oldest.map(|name| cursors.remove(&name));
        }
        let name = Uuid::new_v4().simple().to_string();
        let open = Open { caller: caller.to_owned(), since: Instant::now(), session };
        cursors.insert(name.clone(), open);
        name
    }

    /// Takes it out: two calls never share a session.
    pub(crate) fn take(&self, caller: &str, name: &str) -> Result<Session, Failure> {
        let mut cursors = self.open();
        if cursors.get(name).is_some_and(|open| open.caller == caller)
            && let Some(open) = cursors.remove(name)
        {
            return Ok(open.session);
        }
        Err(Failure::new(
            code::NOT_FOUND,
            "cursor: it is not open; it was read to its end, or has expired",
        )
        .hint("run the query again; a cursor lives for 60 seconds between calls"))
    }
}
