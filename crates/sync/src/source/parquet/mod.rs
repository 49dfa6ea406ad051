//! Reading data files, as Spark reads them.
//!
//! The kernel asks for columns of a file by names and Delta types. Files are written by many programs, in
//! other types and under other names than the log says, and Spark reads them. What the kernel's own
//! reader takes for nothing, reads wrongly or refuses is read here:
//!
//! - `file.rs` opens a file: its footer, and its rows in batches;
//! - `plan.rs` finds the columns that are asked for, and how each is made from what the file holds;
//! - `make.rs` does it, batch by batch, and does nothing to columns that are right already;
//! - `leaf.rs` has the types that one value may be stored in;
//! - `calendar.rs` has the calendar that old versions of Spark wrote dates in;
//! - `shredded.rs` puts variants together again.
//!
//! Never: the log, deletion vectors, partition values, logical names. Rows come in the file's order, all of
//! them, since deletion vectors count them.

mod calendar;
mod file;
mod leaf;
mod make;
mod plan;
mod shredded;

use std::num::NonZero;
use std::sync::Arc;

use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::object_store::ObjectStore;
use delta_kernel::schema::{SchemaRef, StructType};
use delta_kernel::{
    EngineData, FileDataReadResultIterator, FileMeta, FileSize, KernelResult,
    KernelResultIteratorStatic, ParquetFooter, ParquetHandler, PredicateRef,
};
use delta_kernel_default_engine::executor::TaskExecutor as _;
use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use url::Url;

use super::engine::Executor;
use super::partition::Spelling;
use super::reach::Reach;
use plan::Plan;
pub(super) use plan::Remark;

/// Reads data files; what lies in the log goes to the kernel's reader.
pub(super) struct DataReader {
    store: Arc<dyn ObjectStore>,
    executor: Arc<Executor>,
    batch_rows: usize,
    reach: Reach,
    checkpoints: Checkpoints,
}

/// Reads the log's Parquet files.
pub(super) struct Checkpoints {
    pub(super) reader: Arc<dyn ParquetHandler>,
    pub(super) spelling: Spelling,
}

type Rows = BoxStream<'static, KernelResult<Box<dyn EngineData>>>;

impl DataReader {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        executor: Arc<Executor>,
        batch_rows: NonZero<usize>,
        reach: Reach,
        checkpoints: Checkpoints,
    ) -> Self {
        Self { store, executor, batch_rows: batch_rows.get(), reach, checkpoints }
    }

    /// What is particular about the columns of a file, by their paths. Reads its footer only.
    pub(super) fn remarks(
        &self,
        file: &FileMeta,
        wanted: &StructType,
    ) -> KernelResult<Vec<(String, Remark)>> {
        let opened = file::open(Arc::clone(&self.store), file.clone());
        let (_, footer) = self.executor.block_on(opened)?;
        Ok(Plan::new(wanted, &footer)?.remarks)
    }
}

impl ParquetHandler for DataReader {
    /// Without predicates: a row that is left out would shift all that deletion vectors count.
    fn read_parquet_files(
        &self,
        files: &[FileMeta],
        physical_schema: SchemaRef,
        predicate: Option<PredicateRef>,
    ) -> KernelResult<FileDataReadResultIterator> {
        if files.iter().any(|file| self.reach.is_log(&file.location)) {
            let Checkpoints { reader, spelling } = &self.checkpoints;
            let read = reader.read_parquet_files(files, physical_schema, predicate)?;
            return Ok(spelling.respelled(read));
        }
        files.iter().try_for_each(|file| self.reach.check(&file.location))?;
        let (store, batch_rows) = (Arc::clone(&self.store), self.batch_rows);
        let read = move |file: FileMeta| {
            file::read(Arc::clone(&store), file, Arc::clone(&physical_schema), batch_rows)
        };
        let batches = stream::iter(files.to_vec()).then(read).try_flatten();
        let rows: Rows = batches
            .map_ok(|batch| Box::new(ArrowEngineData::new(batch)) as Box<dyn EngineData>)
            .boxed();
        Ok(Box::new(Blocking { rows: Some(rows), executor: Arc::clone(&self.executor) }))
    }

    fn write_parquet_file(
        &self,
        location: Url,
        data: KernelResultIteratorStatic<Box<dyn EngineData>>,
    ) -> KernelResult<FileSize> {
        self.checkpoints.reader.write_parquet_file(location, data)
    }

    fn read_parquet_footer(&self, file: &FileMeta) -> KernelResult<ParquetFooter> {
        self.checkpoints.reader.read_parquet_footer(file)
    }
}

/// A stream as the iterator that the kernel wants: it waits for the executor at each step.
struct Blocking {
    rows: Option<Rows>,
    executor: Arc<Executor>,
}

impl Iterator for Blocking {
    type Item = KernelResult<Box<dyn EngineData>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rows = self.rows.take()?;
        let (item, rows) = self.executor.block_on(async move { (rows.next().await, rows) });
        if matches!(item, Some(Ok(_))) {
            self.rows = Some(rows);
        }
        item
    }
}
