//! `lakeport mcp`: the tools of an agent, for the client that has started this program.

use std::io::{IsTerminal, stdin};

use lakeport_mcp::{Caller, Server, Settings};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::McpArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Everybody who reaches standard input is the one caller.
const CALLER: &str = "stdio";

pub(crate) async fn run(context: &Context, args: McpArgs) -> Result<(), Failure> {
    let caller = Caller::new(context.client()?, CALLER, args.access);
    if stdin().is_terminal() {
        eprintln!("Waiting for an MCP client on standard input; Ctrl-C ends it. See docs/mcp.md.");
    }
    let server = Server::new(settings(args), caller);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_watch)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_watch)?;
    tokio::select! {
        served = server.clone().serve_stdio() => {
            server.close();
            served.map_err(|error| Failure::new(format!("serve MCP: {error}")))
        }
        _ = interrupt.recv() => end(&server),
        _ = terminate.recv() => end(&server),
    }
}

/// Nothing interrupts a read of standard input, so that the runtime would wait for the client forever.
fn end(server: &Server) -> ! {
    server.close();
    std::process::exit(0)
}

fn cannot_watch(error: std::io::Error) -> Failure {
    Failure::new(format!("watch signals: {error}"))
}

fn settings(args: McpArgs) -> Settings {
    Settings {
        pg_port: args.port,
        protected: args.protect,
        confirm: !args.no_confirm,
        statement_timeout: args.statement_timeout,
        max_rows: args.max_rows.into(),
        read_role: args.read_role,
        local: true,
        ..Settings::default()
    }
}
