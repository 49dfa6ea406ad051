//! `lakeport doctor`.

use clap::Args;

use super::connection::PortArg;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The instance to connect to; without it, only the server and the login are examined
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Whose rights to examine: a user's name, an application id or a group [default: your own]
    #[arg(long, value_name = "ROLE", requires = "name")]
    pub(crate) role: Option<String>,
    /// Database to connect to
    #[arg(long, short, default_value = "databricks_postgres")]
    pub(crate) database: String,
    /// Schema in which the role shall create tables
    #[arg(long, default_value = "public")]
    pub(crate) schema: String,
    #[command(flatten)]
    pub(crate) port: PortArg,
}
