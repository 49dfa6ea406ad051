//! The metadata store: what should exist and what was seen, in PostgreSQL.
//!
//! Owns: migrations, leases, and one typed function a statement. Never: decisions; a caller that needs two
//! statements to agree gets one function with one transaction.

mod apps;
mod connection;
mod creates;
mod database_catalogs;
mod error;
mod events;
mod federation;
mod grants;
mod instances;
mod lease;
mod logins;
mod migrate;
mod permissions;
mod pipelines;
mod principals;
mod reader_revisions;
mod readers;
mod retry;
mod settings;
mod synced_tables;
mod tokens;
mod unity;
mod unity_grants;
mod unity_tables;
mod updates;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::{Config, NoTls};

use connection::Connection;

pub use apps::{App, AppDeployment, AppGrant, AppRun, DatabaseOfApp, NewApp, NewDeployment};
pub use creates::{Create, Repeated};
pub use database_catalogs::{DatabaseCatalogRow, NewDatabaseCatalog};
pub use error::Error;
pub use events::{NewEvent, PipelineEvent};
pub use federation::{FederationPolicy, FederationSpec};
pub use grants::{Grant, NewCode, Once, RedeemedCode};
pub use instances::{Instance, InstanceStatus, NewInstance};
pub use lease::{Lease, LeaseTaken};
pub use permissions::{Permission, Subject};
pub use pipelines::{Pipeline, Schedule};
pub use principals::{
    Comparison, Membership, Principal, PrincipalField, PrincipalFilter, PrincipalKind,
    PrincipalQuery, PrincipalSpec,
};
pub use settings::SigningKeyRow;
pub use synced_tables::{AppliedVersion, DueSyncedTable, NewSyncedTable, SyncedTable};
pub use tokens::TokenInfo;
pub use unity::{NewObject, ObjectPatch, UnityCatalog, UnitySchema};
pub use unity_grants::{EVERYBODY, GrantPlace, UnityGrant};
pub use unity_tables::{SyncedIn, UnityTable};
pub use updates::{NewUpdate, PipelineUpdate, TableUpdate};

pub type Result<T> = std::result::Result<T, Error>;

/// Connections of one server to the metadata database: short statements, so few are enough.
const POOL_SIZE: usize = 8;

/// A metadata server that does not answer in this time is not available.
const PATIENCE: Duration = Duration::from_secs(10);

/// Schema that holds every table of ours, so that a shared database stays usable for others.
const SCHEMA: &str = "lakeport";

/// A cheap handle; clones share one pool.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
}

impl Store {
    /// Connects, and brings the schema up to this program's version.
    pub async fn open(mut config: Config) -> Result<Self> {
        config.options(format!("-c search_path={SCHEMA},pg_catalog -c statement_timeout=30000"));
        config.application_name("lakeport metadata");
        let manager = Manager::from_config(
            config,
            NoTls,
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(POOL_SIZE)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(PATIENCE))
            .create_timeout(Some(PATIENCE))
            .recycle_timeout(Some(PATIENCE))
            .build()
            .map_err(|error| Error::Unavailable(error.to_string()))?;
        let store = Self { pool };
        migrate::run(&mut store.connection().await?).await?;
        Ok(store)
    }

    async fn connection(&self) -> Result<Connection> {
        self.pool.get().await.map(Connection::new).map_err(Error::from)
    }

    /// Whether the metadata database answers.
    pub async fn ping(&self) -> Result<()> {
        self.connection().await?.execute("select 1", &[]).await?;
        Ok(())
    }
}
