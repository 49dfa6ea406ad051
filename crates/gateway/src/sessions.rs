//! The open sessions, so that they can be counted and ended.
//!
//! It knows whose they are, what they moved and how to tell them to stop; the sockets belong to
//! their tasks.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::error::Refusal;
use crate::relay::Traffic;

/// Every change under these locks is complete in itself, so a panic elsewhere spoils nothing.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Sessions {
    /// The parent of every session's token.
    all: CancellationToken,
    book: Arc<Mutex<Book>>,
}

#[derive(Default)]
struct Book {
    open: HashMap<u64, Open>,
    /// What the sessions that are over have moved.
    moved: Moved,
}

/// Bytes in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub to_server: u64,
    pub to_client: u64,
}

/// Whose a session is: the token's subject, as one role on one instance, by one token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Opened {
    pub uid: String,
    pub subject: String,
    pub role: String,
    pub token_id: String,
    pub origin: Option<String>,
}

struct Open {
    whose: Opened,
    closing: CancellationToken,
    too_long: Arc<OnceLock<TooLong>>,
    traffic: Arc<Traffic>,
    opened: Instant,
    /// What it had moved when that was last seen to change, and when that was.
    seen: Moved,
    since: Instant,
}

/// One open session; dropping it takes it off the list.
pub(crate) struct Session {
    id: u64,
    pub(crate) closing: CancellationToken,
    pub(crate) traffic: Arc<Traffic>,
    too_long: Arc<OnceLock<TooLong>>,
    book: Arc<Mutex<Book>>,
}

/// A bound that a session has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TooLong {
    Idle,
    Old,
}

impl Session {
    /// What its client is told at an end that was not its own.
    pub(crate) fn farewell(&self) -> Refusal {
        match self.too_long.get() {
            Some(TooLong::Idle) => Refusal::Idle,
            Some(TooLong::Old) => Refusal::Old,
            None => Refusal::Closing,
        }
    }
}

impl Sessions {
    pub(crate) fn new(all: CancellationToken) -> Self {
        Self { all, book: Arc::default() }
    }

    pub(crate) fn open(&self, id: u64, whose: &Opened) -> Session {
        let session = Session {
            id,
            closing: self.all.child_token(),
            traffic: Arc::default(),
            too_long: Arc::default(),
            book: self.book.clone(),
        };
        let now = Instant::now();
        let entry = Open {
            whose: whose.clone(),
            closing: session.closing.clone(),
            too_long: session.too_long.clone(),
            traffic: session.traffic.clone(),
            opened: now,
            seen: Moved::default(),
            since: now,
        };
        locked(&self.book).open.insert(id, entry);
        session
    }

    pub(crate) fn len(&self) -> usize {
        locked(&self.book).open.len()
    }

    /// Whose sessions are open, each once.
    pub(crate) fn list(&self) -> Vec<Opened> {
        let book = locked(&self.book);
        let all: HashSet<_> = book.open.values().map(|session| session.whose.clone()).collect();
        all.into_iter().collect()
    }

    /// How many are open, by the instance's uid.
    pub(crate) fn by_instance(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for session in locked(&self.book).open.values() {
            *counts.entry(session.whose.uid.clone()).or_default() += 1;
        }
        counts
    }

    /// What all sessions have moved, open and ended.
    pub(crate) fn moved(&self) -> Moved {
        let book = locked(&self.book);
        book.open.values().fold(book.moved, |sum, session| sum + Moved::by(&session.traffic))
    }

    pub(crate) fn close_of(&self, whose: &Opened) -> usize {
        self.close_if(|session| session.whose == *whose)
    }

    pub(crate) fn close(&self, uid: &str) -> usize {
        self.close_if(|session| session.whose.uid == uid)
    }

    fn close_if(&self, condition: impl Fn(&Open) -> bool) -> usize {
        let book = locked(&self.book);
        let those = book.open.values().filter(|session| condition(session));
        those.inspect(|session| session.closing.cancel()).count()
    }

