//! `lakeport psql NAME`: psql on a private socket that is carried over TLS.
//!
//! psql gets no token, by argument or environment; any psql will do, one built without TLS too.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use lakeport_client::{Endpoint, Forwarder};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::endpoint;
use crate::args::PsqlArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Settings of the caller's environment that would lead psql past the private socket, or demand of a
/// socket what only TCP can give.
const MISLEADING: [&str; 11] = [
    "PGHOSTADDR",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGPASSWORD",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGREQUIREAUTH",
    "PGCHANNELBINDING",
    "PGTARGETSESSIONATTRS",
];

pub(crate) async fn run(context: &Context, args: PsqlArgs) -> Result<ExitCode, Failure> {
    let psql = args.psql.clone().unwrap_or_else(|| PathBuf::from("psql"));
    let endpoint = endpoint(context, &args.connection).await?;
    let door = endpoint.forward().await?;
    let child = command(&psql, &args, &endpoint, &door)
        .spawn()
        .map_err(|error| cannot_start(&psql, &error))?;
    wait(child).await.map(exit_code)
}

/// What is set by environment can be overridden by the caller's own arguments.
fn command(psql: &Path, args: &PsqlArgs, endpoint: &Endpoint, door: &Forwarder) -> Command {
    let mut command = Command::new(psql);
    for name in MISLEADING {
        command.env_remove(name);
    }
    command
        .env("PGHOST", door.dir())
        .env("PGPORT", door.port().to_string())
        .env("PGUSER", endpoint.user())
        .env("PGDATABASE", &args.connection.database)
        .args(&args.psql_args)
        .kill_on_drop(true);
    command
}

/// Ctrl-C belongs to psql, which cancels a query on it: here it is only kept from ending the relay.
/// Being asked to end takes psql along.
async fn wait(mut child: Child) -> Result<ExitStatus, Failure> {
    let watch = |kind| signal(kind).map_err(Failure::while_doing("watch signals"));
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut hang_up = watch(SignalKind::hangup())?;
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(Failure::while_doing("wait for psql")),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => end(&mut child)?,
            _ = hang_up.recv() => end(&mut child)?,
        }
    }
}

fn end(child: &mut Child) -> Result<(), Failure> {
    child.start_kill().map_err(Failure::while_doing("end psql"))
}

/// A shell's convention for a program that a signal has ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;

    let by_signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(by_signal).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn cannot_start(psql: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("start {}: {error}", psql.display()))
        .hint("install a PostgreSQL client, or name psql by --psql or LAKEPORT_PSQL")
}
