//! The embedded catalog: tables that were registered over the REST API.

use std::collections::HashMap;

use async_trait::async_trait;
use lakeport_store::Store;

use crate::{Catalog, DeltaLocation, Error, Location, TableName};

pub struct Embedded {
    store: Store,
}

impl Embedded {
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
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
        let location = Location::parse(&table.storage_location)?;
        Ok(DeltaLocation { location, options: HashMap::new() })
    }
}
