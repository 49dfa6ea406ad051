//! The servers' logs: opened for a start, and kept from growing without end.
//!
//! A session can make its server log as much as it likes, so a log that has grown too large becomes
//! `postgres.log.old`, in place of the one before, while its server runs on. Never reads what is in it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

const MAX_BYTES: u64 = 64 << 20;

/// The log, and its length. It is ours: the server has it open and cannot reach its name. It appends,
/// so that it goes on at the beginning after the log was cut.
pub(crate) fn open(log: &Path) -> Result<(File, u64)> {
    trim(log).map_err(Error::io("cutting", log))?;
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(log)
        .map_err(Error::io("opening", log))?;
    let length = file.metadata().map_err(Error::io("opening", log))?.len();
    Ok((file, length))
}

/// Sets a log aside if it has grown too large. What its server writes between the copy and the cut is
/// lost.
pub(crate) fn trim(log: &Path) -> io::Result<()> {
    trim_to(log, MAX_BYTES)
}

fn trim_to(log: &Path, most: u64) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(metadata) if metadata.len() > most => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let old = old(log);
    let copied = fs::copy(log, &old);
    if copied.is_err() {
        // A full disk takes no copy, and has the more need of a cut.
        let _ = fs::remove_file(&old);
    }
    OpenOptions::new().write(true).open(log)?.set_len(0)?;
    copied.map(drop)
}

fn old(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".old");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_log_that_is_open_is_cut_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("postgres.log");
        let (mut server, length) = open(&log).unwrap();
        assert_eq!(length, 0);
        writeln!(server, "first").unwrap();
        trim_to(&log, 100).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "first\n", "short enough");
        trim_to(&log, 3).unwrap();
        writeln!(server, "second").unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "second\n");
        assert_eq!(fs::read_to_string(old(&log)).unwrap(), "first\n");
        assert_eq!(fs::metadata(old(&log)).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
