//! `lakeport instance …`.

use clap::Subcommand;

use super::database::DeleteInstanceArgs;
use super::shared::{CreateInstanceArgs, NameArg, PageArgs, StateChangeArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum ShortInstanceCommand {
    /// Create an instance, and wait until it is available
    Create(Box<CreateInstanceArgs>),
    /// Show an instance
    Get(NameArg),
    /// List the instances
    List(PageArgs),
    /// Start a stopped instance, and wait until it is available
    Start(StateChangeArgs),
    /// Stop an instance, and wait until it is stopped
    Stop(StateChangeArgs),
    /// Delete an instance and its data, and wait until its name is free
    Delete(DeleteInstanceArgs),
}