    /// Ends the sessions that have been idle or open for too long.
    pub(crate) fn close_too_long(
        &self,
        now: Instant,
        idle: Option<Duration>,
        age: Option<Duration>,
    ) {
        for session in locked(&self.book).open.values_mut() {
            if let Some(reached) = session.look(now, idle, age) {
                // The first reason is the one that is told.
                let _ = session.too_long.set(reached);
                session.closing.cancel();
            }
        }
    }
}

impl Open {
    fn look(
        &mut self,
        now: Instant,
        idle: Option<Duration>,
        age: Option<Duration>,
    ) -> Option<TooLong> {
        let moved = Moved::by(&self.traffic);
        // Whoever waits for the answer to a long query is not idle, nor is who reads it slowly.
        if moved != self.seen || self.traffic.is_answering() {
            (self.seen, self.since) = (moved, now);
        }
        let reached = |limit: Option<Duration>, since| {
            limit.is_some_and(|limit| now.duration_since(since) >= limit)
        };
        if reached(age, self.opened) {
            Some(TooLong::Old)
        } else if reached(idle, self.since) {
            Some(TooLong::Idle)
        } else {
            None
        }
    }
}

impl Moved {
    fn by(traffic: &Traffic) -> Self {
        Self { to_server: traffic.to_server(), to_client: traffic.to_client() }
    }
}

impl std::ops::Add for Moved {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            to_server: self.to_server + other.to_server,
            to_client: self.to_client + other.to_client,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut book = locked(&self.book);
        if let Some(ended) = book.open.remove(&self.id) {
            book.moved = book.moved + Moved::by(&ended.traffic);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn opened(uid: &str) -> Opened {
        let (ann, token_id) = (String::from("ann"), String::from("t"));
        Opened { uid: uid.into(), subject: ann.clone(), role: ann, token_id, origin: None }
    }

    #[test]
    fn idle_and_old_sessions_are_told_why_they_end() {
        let sessions = Sessions::new(CancellationToken::new());
        let session = sessions.open(1, &opened("a"));
        let start = Instant::now();
        let look = |after| sessions.close_too_long(start + after, Some(HOUR), Some(3 * HOUR));
        look(HOUR / 2);
        session.traffic.add_to_server(5);
        look(2 * HOUR);
        assert!(!session.closing.is_cancelled(), "it waits for an answer");
        session.traffic.add_to_client(7);
        look(2 * HOUR + HOUR / 2);
        assert!(!session.closing.is_cancelled(), "the answer came");
        let (busy, idle) = (sessions.open(2, &opened("a")), session);
        busy.traffic.add_to_server(1);
        sessions.close_too_long(start + 2 * HOUR, Some(HOUR), None);
        sessions.close_too_long(start + 4 * HOUR, Some(HOUR), None);
        assert!(matches!(idle.farewell(), Refusal::Idle) && idle.closing.is_cancelled());
        assert!(matches!(busy.farewell(), Refusal::Closing) && !busy.closing.is_cancelled());
        sessions.close_too_long(start + 4 * HOUR, None, Some(3 * HOUR));
        assert!(matches!(busy.farewell(), Refusal::Old) && busy.closing.is_cancelled());
        sessions.close_too_long(start + 9 * HOUR, None, None);
    }

    #[test]
    fn what_was_moved_is_not_forgotten_with_the_session() {
        let sessions = Sessions::new(CancellationToken::new());
        let (one, other) = (sessions.open(1, &opened("a")), sessions.open(2, &opened("b")));
        one.traffic.add_to_server(5);
        other.traffic.add_to_client(7);
        assert_eq!(sessions.by_instance(), HashMap::from([("a".into(), 1), ("b".into(), 1)]));
        drop(one);
        assert_eq!(sessions.moved(), Moved { to_server: 5, to_client: 7 });
        assert_eq!((sessions.len(), sessions.list()), (1, vec![opened("b")]));
    }
}
