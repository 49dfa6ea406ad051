//! The commands, one file a family.
//!
//! Owns: which runtime a command runs on. Never: parsing.

mod apps;
mod auth;
mod connection;
mod database;
mod doctor;
mod instance;
mod keys;
mod mcp;
mod models;
#[cfg(feature = "server")]
mod postgres;
#[cfg(feature = "server")]
mod serve;
mod shell;
mod sync;
mod tables;
#[cfg(feature = "server")]
mod tables_preview;

use std::process::ExitCode;

use tokio::runtime::Builder;

#[cfg(feature = "server")]
use crate::args::SyncCommand;
use crate::args::{Cli, ClientCommand, Command, GlobalArgs};
use crate::context::Context;
use crate::failure::Failure;
use crate::log;

pub(crate) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        #[cfg(feature = "server")]
        Command::Serve(args) => serve::run(*args).map(done),
        Command::Client(command) => run_client(cli.global, command),
    }
}

fn run_client(global: GlobalArgs, command: ClientCommand) -> Result<ExitCode, Failure> {
    log::init(global.verbose);
    let context = Context::new(global);
    runtime_for(&command)
        .enable_all()
        .build()
        .map_err(Failure::while_doing("start the asynchronous runtime"))?
        .block_on(dispatch(&context, command))
}

/// Client commands wait for one thing at a time, so one thread is enough; a load is work for all cores.
fn runtime_for(command: &ClientCommand) -> Builder {
    match command {
        #[cfg(feature = "server")]
        ClientCommand::Sync(command) if matches!(**command, SyncCommand::Run(_)) => {
            Builder::new_multi_thread()
        }
        _ => Builder::new_current_thread(),
    }
}

async fn dispatch(context: &Context, command: ClientCommand) -> Result<ExitCode, Failure> {
    match command {
        ClientCommand::Database(command) => database::run(context, *command).await.map(done),
        ClientCommand::Instance(command) => instance::run(context, command).await.map(done),
        ClientCommand::Apps(command) => apps::run(context, *command).await.map(done),
        ClientCommand::Auth(command) => auth::run(context, command).await.map(done),
        ClientCommand::Models(command) => models::run(context, command).await.map(done),
        ClientCommand::Keys(command) => keys::run(context, command).await.map(done),
        #[cfg(feature = "server")]
        ClientCommand::Postgres(command) => postgres::run(command).await.map(done),
        ClientCommand::Psql(args) => connection::program::psql(context, args).await,
        ClientCommand::Exec(args) => connection::program::exec(context, args).await,
        ClientCommand::ConnectionString(args) => {
            connection::string::run(context, &args).await.map(done)
        }
        ClientCommand::Env(args) => connection::env::run(context, &args).await.map(done),
        ClientCommand::Password(args) => connection::password::run(context, &args).await.map(done),
        ClientCommand::Pgpass(args) => connection::pgpass::run(context, &args).await.map(done),
        ClientCommand::Doctor(args) => doctor::run(context, &args).await,
        ClientCommand::Completions(args) => shell::completions(&args).map(done),
        ClientCommand::Man(args) => shell::man(&args).map(done),
        ClientCommand::Mcp(args) => mcp::run(context, *args).await.map(done),
        ClientCommand::Tables(command) => tables::run(context, command).await.map(done),
        ClientCommand::Sync(command) => sync::run(context, *command).await.map(done),
    }
}

fn done(_: ()) -> ExitCode {
    ExitCode::SUCCESS
}
