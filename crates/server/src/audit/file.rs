//! The file of the audit log, its mode and its size.
//!
//! Owns: appending whole lines, and beginning a new file when one is full. Never: what a line says.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// How many full files are kept beside the current one.
const KEPT: u32 = 5;

pub(super) struct AuditFile {
    path: PathBuf,
    /// A file of this size is full.
    limit: u64,
    file: File,
    size: u64,
    /// Whether the last line may lack its end: a crash or a full disk can cut it.
    torn: bool,
    /// Whether the last attempt to begin a new file failed.
    stuck: bool,
}

impl AuditFile {
    pub(super) fn open(path: PathBuf, limit: u64) -> io::Result<Self> {
        let mut file = options().read(true).open(&path)?;
        let size = file.metadata()?.len();
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        Ok(Self { path, limit, file, size, torn: last != *b"\n", stuck: false })
    }

    /// `line` brings its line feed.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        if self.size > 0 && self.size + line.len() as u64 > self.limit {
            self.begin_new();
        }
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

    /// Where that fails, the full file takes the lines, and the next line tries again.
    fn begin_new(&mut self) {
        match self.rotate() {
            Ok(()) => self.stuck = false,
            Err(error) => {
                if !std::mem::replace(&mut self.stuck, true) {
                    tracing::error!(%error, path = %self.path.display(), "the audit log could not be rotated");
                }
            }
        }
    }

    /// `audit.log` becomes `audit.log.1`, that becomes `audit.log.2`, and so on; the oldest goes. The new file
    /// is made first, and only a full file moves the others: however often this fails, no archive is lost.
    fn rotate(&mut self) -> io::Result<()> {
        let new = with_suffix(&self.path, "new");
        let file = options().open(&new)?;
        // Left by a process that was killed right here.
        file.set_len(0)?;
        if self.path.exists() {
            for number in (1..KEPT).rev() {
                rename_if_there(&numbered(&self.path, number), &numbered(&self.path, number + 1))?;
            }
            fs::rename(&self.path, numbered(&self.path, 1))?;
        }
        fs::rename(&new, &self.path)?;
        (self.file, self.size, self.torn) = (file, 0, false);
        Ok(())
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600);
    options
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    with_suffix(path, &number.to_string())
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"0123456789012345678\n";

    fn log(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("audit.log")
    }

    #[test]
    fn a_torn_line_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(log(&folder), "{\"event\":\"lo").unwrap();
        AuditFile::open(log(&folder), 1 << 20).unwrap().append(b"{}\n").unwrap();
        let text = fs::read_to_string(log(&folder)).unwrap();
        assert_eq!(text, "{\"event\":\"lo\n{}\n");
    }

    #[test]
    fn full_files_are_kept_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(&folder);
        let mut file = AuditFile::open(path.clone(), 50).unwrap();
        for number in 0..60 {
            file.append(format!("{number:19}\n").as_bytes()).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1 + KEPT as usize);
        let files = (1..=KEPT).rev().map(|n| numbered(&path, n)).chain([path.clone()]);
        let kept: String = files.map(|file| fs::read_to_string(file).unwrap()).collect();
        let numbers: Vec<u32> = kept.lines().map(|line| line.trim().parse().unwrap()).collect();
        assert_eq!(numbers, (48..60).collect::<Vec<_>>());
    }

    #[test]
    fn a_rotation_that_fails_loses_nothing_however_often_it_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(&folder);
        for number in 1..=KEPT {
            fs::write(numbered(&path, number), format!("archive {number}")).unwrap();
        }
        // A folder in its place: the new file cannot be made, as on a full disk.
        fs::create_dir(with_suffix(&path, "new")).unwrap();
        let mut file = AuditFile::open(path.clone(), LINE.len() as u64).unwrap();
        for _ in 0..4 {
            file.append(LINE).unwrap();
        }
        for number in 1..=KEPT {
            let text = fs::read_to_string(numbered(&path, number)).unwrap();
            assert_eq!(text, format!("archive {number}"));
        }
        assert_eq!(fs::read(&path).unwrap().len(), 4 * LINE.len());

        fs::remove_dir(with_suffix(&path, "new")).unwrap();
        file.append(LINE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), LINE);
        assert_eq!(fs::read(numbered(&path, 1)).unwrap().len(), 4 * LINE.len());
        assert_eq!(fs::read_to_string(numbered(&path, KEPT)).unwrap(), "archive 4");
    }

    #[test]
    fn a_rotation_that_was_cut_short_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = log(&folder);
        let mut file = AuditFile::open(path.clone(), LINE.len() as u64).unwrap();
        file.append(LINE).unwrap();
        // As if killed between the two last renames, and the writer kept its file.
        fs::rename(&path, numbered(&path, 1)).unwrap();
        fs::write(with_suffix(&path, "new"), "rest").unwrap();
        file.append(LINE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), LINE);
        assert_eq!(fs::read(numbered(&path, 1)).unwrap(), LINE);
    }
}
