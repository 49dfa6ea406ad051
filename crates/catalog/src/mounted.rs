//! All catalogs of a server: the embedded one, and outside ones under names of ours.

use std::collections::HashMap;

use async_trait::async_trait;

use crate::{Catalog, DeltaLocation, Embedded, Error, Location, Outside, Policy, TableName};

pub struct Mounted {
    embedded: Embedded,
    policy: Policy,
    outside: HashMap<String, Outside>,
    /// Asked for every catalog that is not ours and not mounted by name.
    any: Option<Outside>,
}

impl Mounted {
    #[must_use]
    pub fn new(
        embedded: Embedded,
        policy: Policy,
        outside: HashMap<String, Outside>,
        any: Option<Outside>,
    ) -> Self {
        Self { embedded, policy, outside, any }
    }
}

#[async_trait]
impl Catalog for Mounted {
    async fn resolve(&self, name: &TableName) -> Result<DeltaLocation, Error> {
        if let Some(outside) = self.outside.get(&name.catalog) {
            return outside.resolve(name, &self.policy).await;
        }
        match &self.any {
            Some(outside) if !self.embedded.has_catalog(&name.catalog).await? => {
                outside.resolve(name, &self.policy).await
            }
            _ => self.embedded.resolve(name).await,
        }
    }

    async fn readers(&self, catalog: &str) -> Result<Option<Vec<String>>, Error> {
        if let Some(outside) = self.outside.get(catalog) {
            return Ok(Some(outside.readers().to_vec()));
        }
        match &self.any {
            Some(outside) if !self.embedded.has_catalog(catalog).await? => {
                Ok(Some(outside.readers().to_vec()))
            }
            _ => Ok(None),
        }
    }

    fn is_mounted(&self, catalog: &str) -> bool {
        self.outside.contains_key(catalog)
    }

    fn open(&self, location: &Location) -> Result<DeltaLocation, Error> {
        Ok(self.policy.open(location)?)
    }

    fn hand_out(&self, location: &Location, write: bool) -> Option<HashMap<String, String>> {
        self.policy.hand_out(location, write)
    }
}
