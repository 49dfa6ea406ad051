//! Which identities there are, told to each instance: `databricks_create_role` asks there, in SQL.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use lakeport_engine::ClusterId;
use lakeport_store::Instance;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

use crate::access::kind_of;
use crate::{Control, Error, Result};

/// How long the answer to a change waits until the instances know of it.
const BEFORE_THE_ANSWER: Duration = Duration::from_secs(2);
/// How long one instance may take.
const ONE_INSTANCE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct PublishedIdentities {
    /// The revision of the identities that this server has last told all its instances; 0 for none. Held
    /// while telling: two writers of one list would be in each other's way.
    revision: Mutex<i64>,
    /// Instances that are being told.
    busy: Arc<StdMutex<HashSet<Uuid>>>,
}

impl PublishedIdentities {
    /// None while an earlier list is still being written there.
    fn turn(&self, uid: Uuid) -> Option<Turn> {
        let busy = Arc::clone(&self.busy);
        let free = busy.lock().unwrap_or_else(PoisonError::into_inner).insert(uid);
        free.then_some(Turn { busy, uid })
    }
}

/// The right to write one instance's list, until dropped.
struct Turn {
    busy: Arc<StdMutex<HashSet<Uuid>>>,
    uid: Uuid,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.uid);
    }
}

fn not_in_time() -> Error {
    Error::unavailable("the disk of an instance does not answer")
}

impl Control {
    /// After a change of who there is, before it is answered: `databricks_create_role` knows it at once. An
    /// instance that cannot be told in time does not hold up the answer; it is told by the next look.
    pub(crate) async fn identities_changed(&self) {
        match timeout(BEFORE_THE_ANSWER, self.publish_identities()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "an instance learns of identities later"),
            Err(_) => tracing::warn!("an instance that does not answer learns of identities later"),
        }
    }

    /// Tells every instance of this data directory, if anything has changed since it last did.
    pub async fn publish_identities(&self) -> Result<()> {
        let mut published = self.published.revision.lock().await;
        // Read before the list: a change in between is written again.
        let revision = self.store.identity_revision().await?;
        if *published == revision {
            return Ok(());
        }
        let identities = self.identities().await?;
        let instances = self.store.instances_of_node(self.node).await?;
        self.tell_all(&instances, &identities).await?;
        *published = revision;
        Ok(())
    }

    /// Tells one instance.
    pub(crate) async fn publish_identities_to(&self, instance: &Instance) -> Result<()> {
        let _one_at_a_time = self.published.revision.lock().await;
        let identities = self.identities().await?;
        self.tell_all(std::slice::from_ref(instance), &identities).await
    }

    /// All at once, and each whatever becomes of the others; the first error, if there is one.
    async fn tell_all(&self, instances: &[Instance], identities: &str) -> Result<()> {
        let deadline = Instant::now() + ONE_INSTANCE;
        let telling: Vec<_> =
            instances.iter().map(|instance| self.tell(instance.uid, identities)).collect();
        let mut outcome = Ok(());
        for telling in telling {
            let told = match timeout_at(deadline, telling).await {
                Ok(Ok(told)) => told,
                Ok(Err(error)) => Err(Error::internal("telling an instance of identities", error)),
                Err(_) => Err(not_in_time()),
            };
            outcome = outcome.and(told);
        }
        outcome
    }

    /// Goes on when nobody waits for it any more. Until it has ended nothing else is written there, so that
    /// the newer list is the last.
    fn tell(&self, uid: Uuid, identities: &str) -> JoinHandle<Result<()>> {
        let (engine, identities) = (Arc::clone(&self.engine), identities.to_owned());
        let turn = self.published.turn(uid);
        tokio::spawn(async move {
            let Some(_turn) = turn else { return Err(not_in_time()) };
            let told = engine.publish_identities(&ClusterId::from(uid), &identities).await;
            told.map_err(|error| Error::unavailable(error.to_string()))
        })
    }

    /// `{"USER": ["name", …], …}`.
    async fn identities(&self) -> Result<String> {
        let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for principal in self.store.active_principals().await? {
            kinds.entry(kind_of(&principal).as_str()).or_default().push(principal.user_name);
        }
        serde_json::to_string(&kinds)
            .map_err(|error| Error::internal("writing the list of identities", error))
    }
}
