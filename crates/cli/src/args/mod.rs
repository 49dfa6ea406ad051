//! The shape of the command line, one file a command family.
//!
//! Owns: names, help, defaults. Never: logic.

mod apps;
mod auth;
mod connection;
mod database;
mod doctor;
mod instance;
mod keys;
mod mcp;
mod models;
#[cfg(feature = "server")]
mod postgres;
mod role;
mod serve;
mod shared;
mod shell;
mod sync;
#[cfg(feature = "server")]
mod sync_run;
mod tables;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use self::apps::{
    AddResourceArgs, AppsCommand, CreateAppArgs, DeployArgs, ListDeploymentsArgs,
    RemoveResourceArgs, ResourceType, RunAppArgs, UpdateAppArgs,
};
pub(crate) use self::auth::{AuthCommand, LoginArgs, ProfilesArgs};
pub(crate) use self::connection::{
    ConnectionArgs, ConnectionStringArgs, EnvArgs, EnvStyle, ExecArgs, PgpassArgs, PsqlArgs,
};
pub(crate) use self::database::{
    CatalogCommand, CreateCatalogArgs, CreateSyncedTableArgs, CreateTableArgs, CredentialArgs,
    DatabaseCommand, DeleteInstanceArgs, DeleteSyncedTableArgs, InstanceCommand,
    ListOfInstanceArgs, SyncedTableCommand, TableCommand, UpdateCatalogArgs, UpdateInstanceArgs,
    UpdateSyncedTableArgs,
};
pub(crate) use self::doctor::DoctorArgs;
pub(crate) use self::instance::ShortInstanceCommand;
pub(crate) use self::keys::KeysCommand;
pub(crate) use self::mcp::McpArgs;
pub(crate) use self::models::{ModelsCommand, ServeModelArgs};
#[cfg(feature = "server")]
pub(crate) use self::postgres::{InstallPostgresArgs, PostgresCommand};
pub(crate) use self::role::{CreateRoleArgs, DeleteRoleArgs, ListRolesArgs, RoleArgs, RoleCommand};
#[cfg(feature = "server")]
pub(crate) use self::serve::ServeArgs;
pub(crate) use self::shared::{
    CreateInstanceArgs, InstanceFields, PageArgs, StateChangeArgs, WaitArgs,
};
pub(crate) use self::shell::{CompletionsArgs, ManArgs};
pub(crate) use self::sync::{
    HistoryArgs, NullBytesArg, ScheduleArgs, SettingsArgs, SyncCommand, TriggerArgs, WatchArgs,
};
#[cfg(feature = "server")]
pub(crate) use self::sync_run::{SyncMode, SyncRunArgs};
#[cfg(feature = "server")]
pub(crate) use self::tables::TablesPreviewArgs;
pub(crate) use self::tables::{TablesCommand, TablesListArgs, TablesRegisterArgs};

const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 the operation failed; 2 wrong usage; 3 no such object; \
4 no valid token, or not allowed; 130 interrupted. `psql` and `exec` pass on the program's own.

Configuration: arguments, then DATABRICKS_HOST with DATABRICKS_TOKEN or DATABRICKS_CLIENT_ID and \
DATABRICKS_CLIENT_SECRET, and LAKEPORT_CA_FILE, then a profile (--profile or DATABRICKS_CONFIG_PROFILE, \
else DEFAULT) of DATABRICKS_CONFIG_FILE (else ~/.databrickscfg), then a login of `lakeport auth login`.";

/// A self-hosted Lakebase: managed PostgreSQL beside a Delta lakehouse, and its client.
#[derive(Debug, Parser)]
#[command(name = "lakeport", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Profile of the configuration file
    #[arg(long, short, global = true)]
    pub(crate) profile: Option<String>,
    /// Address of the server
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) host: Option<String>,
    /// Form of the answer; a terminal gets text and everything else JSON, if not given
    #[arg(long, short, global = true, value_enum)]
    pub(crate) output: Option<Format>,
    /// No progress and no notes on stderr
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
    /// Say on stderr what is done; twice for every request
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the server
    #[cfg(feature = "server")]
    Serve(Box<ServeArgs>),
    #[command(flatten)]
    Client(ClientCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ClientCommand {
    /// The database API, command by command as in the official CLI
    #[command(subcommand)]
    Database(Box<DatabaseCommand>),
    /// Instances, in short words
    #[command(subcommand)]
    Instance(ShortInstanceCommand),
    /// Apps: their identity, what they may use, and running them
    #[command(subcommand)]
    Apps(Box<AppsCommand>),
    /// Ways to log in
    #[command(subcommand)]
    Auth(AuthCommand),
    /// Models that use databases
    #[command(subcommand)]
    Models(ModelsCommand),
    /// PostgreSQL versions of this machine's server
    #[cfg(feature = "server")]
    #[command(subcommand)]
    Postgres(PostgresCommand),
    /// Keys of the server
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Open psql on an instance; the token is supplied on the way and seen by nobody
    Psql(PsqlArgs),
    /// Run any program of libpq on an instance, by the same way: pg_dump, pg_restore, pgbench …
    Exec(ExecArgs),
    /// Print a connection string with a fresh one-hour token
    ConnectionString(ConnectionStringArgs),
    /// Print `export` lines for libpq with a fresh one-hour token
    Env(EnvArgs),
    /// Print a fresh one-hour token, as in PGPASSWORD=$(lakeport password NAME)
    Password(ConnectionArgs),
    /// Put a fresh one-hour token into the password file of libpq
    ///
    /// For programs that cannot ask for a token by themselves. Lines for other servers stay.
    Pgpass(PgpassArgs),
    /// Find out why somebody cannot connect or create, and what mends it
    ///
    /// Exit code 1 if something is wrong.
    Doctor(DoctorArgs),
    /// Delta tables known by a three-part name
    #[command(subcommand)]
    Tables(TablesCommand),
    /// Print a completion script, as in: source <(lakeport completions bash)
    Completions(CompletionsArgs),
    /// Print the manual
    Man(ManArgs),
    /// Serve the tools of an AI agent over the Model Context Protocol, on standard input and output
    Mcp(Box<McpArgs>),
    /// Synced tables: how far they are, what they do, and when
    #[command(subcommand)]
    Sync(Box<SyncCommand>),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_may_follow_the_command() {
        let cli = Cli::parse_from(["lakeport", "instance", "list", "-o", "json", "-p", "x"]);
        assert_eq!(cli.global.output, Some(Format::Json));
        assert_eq!(cli.global.profile.as_deref(), Some("x"));
    }
}
