//! The changes of a feed as rows of a COPY.
//!
//! Owns: reading a feed from its first piece to its last, each with an encoder of its own, because
//! columns come and widen from piece to piece. One thread reads: the server takes longer than it.

use std::num::NonZero;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinError;

use super::encoder::{CHUNK_BYTES, Counts, RowEncoder};
use super::stream::{RowStream, Work, send};
use crate::error::Error;
use crate::job::{NullBytes, Options};
use crate::progress::Progress;
use crate::source::{ColumnType, Feed};

/// Rows of a change file that are decoded at once.
const BATCH_ROWS: NonZero<usize> = NonZero::new(2048).expect("a constant that is not zero");

pub(crate) struct ChangeWork {
    pub(crate) feed: Feed,
    /// For error messages only.
    pub(crate) table: String,
    pub(crate) columns: Vec<(String, ColumnType)>,
    pub(crate) key: Vec<usize>,
    pub(crate) nul: NullBytes,
    /// Rows that went are needed with all their columns.
    pub(crate) whole: bool,
    /// Reading ends when there are more changes than this: they will not be applied one by one.
    pub(crate) limit: u64,
    pub(crate) progress: Progress,
}

pub(crate) fn change_stream(work: ChangeWork, options: &Options) -> RowStream {
    RowStream::of(Arc::new(work), 1, options)
}

impl Work for ChangeWork {
    fn run(&self, sender: &Sender<Bytes>) -> Result<Counts, Error> {
        let engine = self.feed.engine(BATCH_ROWS)?;
        let mut counts = Counts::default();
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        'pieces: for piece in self.feed.pieces() {
            let encoder = self.encoder(&piece.has());
            let mut batches = self.feed.read(&engine, piece, &self.columns)?;
            while let Some(batch) = batches.next_batch()? {
                let emit = |out: &mut Vec<u8>| send(sender, out);
                let encoded = encoder.encode_changes(&batch, self.whole, &mut out, emit)?;
                self.progress.add_rows(encoded.rows);
                counts += encoded;
                if counts.rows > self.limit {
                    break 'pieces;
                }
            }
        }
        send(sender, &mut out)?;
        Ok(counts)
    }

    fn crashed(&self, crash: &JoinError) -> Error {
        self.feed.crashed(crash)
    }
}

impl ChangeWork {
    /// Columns that a piece does not have yet are NULL in it.
    fn encoder(&self, has: &dyn Fn(&str) -> bool) -> RowEncoder {
        let columns = self.columns.iter().map(|(name, column_type)| {
            let column_type = if has(name) { *column_type } else { ColumnType::Void };
            (name.clone(), column_type)
        });
        RowEncoder::new(self.table.clone(), columns.collect(), self.key.clone(), self.nul)
    }
}
