//! One process that serves: started in a group of its own, watched until it listens, ended as a group.
//!
//! Owns: its life, and what it inherits. Never: when it is to be started again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::failure::Failure;

/// The platform gives as much between its two signals.
const GRACE: Duration = Duration::from_secs(15);
const CONNECT: Duration = Duration::from_millis(200);

/// What a process needs of the machine it runs on. The caller's tokens and profiles are not among it.
const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "TERM",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONUNBUFFERED",
    "NODE_PATH",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "NO_PROXY",
    "no_proxy",
];

pub(crate) struct Process {
    child: Child,
    group: Option<Pid>,
    port: u16,
    pub(crate) started: Instant,
}

/// What is seen of a process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Ended(String),
    Silent,
    Listens,
}

impl Process {
    /// Its output is that of this program; its input is empty.
    pub(crate) fn start(
        command: &[String],
        folder: &Path,
        environment: &BTreeMap<OsString, OsString>,
        port: u16,
    ) -> Result<Self, Failure> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| Failure::usage("the command is empty"))?;
        // PATH is that of the new environment, which decides what `python` is.
        let child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                Failure::new(format!("`{program}` cannot be started: {error}"))
                    .hint("is it installed, and on PATH?")
            })?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, group, port, started: Instant::now() })
    }

    pub(crate) async fn look(&mut self) -> Seen {
        match self.child.try_wait() {
            Ok(Some(status)) => Seen::Ended(describe(status)),
            Err(error) => Seen::Ended(format!("it cannot be watched: {error}")),
            Ok(None) if listens(self.port).await => Seen::Listens,
            Ok(None) => Seen::Silent,
        }
    }

    /// Asks the whole group to end, then makes it.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        if timeout(GRACE, self.child.wait()).await.is_err() {
            self.signal(Signal::KILL);
            let _ = self.child.wait().await;
        }
        // What the process has started and left behind would keep the port.
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // A group that is gone is what was wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

/// The part of this program's environment that goes on.
pub(crate) fn inherited() -> BTreeMap<OsString, OsString> {
    let here = |name: &&str| Some((OsString::from(name), std::env::var_os(name)?));
    INHERITED.iter().filter_map(here).collect()
}

/// Somebody else's listener would be taken for the app.
pub(crate) async fn free_port(port: u16) -> Result<u16, Failure> {
    let taken = |why: &dyn std::fmt::Display| {
        Failure::new(format!("port {port} cannot be had: {why}"))
            .hint("choose another with --port; 0 picks a free one")
    };
    if port != 0 && listens(port).await {
        return Err(taken(&"another program listens on it"));
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(|error| taken(&error))?;
    let address = listener.local_addr().map_err(|error| taken(&error))?;
    Ok(address.port())
}

pub(crate) async fn until_signal(
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let listen = |kind| signal(kind).map_err(Failure::while_doing("listen for signals"));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    tokio::select! {
        ended = work => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => String::from("it ended"),
    }
}

/// Whether anybody answers on the port of this machine.
async fn listens(port: u16) -> bool {
    let addresses =
        [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()];
    for address in addresses {
        if matches!(timeout(CONNECT, TcpStream::connect(address)).await, Ok(Ok(_))) {
            return true;
        }
    }
    false
}
