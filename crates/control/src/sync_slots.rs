//! How many syncs write to one instance at once, so that its own clients keep their connections.
//!
//! Memory only: each server process has its own share. Waiting is in turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

/// A sync takes two connections: its own, and now and then the control plane's.
const AT_ONCE: usize = 8;

#[derive(Default)]
pub struct SyncSlots {
    of_instance: Mutex<HashMap<Uuid, Arc<Semaphore>>>,
}

impl SyncSlots {
    /// Waits for a slot of the instance, which is free again when what it gives is dropped. Nothing is
    /// given only if the semaphore was closed, which nobody does.
    pub(crate) async fn take(&self, instance: Uuid) -> Option<OwnedSemaphorePermit> {
        let semaphore = {
            let mut of_instance = self.of_instance.lock().unwrap_or_else(PoisonError::into_inner);
            // Those of instances that nobody writes to any more are made again when needed.
            of_instance.retain(|uid, slots| *uid == instance || Arc::strong_count(slots) > 1);
            Arc::clone(
                of_instance.entry(instance).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))),
            )
        };
        semaphore.acquire_owned().await.ok()
    }
}
