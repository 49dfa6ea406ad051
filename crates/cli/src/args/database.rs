//! `lakeport database …`: the official CLI's commands and flags.

use clap::{Args, Subcommand};

use super::role::RoleCommand;
use super::shared::{
    CreateInstanceArgs, InstanceFields, NameArg, PageArgs, StateChangeArgs, WaitArgs,
};

#[derive(Debug, Subcommand)]
pub(crate) enum DatabaseCommand {
    #[command(flatten)]
    Instance(InstanceCommand),
    /// Mint a one-hour PostgreSQL password
    GenerateDatabaseCredential(CredentialArgs),
    #[command(flatten)]
    Role(RoleCommand),
    #[command(flatten)]
    Catalog(CatalogCommand),
    #[command(flatten)]
    SyncedTable(SyncedTableCommand),
    #[command(flatten)]
    Table(TableCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum InstanceCommand {
    /// Create an instance, and wait until it is available
    #[command(alias = "create")]
    CreateDatabaseInstance(Box<CreateInstanceArgs>),
    /// Show an instance
    #[command(alias = "get")]
    GetDatabaseInstance(NameArg),
    /// List the instances
    #[command(alias = "list")]
    ListDatabaseInstances(PageArgs),
    /// Show the instance with a uid
    FindDatabaseInstanceByUid(FindInstanceArgs),
    /// Change an instance, and wait until that is done
    #[command(alias = "update")]
    UpdateDatabaseInstance(Box<UpdateInstanceArgs>),
    /// Delete an instance and its data, and wait until its name is free
    #[command(alias = "delete")]
    DeleteDatabaseInstance(DeleteInstanceArgs),
    /// Start a stopped instance, and wait until it is available
    #[command(alias = "start")]
    StartDatabaseInstance(StateChangeArgs),
    /// Stop an instance, and wait until it is stopped
    #[command(alias = "stop")]
    StopDatabaseInstance(StateChangeArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Register a database of an instance as a catalog
    CreateDatabaseCatalog(CreateCatalogArgs),
    /// Show a registered catalog
    GetDatabaseCatalog(NameArg),
    /// Change a catalog, which services do not support yet
    #[command(hide = true)]
    UpdateDatabaseCatalog(UpdateCatalogArgs),
    /// Unregister a catalog; the database stays
    DeleteDatabaseCatalog(NameArg),
    /// List the catalogs of an instance
    ListDatabaseCatalogs(ListOfInstanceArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum SyncedTableCommand {
    /// Serve a Delta table from PostgreSQL
    CreateSyncedDatabaseTable(CreateSyncedTableArgs),
    /// Show a synced table and how far it is
    GetSyncedDatabaseTable(NameArg),
    /// Change a synced table, which services do not support yet
    #[command(hide = true)]
    UpdateSyncedDatabaseTable(UpdateSyncedTableArgs),
    /// End the synchronization
    DeleteSyncedDatabaseTable(DeleteSyncedTableArgs),
    /// List the synced tables of an instance
    ListSyncedDatabaseTables(ListOfInstanceArgs),
}

#[derive(Debug, Subcommand)]
#[expect(clippy::enum_variant_names, reason = "they are the commands of the official CLI")]
pub(crate) enum TableCommand {
    /// Give a PostgreSQL table a three-part name
    CreateDatabaseTable(CreateTableArgs),
    /// Show a PostgreSQL table by its three-part name
    GetDatabaseTable(NameArg),
    /// Take the three-part name away; the PostgreSQL table stays
    DeleteDatabaseTable(NameArg),
}

#[derive(Debug, Args)]
pub(crate) struct FindInstanceArgs {
    /// The instance's immutable id
    #[arg(long)]
    pub(crate) uid: String,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateInstanceArgs {
    /// The instance, and the fields to set, separated by commas; without them, those given by flag
    #[arg(value_names = ["NAME", "UPDATE_MASK"], num_args = 0..=2)]
    pub(crate) positionals: Vec<String>,
    /// The same as NAME
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The same as UPDATE_MASK
    #[arg(long, value_name = "FIELDS")]
    pub(crate) update_mask: Option<String>,
    #[command(flatten)]
    pub(crate) fields: InstanceFields,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteInstanceArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// Delete the instances cloned from it too
    #[arg(long)]
    pub(crate) force: bool,
    /// Delete for good, which is also what happens if it is not given
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) purge: Option<bool>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CredentialArgs {
    /// Id of the request; a random one if not given
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Instances that the password shall open
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) instance_names: Option<Vec<String>>,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateCatalogArgs {
    /// The catalog, and the instance and database that it shows
    #[arg(value_names = ["NAME", "DATABASE_INSTANCE_NAME", "DATABASE_NAME"], num_args = 0..=3)]
    pub(crate) positionals: Vec<String>,
    /// The same as NAME
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The same as DATABASE_INSTANCE_NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) database_instance_name: Option<String>,
    /// The same as DATABASE_NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) database_name: Option<String>,
    /// Create the database if there is none
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) create_database_if_not_exists: Option<bool>,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateCatalogArgs {
    /// The catalog, the fields to set, separated by commas, and the instance and database that it shows
    #[arg(value_names = ["NAME", "UPDATE_MASK", "DATABASE_INSTANCE_NAME", "DATABASE_NAME"], num_args = 0..=4)]
    pub(crate) positionals: Vec<String>,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateSyncedTableArgs {
    /// catalog.schema.table
    pub(crate) name: String,
    /// The fields to set, separated by commas
    pub(crate) update_mask: String,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateSyncedTableArgs {
    /// catalog.schema.table
    #[arg(value_name = "NAME", conflicts_with = "name")]
    pub(crate) positional: Option<String>,
    /// The same as NAME
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Instance that serves the table; known from the catalog if that is a registered one
    #[arg(long, value_name = "NAME")]
    pub(crate) database_instance_name: Option<String>,
    /// Database that holds the table; known from the catalog if that is a registered one
    #[arg(long, value_name = "NAME")]
    pub(crate) logical_database_name: Option<String>,
    /// The body as JSON, or @FILE; `spec` can be given only here
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateTableArgs {
    /// catalog.schema.table
    #[arg(value_name = "NAME", conflicts_with = "name")]
    pub(crate) positional: Option<String>,
    /// The same as NAME
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Instance that holds the table; known from the catalog if that is a registered one
    #[arg(long, value_name = "NAME")]
    pub(crate) database_instance_name: Option<String>,
    /// Database that holds the table; known from the catalog if that is a registered one
    #[arg(long, value_name = "NAME")]
    pub(crate) logical_database_name: Option<String>,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteSyncedTableArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// Drop the PostgreSQL table too
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) purge_data: Option<bool>,
}

#[derive(Debug, Args)]
pub(crate) struct ListOfInstanceArgs {
    #[arg(value_name = "INSTANCE_NAME", required_unless_present = "flag", conflicts_with = "flag")]
    pub(crate) positional: Option<String>,
    /// The same as INSTANCE_NAME
    #[arg(long = "instance-name", value_name = "NAME", alias = "name")]
    pub(crate) flag: Option<String>,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}
