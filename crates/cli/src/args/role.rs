//! `lakeport database …-role`: PostgreSQL roles of an instance.

use clap::{Args, Subcommand};

use super::shared::PageArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum RoleCommand {
    /// Let a user, a service principal or a group log in to an instance
    CreateDatabaseInstanceRole(CreateRoleArgs),
    /// Show a role of an instance
    GetDatabaseInstanceRole(RoleArgs),
    /// List the roles of an instance
    ListDatabaseInstanceRoles(ListRolesArgs),
    /// Delete a role, and hand over what it owns
    DeleteDatabaseInstanceRole(DeleteRoleArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RoleArgs {
    /// The instance, and the role
    #[arg(value_names = ["INSTANCE_NAME", "NAME"], num_args = 0..=2)]
    pub(crate) positionals: Vec<String>,
    /// The same as INSTANCE_NAME
    #[arg(long, value_name = "NAME")]
    pub(crate) instance_name: Option<String>,
    /// The same as NAME
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateRoleArgs {
    #[command(flatten)]
    pub(crate) role: RoleArgs,
    /// USER, SERVICE_PRINCIPAL or GROUP
    #[arg(long, value_name = "TYPE")]
    pub(crate) identity_type: Option<String>,
    /// DATABRICKS_SUPERUSER
    #[arg(long, value_name = "ROLE")]
    pub(crate) membership_role: Option<String>,
    /// The body as JSON, or @FILE; `attributes` can be given only here
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ListRolesArgs {
    #[arg(value_name = "INSTANCE_NAME", required_unless_present = "flag", conflicts_with = "flag")]
    pub(crate) positional: Option<String>,
    /// The same as INSTANCE_NAME
    #[arg(long = "instance-name", value_name = "NAME", alias = "name")]
    pub(crate) flag: Option<String>,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteRoleArgs {
    #[command(flatten)]
    pub(crate) role: RoleArgs,
    /// A role that is not there is no error
    #[arg(long)]
    pub(crate) allow_missing: bool,
    /// The role that gets what this one owns
    #[arg(long, value_name = "ROLE")]
    pub(crate) reassign_owned_to: Option<String>,
}
