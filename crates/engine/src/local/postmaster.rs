//! The server process of one data directory: seeing, starting and stopping it.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::Child;

use super::logs;
use super::os_user::OsUser;
use crate::{Error, Process, Result};

/// Crash recovery of a large cluster may take long; a server that makes progress is not given up.
const START_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(4);

/// How sessions are treated at a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Ended, with a checkpoint.
    Fast,
    /// Ended without one: only for data that goes away.
    Immediate,
}

/// `postmaster.pid`, as far as it matters.
struct PidFile {
    pid: Pid,
    ready: bool,
}

pub(crate) fn observe(data: &Path) -> Result<Process> {
    Ok(match running(data)? {
        None => Process::Down,
        Some(PidFile { ready: true, .. }) => Process::Ready,
        Some(PidFile { ready: false, .. }) => Process::Busy,
    })
}

/// What a server is started with.
pub(crate) struct Launch<'a> {
    pub(crate) bin: &'a Path,
    pub(crate) data: &'a Path,
    pub(crate) settings: &'a Path,
    pub(crate) log: &'a Path,
    pub(crate) user: &'a OsUser,
}

/// Starts the server in a process group of its own, so that a Ctrl-C meant for us spares it.
pub(crate) async fn start(launch: Launch<'_>) -> Result<()> {
    if running(launch.data)?.is_some() {
        return wait_ready(launch.data, None, launch.log, 0).await;
    }
    let (file, offset) = logs::open(launch.log)?;
    let program = launch.bin.join("postgres");
    let errors = file.try_clone().map_err(Error::io("opening", launch.log))?;
    let child = launch
        .user
        .command(&program)
        .arg("-D")
        .arg(launch.data)
        .arg("-c")
        .arg(format!("config_file={}", launch.settings.display()))
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .process_group(0)
        .spawn()
        .map_err(Error::io("running", &program))?;
    wait_ready(launch.data, Some(child), launch.log, offset).await
}

/// Ready when `postmaster.pid` says so, which costs no connection.
async fn wait_ready(data: &Path, mut child: Option<Child>, log: &Path, offset: u64) -> Result<()> {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let process = observe(data)?;
        if process == Process::Ready {
            if let Some(child) = child {
                reap(child);
            }
            return Ok(());
        }
        let ended = match &mut child {
            Some(child) => matches!(child.try_wait(), Ok(Some(_))),
            None => process == Process::Down,
        };
        if ended {
            return Err(Error::Start { reason: reason(log, offset) });
        }
        if Instant::now() > deadline {
            if let Some(child) = child {
                reap(child);
            }
            let seconds = START_LIMIT.as_secs();
            return Err(Error::Start { reason: format!("not ready after {seconds} seconds") });
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Collects the exit status whenever it comes, so that no zombie stays.
fn reap(mut child: Child) {
    tokio::spawn(async move {
        match child.wait().await {
            Ok(status) => tracing::info!(pid = ?child.id(), %status, "a PostgreSQL server ended"),
            Err(error) => tracing::warn!(%error, "the end of a PostgreSQL server was not seen"),
        }
    });
}

pub(crate) async fn stop(data: &Path, how: Stop, limit: Duration) -> Result<()> {
    let Some(PidFile { pid, .. }) = running(data)? else { return Ok(()) };
    let signal = match how {
        Stop::Fast => Signal::INT,
        Stop::Immediate => Signal::QUIT,
    };
    send(pid, signal)?;
    if wait_gone(data, limit).await? {
        return Ok(());
    }
    // An immediate stop loses nothing that was committed: the next start recovers it.
    send(pid, Signal::QUIT)?;
    if wait_gone(data, Duration::from_secs(10)).await? {
        return Ok(());
    }
    Err(Error::Stop { seconds: limit.as_secs() })
}

async fn wait_gone(data: &Path, limit: Duration) -> Result<bool> {
    let deadline = Instant::now() + limit;
    while running(data)?.is_some() {
        if Instant::now() > deadline {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(true)
}

fn send(pid: Pid, signal: Signal) -> Result<()> {
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Error::Setup(format!("signalling server {pid}: {error}"))),
    }
}

/// The server that runs on this data directory, whoever has started it.
fn running(data: &Path) -> Result<Option<PidFile>> {
    let path = data.join("postmaster.pid");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("reading", &path)(error)),
    };
    Ok(parse(&text).filter(|file| is_server_of(file.pid, data)))
}

fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    let pid = Pid::from_raw(lines.next()?.trim().parse().ok()?)?;
    let ready = lines.nth(6).is_some_and(|status| status.trim() == "ready");
    Some(PidFile { pid, ready })
}

/// Process ids are reused: the one that is meant works in its data directory. A zombie does not.
fn is_server_of(pid: Pid, data: &Path) -> bool {
    if cfg!(target_os = "linux") {
        let cwd = fs::read_link(PathBuf::from(format!("/proc/{pid}/cwd")));
        return cwd.is_ok_and(|cwd| cwd == data);
    }
    test_kill_process(pid).is_ok()
}

/// Why a start failed, in the server's own words.
fn reason(log: &Path, offset: u64) -> String {
    let mut text = String::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.take(64 << 10).read_to_string(&mut text)
    });
    if read.is_err() {
        return format!("see {}", log.display());
    }
    let telling = ["FATAL:", "PANIC:", "HINT:", "could not"];
    let lines: Vec<_> = text
        .lines()
        .filter(|line| telling.iter().any(|word| line.contains(word)))
        .map(|line| {
            telling[..3].iter().find_map(|word| line.find(word)).map_or(line, |at| &line[at..])
        })
        .collect();
    match lines.as_slice() {
        // A full disk takes not even the log.
        [] if is_full(log) => {
            String::from("No space left on device; free some space, it is tried again by itself")
        }
        [] => format!("it ended without saying why, see {}", log.display()),
        lines => lines[lines.len().saturating_sub(3)..].join(" "),
    }
}

fn is_full(path: &Path) -> bool {
    const TOO_LITTLE_BYTES: u64 = 1 << 20;
    rustix::fs::statvfs(path)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < TOO_LITTLE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_tells_pid_and_status() {
        let text = "4711\n/d\n1790000000\n5432\n/run\n\n  1 2\nready   \n";
        let file = parse(text).unwrap();
        assert_eq!(file.pid.as_raw_nonzero().get(), 4711);
        assert!(file.ready);
        assert!(!parse("4711\n/d\n1\n5432\n/run\n\n\nstarting\n").unwrap().ready);
        assert!(parse("").is_none());
        assert!(parse("nonsense\n").is_none());
        assert!(!parse("4711\n").unwrap().ready);
    }

    #[test]
    fn a_foreign_process_is_not_the_server() {
        let own = Pid::from_raw(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert!(!is_server_of(own, Path::new("/nonexistent")));
    }
}
