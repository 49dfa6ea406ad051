//! Wire types of the Databricks database API and its neighbours, as the official clients send and read
//! them: snake_case JSON, absent rather than null, 64-bit integers as numbers.
//!
//! Owns: the shapes. Never: HTTP, validation, defaults; those belong to the server and its clients.

pub mod app;
pub mod catalog;
pub mod credential;
pub mod error;
pub mod federation;
pub mod instance;
pub mod login;
pub mod permission;
pub mod pipeline;
pub mod role;
pub mod scim;
pub mod sync_pipeline;
pub mod synced_table;
pub mod unity;
pub mod unity_grants;

pub use catalog::{DatabaseCatalog, DatabaseCatalogList, DatabaseTable};
pub use credential::{
    DatabaseCredential, GenerateCredentialRequest, RequestedClaims, RequestedResource,
};
pub use error::{ErrorBody, ErrorCode};
pub use instance::{
    CustomTag, DatabaseInstance, DatabaseInstanceList, DatabaseInstanceRef, InstanceState,
};
pub use role::{
    DatabaseInstanceRole, DatabaseInstanceRoleList, IdentityType, MembershipRole, RoleAttributes,
};
pub use sync_pipeline::{SyncPipeline, SyncSchedule, SyncSettings};
pub use synced_table::{
    NewPipelineSpec, SyncedDatabaseTable, SyncedDatabaseTableList, SyncedTableSpec,
    SyncedTableState, SyncedTableStatus, TypeOverride,
};
