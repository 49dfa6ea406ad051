//! One server a data directory: a lock that the kernel drops with the process.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::{Error, Result};

pub(crate) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory if need be.
    pub(crate) fn take(data_dir: &Path) -> Result<Self> {
        if !data_dir.exists() {
            fs::create_dir_all(data_dir)
                .map_err(Error::io("making directory", data_dir.display()))?;
            fs::set_permissions(data_dir, fs::Permissions::from_mode(0o700))
                .map_err(Error::io("setting the mode of", data_dir.display()))?;
        }
        let path = data_dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(Error::io("opening", path.display()))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            // Who holds it is a help, no more.
            let _ = file.read_to_string(&mut holder);
            return Err(Error::InUse(format!(
                "another lakeport (process {}) serves {}: stop it, or choose another --data-dir",
                holder.trim(),
                data_dir.display()
            )));
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(Error::io("writing", path.display()))?;
        Ok(Self { _file: file })
    }
}
