//! The embedded catalog: tables that were registered over the REST API.

use std::collections::HashMap;

use async_trait::async_trait;
use lakeport_store::Store;

use crate::{Catalog, DeltaLocation, Error, Location, Policy, TableName};

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

#[async_trait]
impl Catalog for Embedded {
    async fn resolve(&self, name: &TableName) -> Result<DeltaLocation, Error> {
        let table = self
            .store
            .unity_table(&name.catalog, &name.schema, &name.table)
            .await?
            .ok_or_else(|| Error::NoSuchTable(name.clone()))?;
        let location = table.storage_location.ok_or_else(|| Error::NotDelta(name.clone()))?;
        self.open(&Location::parse(&location)?)
    }

    /// Asked at each use: the operator may have closed a place since a table was registered.
    fn open(&self, location: &Location) -> Result<DeltaLocation, Error> {
        Ok(self.policy.open(location)?)
    }

    fn hand_out(&self, location: &Location, write: bool) -> Option<HashMap<String, String>> {
        self.policy.hand_out(location, write)
    }
}
