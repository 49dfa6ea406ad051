//! Many readers, one COPY.
//!
//! Owns: the threads that read and encode data files, the bounded queue between them and the
//! connection, and the frame of the COPY stream. Dropping the future ends all of it: the queue closes,
//! the readers stop at their next chunk, the server aborts the COPY.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinError, JoinSet};
use tokio_postgres::{CopyInSink, Transaction};

use super::encoder::{CHUNK_BYTES, Counts, RowEncoder};
use super::large::LargeRows;
use crate::error::Error;
use crate::failpoint;
use crate::job::{Options, TableName};
use crate::progress::Progress;
use crate::source::{DataFile, SourceTable};

/// Signature, no flags, no header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8] = &(-1i16).to_be_bytes();

/// Rows of a source on their way into a COPY. They are read at once: the server has things to do before it takes any.
pub(crate) struct RowStream {
    work: Arc<dyn Work>,
    chunks: Receiver<Bytes>,
    readers: JoinSet<Result<Counts, Error>>,
    progress: Progress,
}

/// What the readers of a stream share.
pub(super) trait Work: Send + Sync {
    /// One reader: sends rows until there are none left.
    fn run(&self, sender: &Sender<Bytes>) -> Result<Counts, Error>;

    /// The error of a reader that panicked.
    fn crashed(&self, crash: &JoinError) -> Error;

    /// What the server may have meant when it refuses a value.
    fn large_rows(&self) -> &LargeRows;
}

/// All rows of a version.
struct Files {
    source: Arc<SourceTable>,
    files: Vec<DataFile>,
    next_file: AtomicUsize,
    encoder: RowEncoder,
    progress: Progress,
    batch_rows: NonZero<usize>,
}

impl RowStream {
    pub(crate) fn new(
        source: Arc<SourceTable>,
        files: Vec<DataFile>,
        encoder: RowEncoder,
        options: &Options,
        progress: Progress,
    ) -> Self {
        let readers = readers(&files, options);
        let batch_rows = batch_rows(&files, options.memory_bytes / 4 / readers);
        let next_file = AtomicUsize::new(0);
        let shown = progress.clone();
        let work = Files { source, files, next_file, encoder, progress, batch_rows };
        Self::of(Arc::new(work), readers, options, shown)
    }

    pub(super) fn of(
        work: Arc<dyn Work>,
        readers: usize,
        options: &Options,
        progress: Progress,
    ) -> Self {
        // A quarter of the memory for encoded rows, the rest for the files being read.
        let queue_length = (options.memory_bytes / 4 / CHUNK_BYTES).clamp(2, 64);
        let (sender, chunks) = channel(queue_length);
        let mut running = JoinSet::new();
        for _ in 0..readers {
            let (work, sender) = (Arc::clone(&work), sender.clone());
            running.spawn_blocking(move || work.run(&sender));
        }
        Self { work, chunks, readers: running, progress }
    }

    /// Runs `copy … from stdin (format binary …)` with all rows.
    pub(crate) async fn copy(
        self,
        transaction: &Transaction<'_>,
        statement: &str,
        table: &TableName,
    ) -> Result<Counts, Error> {
        let sink = transaction
            .copy_in::<_, Bytes>(statement)
            .await
            .map_err(Error::target("load rows into", table))?;
        self.drive(sink, table).await
    }

    /// A reader's error wins over the server's: if a reader failed, the COPY ends early because of it.
    async fn drive(mut self, sink: CopyInSink<Bytes>, table: &TableName) -> Result<Counts, Error> {
        let work = Arc::clone(&self.work);
        let failed = |error| rejected(table, error, work.large_rows());
        let mut sink = std::pin::pin!(sink);
        sink.feed(Bytes::from_static(HEADER)).await.map_err(failed)?;
        while let Some(chunk) = self.chunks.recv().await {
            self.progress.add_bytes(chunk.len());
            sink.feed(chunk).await.map_err(failed)?;
        }

        let mut counts = Counts::default();
        while let Some(reader) = self.readers.join_next().await {
            counts += reader.map_err(|crash| self.work.crashed(&crash))??;
        }
        sink.feed(Bytes::from_static(TRAILER)).await.map_err(failed)?;
        sink.finish().await.map_err(failed)?;
        Ok(counts)
    }
}

