//! Runs the reconcilers: woken by a change, and every second by itself. One pass an object at a time,
//! under a lease; what failed waits longer each time.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lakeport_store::{Lease, LeaseTaken};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::{instance, synced_table};
use crate::{Control, Result};

/// A server that died is seen within this time.
const TICK: Duration = Duration::from_secs(1);
/// Leases are renewed well before they run out.
const RENEW: Duration = Duration::from_secs(10);
/// Starting many servers at once helps none of them.
const INSTANCES_AT_ONCE: usize = 8;
/// Each sync reads with as many threads as there are cores.
const SYNCS_AT_ONCE: usize = 2;
/// One that follows its source mostly waits.
const FOLLOWERS_AT_ONCE: usize = 256;

struct Driver {
    control: Arc<Control>,
    cancel: CancellationToken,
    tracker: TaskTracker,
    busy: Mutex<HashSet<Uuid>>,
    instances: Arc<Semaphore>,
    syncs: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

/// An object that a pass works on, until dropped: also when the pass panics.
struct Busy {
    driver: Arc<Driver>,
    id: Uuid,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.driver.busy().remove(&self.id);
    }
}

/// Drives the reconcilers until cancelled, then waits for the passes that are under way.
pub async fn run(control: Arc<Control>, cancel: CancellationToken) -> Result<()> {
    let driver = Arc::new(Driver {
        control,
        cancel,
        tracker: TaskTracker::new(),
        busy: Mutex::default(),
        instances: Arc::new(Semaphore::new(INSTANCES_AT_ONCE)),
        syncs: Arc::new(Semaphore::new(SYNCS_AT_ONCE)),
        followers: Arc::new(Semaphore::new(FOLLOWERS_AT_ONCE)),
    });
    while !driver.cancel.is_cancelled() {
        if let Err(error) = driver.look_around().await {
            tracing::warn!(%error, source = ?std::error::Error::source(&error), "looking for work failed");
        }
        tokio::select! {
            () = driver.cancel.cancelled() => {}
            () = driver.control.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    driver.tracker.close();
    driver.tracker.wait().await;
    Ok(())
}

/// What fails here is tried again at the next look, and keeps nothing else from its turn.
fn look_after(task: &str, done: Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, task, "it did not work; it is tried again");
    }
}

impl Driver {
    async fn look_around(self: &Arc<Self>) -> Result<()> {
        // First what somebody waits for.
        let begun = self.begin_what_is_due().await;
        let control = &self.control;
        look_after("telling instances of identities", control.publish_identities().await);
        look_after("looking at open sessions", control.recheck_sessions().await);
        look_after("dropping roles of expired tokens", control.drop_idle_readers().await);
        begun
    }

    async fn begin_what_is_due(self: &Arc<Self>) -> Result<()> {
        let control = &self.control;
        for uid in control.store.due_instances(control.node).await? {
            if !self.is_busy(uid) && instance::needs_work(control, uid).await? {
                self.begin(Lease::Instance(uid), uid, &self.instances);
            }
        }
        control.run_schedules().await?;
        for due in control.store.due_synced_tables(control.node).await? {
            let room = if due.follows { &self.followers } else { &self.syncs };
            self.begin(Lease::SyncedTable(due.id), due.id, room);
        }
        Ok(())
    }

    /// Starts a pass, unless one is under way or there is no room; the next look finds it again.
    fn begin(self: &Arc<Self>, lease: Lease, id: Uuid, room: &Arc<Semaphore>) {
        let Ok(permit) = Arc::clone(room).try_acquire_owned() else { return };
        if !self.busy().insert(id) {
            return;
        }
        let busy = Busy { driver: Arc::clone(self), id };
        self.tracker.spawn(async move {
            let passed = busy.driver.pass(lease, id).await;
            let driver = Arc::clone(&busy.driver);
            drop(busy);
            drop(permit);
            if passed {
                driver.control.wake.notify_one();
            }
        });
    }

    /// False if the lease was not to be had.
    async fn pass(&self, lease: Lease, id: Uuid) -> bool {
        let control = &self.control;
        match control.store.take_lease(lease, control.owner).await {
            Ok(LeaseTaken::Yes) => {}
            Ok(_) => return false,
            Err(error) => {
                tracing::warn!(%error, "taking a lease failed");
                return false;
            }
        }
        let work = async {
            match lease {
                Lease::Instance(_) => instance::reconcile(control, id).await,
                Lease::SyncedTable(_) => {
                    synced_table::reconcile(control, id, self.cancel.clone()).await;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = self.keep(lease) => {}
        }
        if let Err(error) = control.store.release_lease(lease, control.owner).await {
            tracing::warn!(%error, "releasing a lease failed; it runs out by itself");
        }
        true
    }

    /// Renews the lease for as long as it can; returning means that another has it.
    async fn keep(&self, lease: Lease) {
        loop {
            tokio::time::sleep(RENEW).await;
            match self.control.store.take_lease(lease, self.control.owner).await {
                Ok(LeaseTaken::Yes) => {}
                Ok(LeaseTaken::HeldByOther) => return,
                // The pass that has removed it ends by itself.
                Ok(LeaseTaken::ObjectGone) => std::future::pending().await,
                Err(error) => tracing::warn!(%error, "renewing a lease failed"),
            }
        }
    }

    fn is_busy(&self, id: Uuid) -> bool {
        self.busy().contains(&id)
    }

    fn busy(&self) -> std::sync::MutexGuard<'_, HashSet<Uuid>> {
        // The set is whole at every point where a holder could panic.
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
