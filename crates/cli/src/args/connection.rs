//! `lakeport psql`, and what other programs need to connect.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::shared::NameArg;

#[derive(Debug, Args)]
pub(crate) struct ConnectionArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// Database to connect to
    #[arg(long, short, default_value = "databricks_postgres")]
    pub(crate) database: String,
    #[command(flatten)]
    pub(crate) port: PortArg,
}

#[derive(Debug, Args)]
pub(crate) struct PortArg {
    /// Port of PostgreSQL, which the API does not tell
    #[arg(long, env = "LAKEPORT_PG_PORT", default_value_t = 5432)]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
pub(crate) struct ConnectionStringArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Leave the token out
    #[arg(long)]
    pub(crate) no_token: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EnvArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Leave the token out: what Databricks Apps inject
    #[arg(long)]
    pub(crate) no_token: bool,
    /// Whose names the variables have
    #[arg(long, value_enum, default_value_t = EnvStyle::Libpq)]
    pub(crate) style: EnvStyle,
    /// Lines of an .env file instead of `export` lines
    #[arg(long)]
    pub(crate) dotenv: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum EnvStyle {
    /// PGHOST, PGUSER and so on, which every libpq program reads
    Libpq,
    /// LAKEBASE_INSTANCE_NAME, LAKEBASE_PG_URL and so on, which templates of apps read
    Lakebase,
}

#[derive(Debug, Args)]
pub(crate) struct PgpassArgs {
    /// The instances
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// The password file [default: $PGPASSFILE or ~/.pgpass]
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Stay, and write fresh tokens before the old ones end
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) port: PortArg,
}

#[derive(Debug, Args)]
pub(crate) struct PsqlArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// The psql program; else the one on PATH
    #[arg(long, env = "LAKEPORT_PSQL", value_name = "PATH")]
    pub(crate) psql: Option<PathBuf>,
    /// Arguments for psql
    #[arg(last = true, value_name = "PSQL_ARGS")]
    pub(crate) psql_args: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
