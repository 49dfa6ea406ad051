//! Which files a table's log may name, and the store that holds them.
//!
//! A log may name any file, and this process reads with rights of its own. Owns: that whoever wrote a log gets
//! at the table's files and at no others, unless they lie where files may be read anyway, as those of the
//! table that a shallow clone was made from do. And that `_last_checkpoint`, which is only a hint, can be
//! left unread.

use std::sync::Arc;

use bytes::Bytes;
use delta_kernel::{
    FileMeta, FileSlice, KernelError, KernelResult, KernelResultIteratorStatic, StorageHandler,
};
use url::Url;

use crate::job::MayRead;

const HINT: &str = "_delta_log/_last_checkpoint";

#[derive(Clone)]
pub(super) struct Reach {
    table: Url,
    may_read: Option<MayRead>,
}

impl Reach {
    /// `table` ends with a slash.
    pub(super) fn new(table: &Url, may_read: Option<MayRead>) -> Self {
        Self { table: table.clone(), may_read }
    }

    pub(super) fn check(&self, file: &Url) -> KernelResult<()> {
        if file.as_str().starts_with(self.table.as_str()) {
            return Ok(());
        }
        let open = self.may_read.as_ref().is_some_and(|may_read| may_read(file.as_str()));
        // Another store would need other credentials.
        let same_store =
            (file.scheme(), file.authority()) == (self.table.scheme(), self.table.authority());
        if open && same_store {
            return Ok(());
        }
        let file = super::problem::shown(file.as_str());
        Err(KernelError::Unsupported(format!(
            "the log names the file {file} outside of the table's folder, as a shallow clone's does, and files \
             there may not be read; open the location, or copy the table"
        )))
    }

    pub(super) fn log(&self) -> String {
        format!("{}_delta_log/", self.table)
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
        assert!(open(None, "s3://lake/t/a.parquet"));
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