impl Work for Files {
    fn run(&self, sender: &Sender<Bytes>) -> Result<Counts, Error> {
        let outcome = self.read_files(sender);
        if outcome.is_err() {
            // The others need not start on another file.
            self.next_file.store(self.files.len(), Ordering::Relaxed);
        }
        outcome
    }

    fn crashed(&self, crash: &JoinError) -> Error {
        self.source.crashed(crash)
    }

    fn large_rows(&self) -> &LargeRows {
        &self.encoder.large
    }
}

impl Files {
    /// Takes files until there are none left.
    fn read_files(&self, sender: &Sender<Bytes>) -> Result<Counts, Error> {
        let engine = self.source.engine(self.batch_rows)?;
        let mut counts = Counts::default();
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        while let Some(file) = self.files.get(self.next_file.fetch_add(1, Ordering::Relaxed)) {
            let mut rows = self.source.read(&engine, file)?;
            while let Some(batch) = rows.next_batch()? {
                let encoded = self.encoder.encode(&batch, &mut out, |out| send(sender, out))?;
                self.progress.add_rows(encoded.rows);
                counts += encoded;
            }
        }
        send(sender, &mut out)?;
        Ok(counts)
    }
}

/// Hands a chunk on, and waits while the queue is full.
pub(super) fn send(sender: &Sender<Bytes>, out: &mut Vec<u8>) -> Result<(), Error> {
    let chunk = std::mem::replace(out, Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8));
    // The queue closes when the run has been cancelled, or the COPY has failed and says why itself.
    sender.blocking_send(Bytes::from(chunk)).map_err(|_| Error::Cancelled)?;
    failpoint::reach("sent a chunk");
    Ok(())
}

/// As many as there are cores and files, but no more than what the memory holds of the largest file.
fn readers(files: &[DataFile], options: &Options) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let largest = files.iter().map(DataFile::bytes).max().unwrap_or(0).max(1);
    let in_memory = (options.memory_bytes as u64 / largest).max(1);
    let wanted = options.readers.unwrap_or_else(cores).clamp(1, files.len().max(1));
    wanted.min(usize::try_from(in_memory).unwrap_or(wanted))
}

/// Rows a batch: enough to make per-batch work vanish, few enough for wide rows to fit into memory.
fn batch_rows(files: &[DataFile], memory_bytes: usize) -> NonZero<usize> {
    /// Parquet seldom compresses further.
    const INFLATION: u64 = 16;
    const UNKNOWN: usize = 1024;
    let bytes: u64 = files.iter().map(DataFile::bytes).sum();
    let rows: Option<u64> = files.iter().map(DataFile::rows).sum();
    let fitting = rows.map_or(UNKNOWN, |rows| {
        let row_bytes = (bytes * INFLATION / rows.max(1)).max(1);
        usize::try_from(memory_bytes as u64 / row_bytes).unwrap_or(usize::MAX)
    });
    NonZero::new(fitting.clamp(64, 8192)).unwrap_or(NonZero::<usize>::MIN)
}

/// The server read the rows and refused them.
fn rejected(table: &TableName, error: tokio_postgres::Error, large: &LargeRows) -> Error {
    use tokio_postgres::error::SqlState;
    let Some(db) = error.as_db_error() else {
        return Error::target("load rows into", table)(error);
    };
    if *db.code() == SqlState::PROGRAM_LIMIT_EXCEEDED && db.message().contains("jsonb") {
        return Error::Data {
            table: table.to_string(),
            // At the end of where COPY was.
            column: db.where_().and_then(|place| {
                let (_, column) = place.lines().next()?.rsplit_once(", column ")?;
                Some(column.to_owned())
            }),
            key: large.key_of_largest(),
            what: format!(
                "the value does not fit into a jsonb, which holds 256 MB; shorten it at the source, or \
                 store the column as string ({})",
                lakeport_pg::describe(&error)
            ),
        };
    }
    let is_data = *db.code() == SqlState::NOT_NULL_VIOLATION || db.code().code().starts_with("22");
    if !is_data {
        return Error::target("load rows into", table)(error);
    }
    Error::Data {
        table: table.to_string(),
        column: db.column().map(str::to_owned),
        key: None,
        what: lakeport_pg::describe(&error),
    }
}
