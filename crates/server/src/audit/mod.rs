//! The audit log: one JSON object a line for each login, end of a session and change by API.
//!
//! Owns: the form of a line and its way to the file, which a thread of its own writes. Never: what is worth a
//! line, or a secret. Whoever reports an event never waits for the disk: the gateway's threads carry everybody's
//! sessions.

mod file;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use self::file::AuditFile;
use crate::{Error, Result};

/// Lines that may wait for the disk; a line has some 400 bytes. What comes beyond that is lost, and counted.
const QUEUED: usize = 10_000;

/// At the end of the process, for how long the queue is waited for.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Audit {
    queue: mpsc::Sender<Queued>,
    lost: Arc<Lost>,
}

enum Queued {
    Line(Vec<u8>),
    /// Answered when everything before it has been written.
    Flush(oneshot::Sender<()>),
}

/// Lines that are not in the file.
struct Lost {
    path: PathBuf,
    count: AtomicU64,
}

impl Lost {
    /// Counts one, and says so the first time.
    fn line(&self, reason: &dyn std::fmt::Display) {
        if self.count.fetch_add(1, Relaxed) == 0 {
            tracing::error!(%reason, path = %self.path.display(), "the audit log lost a line");
        }
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    time: Timestamp,
    event: &'a str,
    #[serde(flatten)]
    what: &'a T,
}

impl Audit {
    /// A file of `limit` bytes is full, and a new one is begun.
    pub(crate) fn open(path: PathBuf, limit: u64) -> Result<Self> {
        let file =
            AuditFile::open(path.clone(), limit).map_err(Error::io("opening", path.display()))?;
        let lost = Arc::new(Lost { path: path.clone(), count: AtomicU64::new(0) });
        let (queue, lines) = mpsc::channel(QUEUED);
        let counted = Arc::clone(&lost);
        thread::Builder::new()
            .name(String::from("audit"))
            .spawn(move || write_all(file, lines, &counted))
            .map_err(Error::io("starting the writer of", path.display()))?;
        Ok(Self { queue, lost })
    }

    /// Hands one line to the writer. What cannot be written is counted, and does not stop what it tells of: a
    /// full disk must not lock everybody out.
    pub(crate) fn write(&self, event: &str, what: &impl Serialize) {
        let line = Line { time: Timestamp::now(), event, what };
        match serde_json::to_vec(&line) {
            Ok(mut bytes) => {
                bytes.push(b'\n');
                if let Err(error) = self.queue.try_send(Queued::Line(bytes)) {
                    self.lost.line(&error);
                }
            }
            Err(error) => self.lost.line(&error),
        }
    }

    /// How many lines could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.count.load(Relaxed)
    }

    /// Waits until everything handed over so far is in the file, or the disk is too slow.
    pub(crate) async fn flush(&self) {
        let flushed = async {
            let (done, written) = oneshot::channel();
            if self.queue.send(Queued::Flush(done)).await.is_ok() {
                // An error here means that the writer has ended, which is logged.
                let _ = written.await;
            }
        };
        if timeout(FLUSH_LIMIT, flushed).await.is_err() {
            tracing::error!("the disk is too slow for the audit log; its last lines are lost");
        }
    }
}

/// Ends with the last sender.
fn write_all(mut file: AuditFile, mut lines: mpsc::Receiver<Queued>, lost: &Lost) {
    while let Some(next) = lines.blocking_recv() {
        match next {
            Queued::Line(line) => {
                if let Err(error) = file.append(&line) {
                    lost.line(&error);
                }
            }
            Queued::Flush(done) => {
                // Whoever waited may have given up.
                let _ = done.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead as _, BufReader};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    async fn lines(audit: &Audit, path: &Path) -> Vec<Value> {
        audit.flush().await;
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[tokio::test]
    async fn a_line_is_one_object_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::open(path.clone(), 1 << 20).unwrap();
        audit.write("login", &json!({"user": "al\nice\u{1b}[2J"}));
        let [line] = &lines(&audit, &path).await[..] else { panic!("one line") };
        assert_eq!((&line["event"], &line["user"]), (&json!("login"), &json!("al\nice\u{1b}[2J")));
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains('\u{1b}'));
    }

    #[test]
    fn a_stalled_disk_holds_nobody_up_and_lost_lines_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        // A pipe that nobody reads is full after 64 KiB: then the writer stalls.
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let audit = Audit::open(path.clone(), u64::MAX).unwrap();
        let reported = 2 * QUEUED as u64;
        for number in 0..reported {
            audit.write("login", &json!({"number": number}));
        }
        assert!(audit.lost() > 0);
        let written = reported - audit.lost();
        let pipe = BufReader::new(fs::File::open(&path).unwrap());
        for (at, line) in pipe.lines().take(written as usize).enumerate() {
            let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
            assert!(line["number"].as_u64().unwrap() >= at as u64);
        }
    }
}
