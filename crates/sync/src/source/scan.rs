//! The data files of a version, and their rows.
//!
//! Owns: which files there are, and reading one: deletion vector, Parquet, and the kernel's transform
//! to logical columns (partition values, column mapping, widened types). Each file can be read alone.

use std::sync::Arc;

use delta_kernel::arrow::array::ArrayRef;
use delta_kernel::arrow::record_batch::RecordBatch;
use delta_kernel::engine::arrow_data::EngineDataArrowExt as _;
use delta_kernel::scan::state::{DvInfo, ScanFile, transform_to_logical};
use delta_kernel::{Engine as _, ExpressionRef, FileDataReadResultIterator, FileMeta, KernelError};

use super::engine::Engine;
use super::open::{LOG_BATCH_ROWS, SourceTable};
use crate::error::{Error, SourceProblem};

/// A file that holds rows of the version.
pub(crate) struct DataFile {
    pub(super) meta: FileMeta,
    dv: DvInfo,
    transform: Option<ExpressionRef>,
    /// As the log says; deleted rows included.
    physical_rows: Option<u64>,
}

impl DataFile {
    pub(crate) fn bytes(&self) -> u64 {
        self.meta.size
    }

    /// Rows that are left after deletions.
    pub(crate) fn rows(&self) -> Option<u64> {
        let deleted = self.dv.cardinality().ok()?.unwrap_or(0);
        self.physical_rows?.checked_sub(deleted)
    }
}

/// Some rows of a file, in the source's columns.
pub(crate) struct Batch {
    columns: Vec<ArrayRef>,
    rows: usize,
    /// Positions that the deletion vector takes out, ascending.
    deleted: Vec<usize>,
}

impl Batch {
    pub(crate) fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    pub(crate) fn live_rows(&self) -> impl Iterator<Item = usize> {
        let mut deleted = self.deleted.iter().copied().peekable();
        (0..self.rows).filter(move |row| deleted.next_if_eq(row).is_none())
    }
}

/// The rows of one file, batch by batch.
pub(crate) struct FileRows<'a> {
    table: &'a SourceTable,
    engine: &'a Engine,
    file: &'a DataFile,
    batches: FileDataReadResultIterator,
    /// Rows that are deleted and not passed yet, ascending, counted from the file's start.
    deleted: std::iter::Peekable<std::vec::IntoIter<u64>>,
    rows_read: u64,
}

impl SourceTable {
    /// The version's files, from the log.
    pub(crate) fn files(&self) -> Result<Vec<DataFile>, Error> {
        let engine = self.engine(LOG_BATCH_ROWS)?;
        let failed = |error: KernelError| self.source.kernel("listing the data files", &error);
        let mut found = Vec::new();
        for metadata in self.scan.scan_metadata(&engine).map_err(failed)? {
            found = metadata
                .and_then(|metadata| metadata.visit_scan_files(found, Vec::push))
                .map_err(failed)?;
        }
        found.into_iter().map(|file| self.data_file(file)).collect()
    }

    fn data_file(&self, file: ScanFile) -> Result<DataFile, Error> {
        let corrupt = |what: String| self.source.problem(SourceProblem::Corrupt, what);
        let location = self.scan.table_root().join(&file.path).map_err(|error| {
            corrupt(format!("the log names the file \"{}\": {error}", file.path))
        })?;
        let named = self.access.reach.check(&location);
        named.map_err(|error| self.source.kernel("listing the data files", &error))?;
        let size = u64::try_from(file.size)
            .map_err(|_| corrupt(format!("the log gives {} a size below zero", file.path)))?;
        Ok(DataFile {
            meta: FileMeta::new(location, file.modification_time, size),
            dv: file.dv_info,
            transform: file.transform,
            physical_rows: file.stats.map(|stats| stats.num_records),
        })
    }

    pub(crate) fn read<'a>(
        &'a self,
        engine: &'a Engine,
        file: &'a DataFile,
    ) -> Result<FileRows<'a>, Error> {
        let deleted = file
            .dv
            .get_row_indexes(engine, self.scan.table_root())
            .map_err(|error| self.file_error(engine, file, &error))?
            .unwrap_or_default();
        let physical_schema = Arc::clone(self.scan.physical_schema());
        let batches = engine
            .parquet_handler()
            .read_parquet_files(std::slice::from_ref(&file.meta), physical_schema, None)
            .map_err(|error| self.file_error(engine, file, &error))?;
        let deleted = deleted.into_iter().peekable();
        Ok(FileRows { table: self, engine, file, batches, deleted, rows_read: 0 })
    }

    fn finished(&self, rows: &RecordBatch) -> Vec<ArrayRef> {
        let columns = self.columns().iter().zip(rows.columns());
        columns.map(|((column, _), array)| self.finish.column(&column.name, array)).collect()
    }

    /// Readers report a missing file in several ways, so the store is asked.
    pub(super) fn file_error(
        &self,
        engine: &Engine,
        file: &DataFile,
        error: &KernelError,
    ) -> Error {
        let path = self.relative(file);
        match engine.storage_handler().head(&file.meta.location) {
            Err(KernelError::FileNotFound(_)) => self.source.problem(
                SourceProblem::MissingFile,
                format!(
                    "the log of version {} names the data file {path}, which does not exist; \
                     it was removed by hand or by a VACUUM",
                    self.version()
                ),
            ),
            Ok(found) if found.size != file.meta.size => self.source.problem(
                SourceProblem::Corrupt,
                format!(
                    "the data file {path} has {} bytes, the log of version {} says {}",
                    found.size,
                    self.version(),
                    file.meta.size
                ),
            ),
            _ => self.source.kernel(&format!("reading the data file {path}"), error),
        }
    }

    pub(super) fn relative<'a>(&self, file: &'a DataFile) -> &'a str {
        let location = file.meta.location.path();
        location.strip_prefix(self.scan.table_root().path()).unwrap_or(location)
    }
}

impl FileRows<'_> {
    pub(crate) fn next_batch(&mut self) -> Result<Option<Batch>, Error> {
        let Some(physical) = self.batches.next() else {
            self.check_count()?;
            return Ok(None);
        };
        let scan = &self.table.scan;
        let rows = physical
            .and_then(|physical| {
                transform_to_logical(
                    self.engine,
                    physical,
                    scan.physical_schema(),
                    scan.logical_schema(),
                    self.file.transform.clone(),
                )
            })
            .try_into_record_batch()
            .map_err(|error| self.table.file_error(self.engine, self.file, &error))?;
        let deleted = self.deleted_before(self.rows_read + rows.num_rows() as u64);
        self.rows_read += rows.num_rows() as u64;
        let columns = self.table.finished(&rows);
        Ok(Some(Batch { columns, rows: rows.num_rows(), deleted }))
    }

    /// Takes the deleted rows of the batch that ends before `end`.
    fn deleted_before(&mut self, end: u64) -> Vec<usize> {
        let start = self.rows_read;
        let next = || self.deleted.next_if(|row| *row < end);
        // A batch has far fewer rows than usize can count.
        std::iter::from_fn(next).map(|row| (row - start) as usize).collect()
    }

    /// A file that was cut or replaced may still be readable.
    fn check_count(&self) -> Result<(), Error> {
        match self.file.physical_rows {
            Some(expected) if expected != self.rows_read => {
                let path = self.table.relative(self.file);
                let read = self.rows_read;
                let message =
                    format!("the data file {path} holds {read} rows, the log says {expected}");
                Err(self.table.source.problem(SourceProblem::Corrupt, message))
            }
            _ => Ok(()),
        }
    }
}
