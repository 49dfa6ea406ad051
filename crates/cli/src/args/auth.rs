//! `lakeport auth …`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::shared::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum AuthCommand {
    /// Log in by browser, and keep the login for this and the official tools
    ///
    /// Writes a profile with `auth_type = databricks-cli` and keeps the tokens in
    /// ~/.databricks/token-cache.json, as the official command line does; both find each other's logins.
    Login(LoginArgs),
    /// Forget a login by browser, and end it at the server
    Logout,
    /// Print the access token of a login or a client secret, renewed if need be
    Token,
    /// List the profiles, and whether the server takes them
    Profiles(ProfilesArgs),
    /// Print a link that signs a user in once; for administrators of a Lakeport server
    ///
    /// Open it in a browser within 15 minutes. A program that starts a login there afterwards, such as
    /// `databricks auth login`, needs consent only; a password can be chosen for later.
    LoginLink(LoginLinkArgs),
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Print the page's address only, and let somebody else open it
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// For how long to wait for the browser to come back
    #[arg(long, default_value = "10m", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct ProfilesArgs {
    /// Do not ask the servers
    #[arg(long)]
    pub(crate) skip_validate: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LoginLinkArgs {
    /// Name of the user
    #[arg(value_name = "USER")]
    pub(crate) user: String,
}
