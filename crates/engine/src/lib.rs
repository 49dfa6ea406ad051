//! Running PostgreSQL servers: the trait that the control plane drives, and the engine `local`.
//!
//! Owns: clusters (provision, configure, start, stop, destroy) and what can be seen of them. Never:
//! what should exist, users' roles and databases, or client connections.

mod error;
pub mod local;
mod sizing;

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use uuid::Uuid;

pub use error::Error;
pub use sizing::{CapacityUnit, Settings};

pub type Result<T> = std::result::Result<T, Error>;

/// The superuser that only the control plane uses, by SCRAM with a derived password.
pub const ADMIN_ROLE: &str = "lakeport_admin";
/// Writes synced tables; logs in by SCRAM with a derived password. Nobody else is a member of it.
pub const WRITER_ROLE: &str = "lb_writer";
/// Owns synced tables: the owners of an instance inherit its rights, and cannot become it.
pub const TABLE_OWNER_ROLE: &str = "lb_tables";
/// Group of the owners of an instance, as Lakebase names it.
pub const SUPERUSER_GROUP: &str = "databricks_superuser";
/// The control plane's own database in each cluster: users can lock superusers out of theirs.
pub const MAINTENANCE_DATABASE: &str = "lakeport";
/// The database that clients expect to find.
pub const DEFAULT_DATABASE: &str = "databricks_postgres";

/// Names that users may not take for roles: matched by prefix.
pub const RESERVED_ROLE_PREFIXES: &[&str] = &["lakeport_", "lb_", "pg_", "databricks_"];

/// Names one cluster of an engine: an instance's uid, or the system cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClusterId(String);

impl ClusterId {
    /// The cluster that holds the metadata.
    #[must_use]
    pub fn system() -> Self {
        Self(String::from("system"))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for ClusterId {
    fn from(uid: Uuid) -> Self {
        Self(uid.to_string())
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can be seen of a cluster. Nothing destructive is ever done on `Unknown`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    Absent,
    Unknown { reason: String },
    Present { process: Process, fingerprint: Option<String> },
}

/// The state of a cluster's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    Down,
    /// Alive, but not accepting connections: starting, recovering or stopping.
    Busy,
    Ready,
}

/// Where the gateway and the control plane reach a running server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    UnixSocket(PathBuf),
}

/// A PostgreSQL version that can be run, and its abilities as probed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Version {
    pub major: u32,
    /// As the server says it: `16.14`.
    pub full: String,
    /// Extensions that the owner of a database may create.
    pub extensions: Vec<String>,
    /// Extensions that are there and that nobody may create.
    pub closed_extensions: Vec<Closed>,
    /// Collations of ICU.
    pub icu: bool,
    /// The type `xml` and its functions.
    pub xml: bool,
    /// The server's own TLS; the gateway's does not depend on it.
    pub tls: bool,
    /// Compression of rows and backups by LZ4, and of backups by Zstandard.
    pub lz4: bool,
    pub zstd: bool,
    /// Client programs that came with the server, such as `pg_dump`.
    pub tools: Vec<String>,
    /// What is loaded into every server of an instance.
    pub preloaded: Vec<String>,
    /// The programs of servers that run as an operating-system user of their own.
    #[serde(skip)]
    pub bin: PathBuf,
    /// The programs of servers that share one: they have fewer extensions.
    #[serde(skip)]
    pub shared_bin: PathBuf,
}

/// An extension that nobody may create, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Closed {
    pub name: String,
    pub reason: &'static str,
}

/// Runs clusters. Every method is safe to call twice; each returns when the cluster is as asked.
#[async_trait]
pub trait Engine: Send + Sync {
    /// The versions that can be run, ascending.
    fn versions(&self) -> Vec<Version>;

    async fn observe(&self, id: &ClusterId) -> Observed;

    /// Makes the cluster's data: stopped, with the system roles and databases.
    async fn provision(&self, id: &ClusterId, major: u32) -> Result<()>;

    /// Writes the settings of a stopped cluster.
    async fn configure(&self, id: &ClusterId, settings: &Settings) -> Result<()>;

    /// Starts the server and waits until it accepts connections.
    async fn start(&self, id: &ClusterId) -> Result<()>;

    /// Stops the server cleanly: sessions end, committed work is kept.
    async fn stop(&self, id: &ClusterId) -> Result<()>;

    /// Stops the server and removes its data.
    async fn destroy(&self, id: &ClusterId) -> Result<()>;

    /// Gives `databricks_create_role` of a provisioned cluster the list of identities, as JSON.
    async fn publish_identities(&self, id: &ClusterId, json: &str) -> Result<()>;

    fn endpoint(&self, id: &ClusterId) -> Endpoint;

    /// How to connect as one of our own roles, [`ADMIN_ROLE`] or [`WRITER_ROLE`].
    fn connection(&self, id: &ClusterId, role: &str, database: &str) -> tokio_postgres::Config;

    /// Prepares clusters ahead of need; returns when the pool is full.
    async fn fill_pool(&self) -> Result<()>;
}
