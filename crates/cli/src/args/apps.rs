//! `lakeport apps …`: the official CLI's commands, and running an app here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::shared::{NameArg, PageArgs, WaitArgs, duration};

#[derive(Debug, Subcommand)]
pub(crate) enum AppsCommand {
    /// Create an app with an identity of its own
    Create(CreateAppArgs),
    /// Show an app
    Get(NameArg),
    /// List the apps
    List(PageArgs),
    /// Change an app; resources are replaced as a whole
    Update(UpdateAppArgs),
    /// Delete an app; what it owns goes to the instances' owners
    Delete(NameArg),
    /// Let a stopped app run again
    Start(NameArg),
    /// Stop an app
    Stop(NameArg),
    /// Run another source, and wait until it is up
    Deploy(DeployArgs),
    /// Show a deployment
    GetDeployment(DeploymentArgs),
    /// List the deployments of an app, the latest first
    ListDeployments(ListDeploymentsArgs),
    /// Let an app use a database
    AddResource(AddResourceArgs),
    /// Take a resource away from an app
    RemoveResource(RemoveResourceArgs),
    /// Run an app on this machine as the platform does, until Ctrl-C
    Run(RunAppArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateAppArgs {
    #[arg(value_name = "NAME", conflicts_with = "name")]
    pub(crate) positional: Option<String>,
    /// The same as NAME
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// What the app is for
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Create it stopped
    #[arg(long)]
    pub(crate) no_compute: bool,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct UpdateAppArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// What the app is for
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Folder with the app, on the machine that runs it [default: as before]
    #[arg(long, value_name = "DIR")]
    pub(crate) source_code_path: Option<PathBuf>,
    /// SNAPSHOT or AUTO_SYNC
    #[arg(long)]
    pub(crate) mode: Option<String>,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DeploymentArgs {
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    #[arg(value_name = "DEPLOYMENT_ID")]
    pub(crate) id: String,
}

#[derive(Debug, Args)]
pub(crate) struct ListDeploymentsArgs {
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ResourceType {
    Database,
}

#[derive(Debug, Args)]
pub(crate) struct AddResourceArgs {
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    #[arg(long, value_enum)]
    pub(crate) resource_type: ResourceType,
    /// Key of the resource, for `valueFrom` in app.yaml
    #[arg(long, value_name = "KEY", default_value = "database")]
    pub(crate) resource_name: String,
    /// Instance, by its name or its DNS name
    #[arg(long, value_name = "INSTANCE")]
    pub(crate) database_instance: String,
    /// Database of the instance
    #[arg(long, value_name = "NAME", default_value = "databricks_postgres")]
    pub(crate) database_name: String,
    /// What the app may do there
    #[arg(long, default_value = "CAN_CONNECT_AND_CREATE")]
    pub(crate) permission: String,
    /// What the app uses it for
    #[arg(long)]
    pub(crate) description: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveResourceArgs {
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// Key of the resource
    #[arg(long, value_name = "KEY", default_value = "database")]
    pub(crate) resource_name: String,
}

#[derive(Debug, Args)]
pub(crate) struct RunAppArgs {
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Deploy this folder first [default: the deployment that is active]
    #[arg(long, value_name = "DIR")]
    pub(crate) source: Option<PathBuf>,
    /// Port on which the app is to listen; 0 picks a free one
    #[arg(long, default_value_t = 8000)]
    pub(crate) port: u16,
    /// For how long the app may take until it listens
    #[arg(long, default_value = "2m", value_parser = duration)]
    pub(crate) start_timeout: Duration,
}
