//! `lakeport postgres …`: the PostgreSQL versions of a data directory.
//!
//! Owns: which Python runs the installer, and where it installs. Never: packages and digests, which are
//! `scripts/install_postgres.py`'s alone, so that `make setup` and this command install the same.

use std::ffi::OsString;
use std::process::Stdio;

use clap::ValueEnum;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::args::{InstallPostgresArgs, PostgresCommand};
use crate::failure::Failure;

const INSTALLER: &str = include_str!("../../../../scripts/install_postgres.py");
/// The variable of the installer, whatever the flag is called.
const SOURCE: &str = "LAKEPORT_POSTGRES_SOURCE";

pub(crate) async fn run(command: PostgresCommand) -> Result<(), Failure> {
    match command {
        PostgresCommand::Install(args) => install(args).await,
    }
}

async fn install(args: InstallPostgresArgs) -> Result<(), Failure> {
    let data_dir = args.data_dir.unwrap_or_else(lakeport_server::default_data_dir);
    let python = std::env::var_os("LAKEPORT_PYTHON").unwrap_or_else(|| OsString::from("python3"));
    let versions = args.versions.iter().filter_map(ValueEnum::to_possible_value);
    let mut command = Command::new(&python);
    command.arg("-").arg(data_dir.join("postgres")).args(versions.map(|v| v.get_name().to_owned()));
    if let Some(source) = args.source {
        command.env(SOURCE, source);
    }
    let mut child = command.stdin(Stdio::piped()).kill_on_drop(true).spawn().map_err(|error| {
        Failure::new(format!("cannot run {}: {error}", python.display())).hint(
            "The installer needs Python 3.9 or newer with pip: install it, or name one with \
             LAKEPORT_PYTHON. PostgreSQL of the system's own packages is found too.",
        )
    })?;
    if let Some(mut program) = child.stdin.take() {
        let written = program.write_all(INSTALLER.as_bytes()).await;
        written.map_err(Failure::while_doing("handing the installer to Python"))?;
    }
    let ended = child.wait().await.map_err(Failure::while_doing("waiting for the installer"))?;
    if ended.success() {
        return Ok(());
    }
    Err(Failure::new("PostgreSQL was not installed"))
}
