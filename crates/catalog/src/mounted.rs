//! All catalogs of a server: the embedded one, and outside ones under names of ours.

use std::collections::HashMap;

use async_trait::async_trait;
use serde_json::Value;

use crate::{
    Catalog, DeltaLocation, Embedded, Error, Location, Outside, Policy, Question, TableName,
};

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

impl Mounted {
    /// Whoever is asked about a catalog that is not ours.
    async fn outside_of(&self, catalog: &str) -> Result<Option<&Outside>, Error> {
        match (self.outside.get(catalog), &self.any) {
            (Some(outside), _) => Ok(Some(outside)),
            (None, Some(any)) if !self.embedded.has_catalog(catalog).await? => Ok(Some(any)),
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl Catalog for Mounted {
    async fn resolve(&self, name: &TableName) -> Result<DeltaLocation, Error> {
        match self.outside_of(&name.catalog).await? {
            Some(outside) => outside.resolve(name, &self.policy).await,
            None => self.embedded.resolve(name).await,
        }
    }

    async fn readers(&self, catalog: &str) -> Result<Option<Vec<String>>, Error> {
        Ok(self.outside_of(catalog).await?.map(|outside| outside.readers().to_vec()))
    }

    async fn ask(&self, catalog: &str, question: &Question<'_>) -> Result<Option<Value>, Error> {
        match self.outside_of(catalog).await? {
            Some(outside) => outside.ask(catalog, question).await,
            None => Ok(None),
        }
    }

    fn mounts(&self) -> Vec<&str> {
        self.outside.keys().map(String::as_str).collect()
    }

    fn open(&self, location: &Location) -> Result<DeltaLocation, Error> {
        Ok(self.policy.open(location)?)
    }

    fn hand_out(&self, location: &Location, write: bool) -> Option<HashMap<String, String>> {
        self.policy.hand_out(location, write)
    }
}
