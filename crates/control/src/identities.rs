//! Which identities there are, told to each instance: `databricks_create_role` asks there, in SQL.

use std::collections::BTreeMap;

use lakeport_engine::ClusterId;
use lakeport_store::Instance;
use tokio::sync::Mutex;

use crate::access::kind_of;
use crate::{Control, Error, Result};

/// The revision of the identities that this server has last told all its instances; 0 for none. Held
/// while telling: two writers of one list would be in each other's way.
#[derive(Debug, Default)]
pub struct PublishedIdentities(Mutex<i64>);

impl Control {
    /// Tells every instance of this data directory, if anything has changed since it last did.
    pub async fn publish_identities(&self) -> Result<()> {
        let mut published = self.published.0.lock().await;
        // Read before the list: a change in between is written again.
        let revision = self.store.identity_revision().await?;
        if *published == revision {
            return Ok(());
        }
        let identities = self.identities().await?;
        for instance in self.store.instances_of_node(self.node).await? {
            self.tell(&instance, &identities).await?;
        }
        *published = revision;
        Ok(())
    }

    /// Tells one instance.
    pub(crate) async fn publish_identities_to(&self, instance: &Instance) -> Result<()> {
        let _one_at_a_time = self.published.0.lock().await;
        let identities = self.identities().await?;
        self.tell(instance, &identities).await
    }

    async fn tell(&self, instance: &Instance, identities: &str) -> Result<()> {
        let id = ClusterId::from(instance.uid);
        let told = self.engine.publish_identities(&id, identities).await;
        told.map_err(|error| Error::unavailable(error.to_string()))
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
