//! `lakeport`: the server, and the client of any server that speaks the same API.
//!
//! Owns: the command line. Never: what a command does beyond asking a library and showing the answer.

mod args;
mod body;
mod child;
mod command;
mod context;
mod failure;
mod interrupt;
mod log;
mod output;
mod positional;
mod status_line;
mod text;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match command::run(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
