//! `lakeport psql NAME` and `lakeport exec NAME -- PROGRAM`: a program of libpq on a private socket that is
//! carried over TLS.
//!
//! It gets no token, by argument or environment; any will do, one built without TLS too.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, ExitStatus};

use lakeport_client::{Endpoint, Forwarder};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::endpoint;
use crate::args::{ConnectionArgs, ExecArgs, PsqlArgs};
use crate::context::Context;
use crate::failure::Failure;

/// Settings of the caller's environment that would lead a program past the private socket, or demand of a
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

pub(crate) async fn psql(context: &Context, args: PsqlArgs) -> Result<ExitCode, Failure> {
    let psql = args.psql.unwrap_or_else(|| PathBuf::from("psql"));
    run(context, &args.connection, psql.as_os_str(), &args.psql_args).await
}

pub(crate) async fn exec(context: &Context, args: ExecArgs) -> Result<ExitCode, Failure> {
    let Some((program, arguments)) = args.command.split_first() else {
        return Err(Failure::usage("no program is named").hint("lakeport exec NAME -- PROGRAM"));
    };
    run(context, &args.connection, program, arguments).await
}

async fn run(
    context: &Context,
    connection: &ConnectionArgs,
    program: &OsStr,
    arguments: &[OsString],
) -> Result<ExitCode, Failure> {
    let endpoint = endpoint(context, connection).await?;
    let door = endpoint.forward().await?;
    let child = command(program, arguments, &connection.database, &endpoint, &door)
        .spawn()
        .map_err(|error| cannot_start(program, &error))?;
    wait(child).await.map(exit_code)
}

/// What is set by environment can be overridden by the caller's own arguments.
fn command(
    program: &OsStr,
    arguments: &[OsString],
    database: &str,
    endpoint: &Endpoint,
    door: &Forwarder,
) -> Command {
    let mut command = Command::new(program);
    for name in MISLEADING {
        command.env_remove(name);
    }
    command
        .env("PGHOST", door.dir())
        .env("PGPORT", door.port().to_string())
        .env("PGUSER", endpoint.user())
        .env("PGDATABASE", database)
        .args(arguments)
        .kill_on_drop(true);
    command
}

/// Ctrl-C belongs to the program; psql cancels a query on it. Here it is only kept from ending the relay.
/// Being asked to end takes the program along.
async fn wait(mut child: Child) -> Result<ExitStatus, Failure> {
    let watch = |kind| signal(kind).map_err(Failure::while_doing("watch signals"));
    let mut interrupt = watch(SignalKind::interrupt())?;
    let mut terminate = watch(SignalKind::terminate())?;
    let mut hang_up = watch(SignalKind::hangup())?;
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(Failure::while_doing("wait for the program")),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => end(&mut child)?,
            _ = hang_up.recv() => end(&mut child)?,
        }
    }
}

fn end(child: &mut Child) -> Result<(), Failure> {
    child.start_kill().map_err(Failure::while_doing("end the program"))
}

/// A shell's convention for a program that a signal has ended.
fn exit_code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;

    let by_signal = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(by_signal).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn cannot_start(program: &OsStr, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("start {}: {error}", Path::new(program).display()));
    match Path::new(program).file_name() {
        Some(name) if name == "psql" => {
            failure.hint("install a PostgreSQL client, or name psql by --psql or LAKEPORT_PSQL")
        }
        _ => failure,
    }
}
