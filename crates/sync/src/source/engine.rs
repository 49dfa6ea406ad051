//! The engine that the kernel works with: the default one, with readers of our own around it.
//!
//! Owns: which reader is for what. Data files are read by `parquet`, the log by the kernel's readers with its
//! partition values respelled, and no file is read that is out of the table's reach.

use std::num::NonZero;
use std::sync::Arc;

use delta_kernel::object_store::ObjectStore;
use delta_kernel::{
    Engine as KernelEngine, EvaluationHandler, JsonHandler, ParquetHandler, StorageHandler,
};
use delta_kernel_default_engine::executor::tokio::TokioBackgroundExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};

use super::parquet::{Checkpoints, DataReader};
use super::partition::{LogReader, Spelling};
use super::reach::{Reach, Storage};

pub(crate) type Executor = TokioBackgroundExecutor;

/// Decodes on one thread of its own.
pub(crate) struct Engine {
    inner: DefaultEngine<Executor>,
    storage: Arc<Storage>,
    log: Arc<LogReader>,
    data: Arc<DataReader>,
}

/// What is known of a table before it is read.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) reach: Reach,
    pub(super) spelling: Spelling,
    /// Whether `_last_checkpoint` is to be believed.
    pub(super) hint: bool,
}

impl Engine {
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        access: Access,
        batch_rows: NonZero<usize>,
    ) -> Self {
        let executor = Arc::new(Executor::new());
        let inner = DefaultEngineBuilder::new(Arc::clone(&store))
            .with_task_executor(Arc::clone(&executor))
            .with_batch_size(batch_rows)
            .with_buffer_size(NonZero::<usize>::MIN)
            .build();
        let Access { reach, spelling, hint } = access;
        let storage = Storage { inner: inner.storage_handler(), reach: reach.clone(), hint };
        let log = LogReader { inner: inner.json_handler(), spelling: spelling.clone() };
        let checkpoints = Checkpoints { reader: inner.parquet_handler(), spelling };
        let data = DataReader::new(store, executor, batch_rows, reach, checkpoints);
        Self { inner, storage: Arc::new(storage), log: Arc::new(log), data: Arc::new(data) }
    }

    /// What reads data files.
    pub(super) fn data(&self) -> &DataReader {
        &self.data
    }
}

impl KernelEngine for Engine {
    fn evaluation_handler(&self) -> Arc<dyn EvaluationHandler> {
        self.inner.evaluation_handler()
    }

    fn storage_handler(&self) -> Arc<dyn StorageHandler> {
        Arc::clone(&self.storage) as Arc<dyn StorageHandler>
    }

    fn json_handler(&self) -> Arc<dyn JsonHandler> {
        Arc::clone(&self.log) as Arc<dyn JsonHandler>
    }

    fn parquet_handler(&self) -> Arc<dyn ParquetHandler> {
        Arc::clone(&self.data) as Arc<dyn ParquetHandler>
    }
}
