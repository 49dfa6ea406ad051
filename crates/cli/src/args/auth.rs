//! `lakeport auth …`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Print a link that signs a user in once; for administrators of a Lakeport server
    ///
    /// Open it in a browser within 15 minutes. A program that starts a login there afterwards, such as
    /// `databricks auth login`, needs consent only; a password can be chosen for later.
    LoginLink(LoginLinkArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LoginLinkArgs {
    /// Name of the user
    #[arg(value_name = "USER")]
    pub(crate) user: String,
}
