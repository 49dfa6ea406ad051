//! The embedded catalog: tables that were registered over the REST API.

use lakeport_store::Store;

use crate::{DeltaLocation, Error, Location, Policy, TableName};

pub struct Embedded {
    store: Store,
    policy: Policy,
}

impl Embedded {
    #[must_use]
    pub fn new(store: Store, policy: Policy) -> Self {
        Self { store, policy }
    }
}

impl Embedded {
    pub(crate) async fn has_catalog(&self, name: &str) -> Result<bool, Error> {
        let ours = self.store.unity_catalog(name).await?.is_some()
            || self.store.database_catalog(name).await?.is_some();
        Ok(ours)
    }

    pub(crate) async fn resolve(&self, name: &TableName) -> Result<DeltaLocation, Error> {
        let table = self
            .store
            .unity_table(&name.catalog, &name.schema, &name.table)
            .await?
            .ok_or_else(|| Error::NoSuchTable(name.clone()))?;
        let location = table.storage_location.ok_or_else(|| Error::NotDelta(name.clone()))?;
        // Asked at each use: the operator may have closed a place since a table was registered.
        Ok(self.policy.open(&Location::parse(&location)?)?)
    }
}
