//! Three-part names and what stands behind them: where a Delta table lies, and what opens it.
//!
//! Owns: names, locations, which of them may be read, and the catalogs' answers. Never: reading Delta, HTTP, or rights.

mod embedded;
mod location;
mod mounted;
mod name;
mod outside;
mod policy;
mod question;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

pub use embedded::Embedded;
pub use location::{Location, LocationError};
pub use mounted::Mounted;
pub use name::{NameError, TableName, check_part, join_name, split_name};
pub use outside::{Mount, Outside};
pub use policy::{ObjectStore, Policy};
pub use question::{Paging, Question};

/// Where a table's files are, with the options that open their store.
#[derive(Clone)]
pub struct DeltaLocation {
    pub location: Location,
    /// Credentials among them: never printed.
    pub options: HashMap<String, String>,
    /// Which files elsewhere the table's log may name; none without it.
    pub may_read: Option<MayRead>,
}

/// Whether the file at a URL may be read.
pub type MayRead = Arc<dyn Fn(&str) -> bool + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("table \"{0}\" was not found: register it with `lakeport tables register`")]
    NoSuchTable(TableName),
    #[error("table \"{0}\" is a table of a database: a source is a Delta table")]
    NotDelta(TableName),
    /// It may answer later.
    #[error("{0}")]
    OutsideDown(String),
    /// Its answer is of no use.
    #[error("{0}")]
    OutsideRefused(String),
    #[error(transparent)]
    Location(#[from] LocationError),
    #[error(transparent)]
    Store(#[from] lakeport_store::Error),
}

/// Finds the table behind a name.
#[async_trait]
pub trait Catalog: Send + Sync {
    async fn resolve(&self, name: &TableName) -> Result<DeltaLocation, Error>;

    /// Who may read the tables of a catalog that is not ours; None if it is ours, or nobody's.
    async fn readers(&self, catalog: &str) -> Result<Option<Vec<String>>, Error>;

    /// What an outside server says about a catalog, in the Unity Catalog API's form and in its own names. None
    /// if it does not know of such a thing, or the catalog is no outside one.
    async fn ask(
        &self,
        catalog: &str,
        question: &Question<'_>,
    ) -> Result<Option<serde_json::Value>, Error>;

    /// Names that outside catalogs have taken.
    fn mounts(&self) -> Vec<&str>;

    /// What opens a location that has no name yet.
    fn open(&self, location: &Location) -> Result<DeltaLocation, Error>;

    /// Credentials for a location that clients may be given, if the operator has set some aside.
    fn hand_out(&self, location: &Location, write: bool) -> Option<HashMap<String, String>>;
}
