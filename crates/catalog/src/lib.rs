//! Three-part names and what stands behind them: where a Delta table lies, and what opens it.
//!
//! Owns: names, locations, which of them may be read, and the catalogs' answers. Never: reading Delta, HTTP, or rights.

mod embedded;
mod location;
mod name;
mod policy;

use std::collections::HashMap;

use async_trait::async_trait;

pub use embedded::Embedded;
pub use location::{Location, LocationError};
pub use name::{NameError, TableName, check_part, join_name, split_name};
pub use policy::{ObjectStore, Policy};

/// Where a table's files are, with the options that open their store.
#[derive(Clone)]
pub struct DeltaLocation {
    pub location: Location,
    /// Credentials among them: never printed.
    pub options: HashMap<String, String>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("table \"{0}\" was not found: register it with `lakeport tables register`")]
    NoSuchTable(TableName),
    #[error("table \"{0}\" is a table of a database: a source is a Delta table")]
    NotDelta(TableName),
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error(transparent)]
    Store(#[from] lakeport_store::Error),
}

/// Finds the table behind a name.
#[async_trait]
pub trait Catalog: Send + Sync {
    async fn resolve(&self, name: &TableName) -> Result<DeltaLocation, Error>;

    /// What opens a location that has no name yet.
    fn open(&self, location: &Location) -> Result<DeltaLocation, Error>;

    /// Credentials for a location that clients may be given, if the operator has set some aside.
    fn hand_out(&self, location: &Location, write: bool) -> Option<HashMap<String, String>>;
}
