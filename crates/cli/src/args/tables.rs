//! `lakeport tables …`.

use clap::{Args, Subcommand};

use super::shared::{NameArg, PageArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum TablesCommand {
    /// Give a Delta table a three-part name
    Register(TablesRegisterArgs),
    /// List the tables of a schema
    List(TablesListArgs),
    /// Show a table and its columns
    Describe(NameArg),
    /// Show the first rows of a Delta table
    #[cfg(feature = "server")]
    Preview(TablesPreviewArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TablesRegisterArgs {
    /// catalog.schema.table, and where it is: a URL, or a path of this machine
    #[arg(value_names = ["NAME", "LOCATION"], num_args = 0..=2)]
    pub(crate) positionals: Vec<String>,
    /// The same as NAME
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The same as LOCATION
    #[arg(long)]
    pub(crate) location: Option<String>,
    /// Create the catalog and the schema if there are none
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set, value_name = "BOOL")]
    pub(crate) create_missing: bool,
}

#[cfg(feature = "server")]
#[derive(Debug, Args)]
pub(crate) struct TablesPreviewArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// How many rows
    #[arg(long, value_name = "ROWS", default_value_t = 10)]
    pub(crate) limit: usize,
}

#[derive(Debug, Args)]
pub(crate) struct TablesListArgs {
    #[arg(value_name = "CATALOG.SCHEMA")]
    pub(crate) schema: String,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}
