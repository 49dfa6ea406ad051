//! Connections that are kept from one run to the next.
//!
//! A new backend reads PostgreSQL's catalogs anew, and maps each page of shared buffers when it first touches it:
//! that is a third of a small run on a large table. Owns: which connections are kept and for how long, and closing
//! them when somebody needs the database without sessions. Never keeps one on which a run has failed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lakeport_pg::Session;
use tokio::time::Instant;
use tokio_postgres::Config;

use super::session::pinned;

/// A source that changes every minute finds its connection.
const KEPT_FOR: Duration = Duration::from_secs(90);

/// To each database. More are only in use at the same time, and then are not missed long.
const KEPT_AT_ONCE: usize = 2;

/// How often it is looked whether somebody needs the database. PostgreSQL waits 5 seconds for sessions to end.
const LOOK: Duration = Duration::from_secs(1);

/// What a run could have left behind. `DISCARD ALL` would also drop statements that the driver has prepared for
/// itself and goes on using.
const CLEAN: &str = "set session authorization default; reset all; close all; unlisten *; \
                     select pg_advisory_unlock_all(); discard temp; discard sequences";

/// Whether DROP, RENAME or MOVE of this database waits for its sessions to end, or a copy of it: each holds a lock on
/// the database that no session takes.
const IS_WANTED: &str = "select exists (select from pg_locks \
     where locktype = 'object' and classid = 'pg_database'::regclass \
     and objid = (select oid from pg_database where datname = current_database()) \
     and mode in ('ShareLock', 'AccessExclusiveLock'))";

/// A cheap handle; clones share what is kept.
#[derive(Clone, Default)]
pub struct Sessions {
    idle: Arc<Mutex<Idle>>,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is the last.
    kept: Vec<Kept>,
    last_id: u64,
}

struct Kept {
    id: u64,
    database: Config,
    session: Session,
    until: Instant,
}

impl Sessions {
    /// Closes what is kept for a database: for the time being, nothing more is synced into it.
    pub fn close(&self, database: &Config) {
        let database = pinned(database);
        self.idle().kept.retain(|kept| kept.database != database);
    }

    /// The connection to the database that was used last, if one is kept. It may have ended since.
    pub(super) fn take(&self, database: &Config) -> Option<Session> {
        let database = pinned(database);
        let mut idle = self.idle();
        loop {
            let place = idle.kept.iter().rposition(|kept| kept.database == database)?;
            let session = idle.kept.remove(place).session;
            if !session.is_closed() {
                return Some(session);
            }
        }
    }

    /// Keeps a connection on which nothing is under way.
    pub(super) async fn keep(&self, database: &Config, session: Session) {
        // One that cannot be cleaned is closed.
        if session.batch_execute(CLEAN).await.is_err() {
            return;
        }
        let mut idle = self.idle();
        idle.last_id += 1;
        let (id, until) = (idle.last_id, Instant::now() + KEPT_FOR);
        idle.add(Kept { id, database: pinned(database), session, until });
        tokio::spawn(watch(Arc::downgrade(&self.idle), id));
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        lock(&self.idle)
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("kept", &self.idle().kept.len()).finish()
    }
}

impl Idle {
    fn add(&mut self, new: Kept) {
        let same = |kept: &&Kept| kept.database == new.database;
        if self.kept.iter().filter(same).count() >= KEPT_AT_ONCE
            && let Some(oldest) = self.kept.iter().position(|kept| kept.database == new.database)
        {
            self.kept.remove(oldest);
        }
        self.kept.push(new);
    }

    fn remove(&mut self, id: u64) -> Option<Kept> {
        let place = self.kept.iter().position(|kept| kept.id == id)?;
        Some(self.kept.remove(place))
    }
}

/// Closes a connection when its time is over or the database is needed; ends when a run has taken it.
async fn watch(idle: Weak<Mutex<Idle>>, id: u64) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(idle) = idle.upgrade() else { return };
        let Some(kept) = lock(&idle).remove(id) else { return };
        if Instant::now() >= kept.until || !is_free(&kept.session).await {
            return;
        }
        lock(&idle).add(kept);
    }
}

/// Nobody needs its database. False too of a connection that has ended.
async fn is_free(session: &Session) -> bool {
    session.query_one(IS_WANTED, &[]).await.is_ok_and(|row| !row.get::<_, bool>(0))
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    // The list is whole at every point where a holder could panic.
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
