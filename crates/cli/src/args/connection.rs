//! `lakeport psql`, `lakeport connection-string`, `lakeport env`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::shared::NameArg;

#[derive(Debug, Args)]
pub(crate) struct ConnectionArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// Database to connect to
    #[arg(long, short, default_value = "databricks_postgres")]
    pub(crate) database: String,
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
