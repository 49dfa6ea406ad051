//! `lakeport models …`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::shared::duration;

#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Serve a logged model on this machine as Model Serving does, until Ctrl-C
    Serve(ServeModelArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeModelArgs {
    /// Folder with the file MLmodel
    #[arg(value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Name of the endpoint, after which its identity is called [default: that of the folder]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Port on which the model server is to listen; 0 picks a free one
    #[arg(long, default_value_t = 5001)]
    pub(crate) port: u16,
    /// For how long the model server may take until it listens
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub(crate) start_timeout: Duration,
    /// Folder for the token file, for SDKs that do not ask SERVING_CREDENTIALS_DIR [default: a private
    /// one]
    #[arg(long, value_name = "DIR")]
    pub(crate) credentials_dir: Option<PathBuf>,
    /// What serves the model, with $PORT and $MODEL filled in [default: mlflow models serve]
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
