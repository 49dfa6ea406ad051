//! The audit log: one JSON object a line for each login, end of a session and change by API.
//!
//! Owns: the file, its mode and its size. Never: what is worth a line, or a secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use crate::{Error, Result};

/// How many full files are kept beside the current one.
const KEPT: u32 = 5;

pub(crate) struct Audit {
    path: PathBuf,
    /// A file of this size is full.
    limit: u64,
    sink: Mutex<Sink>,
    lost: AtomicU64,
}

struct Sink {
    file: File,
    size: u64,
    /// Whether the last line may lack its end: a crash or a full disk can cut it.
    torn: bool,
}

#[derive(Serialize)]
struct Line<'a, T> {
    time: Timestamp,
    event: &'a str,
    #[serde(flatten)]
    what: &'a T,
}

impl Audit {
    pub(crate) fn open(path: PathBuf, limit: u64) -> Result<Self> {
        let sink = Sink::open(&path).map_err(Error::io("opening", path.display()))?;
        Ok(Self { path, limit, sink: Mutex::new(sink), lost: AtomicU64::new(0) })
    }

    /// Writes one line, at once: the process may be killed right afterwards. What cannot be written is
    /// counted, and does not stop what it tells of: a full disk must not lock everybody out.
    pub(crate) fn write(&self, event: &str, what: &impl Serialize) {
        if let Err(error) = self.try_write(event, what)
            && self.lost.fetch_add(1, Relaxed) == 0
        {
            tracing::error!(%error, path = %self.path.display(), "the audit log lost a line");
        }
    }

    /// How many lines could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }

    fn try_write(&self, event: &str, what: &impl Serialize) -> io::Result<()> {
        let line = Line { time: Timestamp::now(), event, what };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        // Whatever a holder did before it panicked, the next line begins a new one.
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        if sink.size > 0 && sink.size + bytes.len() as u64 > self.limit {
            match self.rotate() {
                Ok(fresh) => *sink = fresh,
                Err(error) => tracing::error!(%error, "the audit log could not be rotated"),
            }
        }
        sink.append(&bytes)
    }

    /// `audit.log` becomes `audit.log.1`, that becomes `audit.log.2`, and so on; the oldest goes.
    fn rotate(&self) -> io::Result<Sink> {
        for number in (1..KEPT).rev() {
            match fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, numbered(&self.path, 1))?;
        Sink::open(&self.path)
    }
}

impl Sink {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
        let size = file.metadata()?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self { file, size, torn: last != *b"\n" })
    }

    fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.write_all(b"\n")?;
            self.size += 1;
        }
        self.torn = true;
        self.file.write_all(line)?;
        self.torn = false;
        self.size += line.len() as u64;
        Ok(())
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::{Value, json};

    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_line_is_one_object_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::open(path.clone(), 1 << 20).unwrap();
        audit.write("login", &json!({"user": "al\nice\u{1b}[2J"}));
        let [line] = &lines(&path)[..] else { panic!("one line") };
        assert_eq!((&line["event"], &line["user"]), (&json!("login"), &json!("al\nice\u{1b}[2J")));
        assert!(line["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains('\u{1b}'));
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, "{\"event\":\"lo").unwrap();
        Audit::open(path.clone(), 1 << 20).unwrap().write("login", &json!({}));
        let text = fs::read_to_string(&path).unwrap();
        let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!((last["event"].as_str(), text.lines().count()), (Some("login"), 2));
    }

    #[test]
    fn full_files_are_kept_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let audit = Audit::open(path.clone(), 200).unwrap();
        for number in 0..60 {
            audit.write("login", &json!({"number": number}));
        }
        assert_eq!(audit.lost(), 0);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + KEPT as usize);
        let files = (1..=KEPT).rev().map(|n| numbered(&path, n)).chain([path.clone()]);
        let numbers: Vec<_> =
            files.flat_map(|file| lines(&file)).map(|line| line["number"].as_u64()).collect();
        let newest = (60 - numbers.len() as u64..60).map(Some);
        assert_eq!(numbers, newest.collect::<Vec<_>>());
        for entry in fs::read_dir(folder.path()).unwrap() {
            assert!(entry.unwrap().metadata().unwrap().len() <= 200);
        }
    }
}
