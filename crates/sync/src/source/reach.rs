//! Which files a table's log may name, and the store that holds them.
//!
//! A log may name any file, and this process reads with rights of its own. Owns: that whoever wrote a log gets
//! at the table's files and at no others, unless they lie where files may be read anyway, as those of the
//! table that a shallow clone was made from do. And that `_last_checkpoint`, which is only a hint, can be
//! left unread.

use std::sync::Arc;

use bytes::Bytes;
use delta_kernel::object_store::path::Path;
use delta_kernel::{
    FileMeta, FileSlice, KernelError, KernelResult, KernelResultIteratorStatic, StorageHandler,
};
use url::Url;

use crate::job::MayRead;

const LOG: &str = "_delta_log";
const HINT: &str = "_delta_log/_last_checkpoint";

#[derive(Clone)]
pub(super) struct Reach {
    table: Url,
    /// Its folder, as the store knows it: URLs may spell one name in several ways.
    folder: Option<Path>,
    may_read: Option<MayRead>,
}

impl Reach {
    pub(super) fn new(table: &Url, may_read: Option<MayRead>) -> Self {
        Self { table: table.clone(), folder: Path::from_url_path(table.path()).ok(), may_read }
    }

    pub(super) fn check(&self, file: &Url) -> KernelResult<()> {
        let open = || self.may_read.as_ref().is_some_and(|may_read| may_read(file.as_str()));
        // Another store would need other credentials.
        if self.is_same_store(file) && (self.within(file).is_some() || open()) {
            return Ok(());
        }
        let file = super::problem::shown(file.as_str());
        Err(KernelError::Unsupported(format!(
            "the log names the file {file} outside of the table's folder, as a shallow clone's does, and files \
             there may not be read: name the place in allowed_locations, or copy the table"
        )))
    }

    /// Whether a file is one of the log's.
    pub(super) fn is_log(&self, file: &Url) -> bool {
        self.is_same_store(file) && self.within(file).is_some_and(|first| first == LOG)
    }

    fn is_same_store(&self, file: &Url) -> bool {
        (file.scheme(), file.authority()) == (self.table.scheme(), self.table.authority())
    }

    /// The first part of a file's name in the folder, if it lies in it.
    fn within(&self, file: &Url) -> Option<String> {
        let path = Path::from_url_path(file.path()).ok()?;
        let first = path.prefix_match(self.folder.as_ref()?)?.next()?.as_ref().to_owned();
        Some(first)
    }
}

/// The store of a table.
pub(super) struct Storage {
    pub(super) inner: Arc<dyn StorageHandler>,
    pub(super) reach: Reach,
    /// Whether the hint is read.
    pub(super) hint: bool,
}

impl StorageHandler for Storage {
    fn list_from(&self, path: &Url) -> KernelResult<KernelResultIteratorStatic<FileMeta>> {
        self.inner.list_from(path)
    }

    fn read_files(&self, files: Vec<FileSlice>) -> KernelResult<KernelResultIteratorStatic<Bytes>> {
        for (file, _) in &files {
            self.reach.check(file)?;
            if !self.hint && file.path().ends_with(HINT) {
                let missing = KernelError::FileNotFound(file.path().to_owned());
                return Ok(Box::new(std::iter::once(Err(missing))));
            }
        }
        self.inner.read_files(files)
    }

    fn copy_atomic(&self, from: &Url, to: &Url) -> KernelResult<()> {
        self.inner.copy_atomic(from, to)
    }

    fn put(&self, path: &Url, data: Bytes, overwrite: bool) -> KernelResult<()> {
        self.inner.put(path, data, overwrite)
    }

    fn delete(&self, path: &Url) -> KernelResult<()> {
        self.inner.delete(path)
    }

    fn head(&self, path: &Url) -> KernelResult<FileMeta> {
        self.inner.head(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(may_read: Option<MayRead>, file: &str) -> bool {
        let table = Url::parse("s3://lake/t/").unwrap();
        Reach::new(&table, may_read).check(&Url::parse(file).unwrap()).is_ok()
    }

    #[test]
    fn files_outside_are_read_only_where_they_may_be_and_in_the_same_store() {
        assert!(open(None, "s3://lake/t/a.parquet") && open(None, "s3://lake/%74/p%3D1/a.parquet"));
        let reach = Reach::new(&Url::parse("s3://lake/t/").unwrap(), None);
        let is_log = |file: &str| reach.is_log(&Url::parse(file).unwrap());
        assert!(is_log("s3://lake/t/_delta_log/_sidecars/a.parquet"));
        assert!(!is_log("s3://lake/t/p=_delta_log/a.parquet") && !is_log("s3://lake/_delta_log/a"));
        for outside in ["s3://lake/t2/a.parquet", "s3://other/t/a.parquet", "file:///etc/passwd"] {
            assert!(!open(None, outside), "{outside}");
        }
        let all = || Some(Arc::new(|_: &str| true) as MayRead);
        assert!(open(all(), "s3://lake/t2/a.parquet"));
        assert!(!open(all(), "s3://other/t2/a.parquet"));
        let some = Arc::new(|file: &str| file.starts_with("s3://lake/t2/")) as MayRead;
        assert!(open(Some(Arc::clone(&some)), "s3://lake/t2/a.parquet"));
        assert!(!open(Some(some), "s3://lake/t3/a.parquet"));
    }
}
