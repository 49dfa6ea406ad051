//! What should exist, and making it so: services for each resource of the database API, and the
//! reconcilers behind them.
//!
//! Owns: the API's semantics, spec → status. Never: HTTP, the PostgreSQL wire of clients, Delta; what it
//! needs of those it declares as a trait ([`Naming`], [`SyncRunner`]) that the server implements.

mod access;
mod apps;
mod availability;
mod bearer;
mod creates;
mod credentials;
mod database_catalogs;
mod drop_role;
mod error;
mod federation;
mod identities;
mod instance_roles;
mod instance_spec;
mod instances;
mod limited_credentials;
mod naming;
mod native_logins;
mod outside_logins;
mod page;
mod passwords;
mod permissions;
mod pipelines;
mod principals;
mod progress;
mod read_only;
mod ready;
pub mod reconcile;
mod roles;
mod schedule;
mod sessions;
mod signing_keys;
mod subjects;
pub mod supervisor;
mod sync_counts;
mod sync_runner;
mod sync_settings;
mod sync_slots;
mod synced_table_spec;
mod synced_table_wire;
mod synced_tables;
mod target;
mod tokens;
mod unity;

use std::sync::Arc;

use lakeport_catalog::Catalog;
use lakeport_engine::{CapacityUnit, Engine};
use lakeport_identity::oauth::OAuth;
use lakeport_identity::outside::Provider;
use lakeport_identity::{Credentials, SigningKeys, Vault};
use lakeport_store::Store;
use tokio::sync::Notify;
use uuid::Uuid;

pub use access::Capability;
pub use apps::settle_apps;
pub use availability::Availability;
pub use bearer::Bearer;
pub use creates::{Created, Sender, Unanswered};
pub use error::{Error, Kind};
pub use identities::PublishedIdentities;
pub use limited_credentials::Readers;
pub use naming::{HostName, Naming};
pub use page::Page;
pub use principals::PrincipalDraft;
pub use progress::{Progress, RunCost, RunProgress};
pub use ready::Ready;
pub use sessions::{NATIVE_PASSWORD, OpenSession, SessionsOnRevoke};
pub use subjects::{Standing, Subjects};
pub use sync_counts::{SyncCounts, TableCounts};
pub use sync_runner::{
    ColumnInspection, Inspection, NullCharacters, PgType, RunError, RunKind, RunMode, RunOutcome,
    RunSettings, SyncRun, SyncRunner, TableShape, TypeChoice,
};
pub use sync_slots::SyncSlots;

pub type Result<T> = std::result::Result<T, Error>;

/// Everything that the services and reconcilers work with; cheap to clone behind an `Arc`.
pub struct Control {
    pub store: Store,
    pub engine: Arc<dyn Engine>,
    pub catalog: Arc<dyn Catalog>,
    pub credentials: Credentials,
    pub oauth: OAuth,
    /// Where people may log in instead of here.
    pub provider: Option<Provider>,
    /// What both are signed with.
    pub keys: Arc<SigningKeys>,
    pub naming: Arc<dyn Naming>,
    pub runner: Arc<dyn SyncRunner>,
    pub vault: Arc<Vault>,
    pub unit: CapacityUnit,
    /// Whether apps may create in the schema `public` of their databases.
    pub app_public_schema: bool,
    /// PostgreSQL version of instances that ask for none.
    pub default_major: u32,
    /// This data directory.
    pub node: Uuid,
    /// This process, as the holder of leases.
    pub owner: Uuid,
    pub progress: Progress,
    pub sync_counts: SyncCounts,
    pub ready: Ready,
    pub subjects: Subjects,
    pub sync_slots: SyncSlots,
    pub published: PublishedIdentities,
    pub sessions_on_revoke: SessionsOnRevoke,
    pub readers: Readers,
    /// Wakes the reconcilers when a spec has changed; they look around by themselves too.
    pub wake: Notify,
}
