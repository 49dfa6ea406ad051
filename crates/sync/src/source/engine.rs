//! The engine that the kernel works with: the default one, with a reader of data files of our own.
//!
//! Owns: which files go to which reader. The log's go to the kernel's, all others to `parquet`.

use std::num::NonZero;
use std::sync::Arc;

use delta_kernel::object_store::ObjectStore;
use delta_kernel::{
    Engine as KernelEngine, EvaluationHandler, JsonHandler, ParquetHandler, StorageHandler,
};
use delta_kernel_default_engine::executor::tokio::TokioBackgroundExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use url::Url;

use super::parquet::DataReader;

pub(crate) type Executor = TokioBackgroundExecutor;

/// Decodes on one thread of its own.
pub(crate) struct Engine {
    inner: DefaultEngine<Executor>,
    parquet: Arc<DataReader>,
}

impl Engine {
    /// For the table at `table`, which ends with a slash.
    pub(super) fn new(store: Arc<dyn ObjectStore>, table: &Url, batch_rows: NonZero<usize>) -> Self {
        let executor = Arc::new(Executor::new());
        let inner = DefaultEngineBuilder::new(Arc::clone(&store))
            .with_task_executor(Arc::clone(&executor))
            .with_batch_size(batch_rows)
            .with_buffer_size(NonZero::<usize>::MIN)
            .build();
        let log = format!("{table}_delta_log/");
        let parquet =
            DataReader::new(store, executor, batch_rows, log, KernelEngine::parquet_handler(&inner));
        Self { inner, parquet: Arc::new(parquet) }
    }

    /// What reads data files.
    pub(super) fn data(&self) -> &DataReader {
        &self.parquet
    }
}

impl KernelEngine for Engine {
    fn evaluation_handler(&self) -> Arc<dyn EvaluationHandler> {
        self.inner.evaluation_handler()
    }

    fn storage_handler(&self) -> Arc<dyn StorageHandler> {
        self.inner.storage_handler()
    }

    fn json_handler(&self) -> Arc<dyn JsonHandler> {
        self.inner.json_handler()
    }

    fn parquet_handler(&self) -> Arc<dyn ParquetHandler> {
        Arc::clone(&self.parquet) as Arc<dyn ParquetHandler>
    }
}
