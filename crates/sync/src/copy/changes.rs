//! The changes of a feed, as rows of a COPY or as what they come to.
//!
//! Owns: reading a feed from its first piece to its last, each with an encoder of its own, because
//! columns come and widen from piece to piece. One thread reads: the server takes longer than it.

use std::num::NonZero;
use std::sync::Arc;

use bytes::Bytes;
use delta_kernel::arrow::array::{Array as _, ArrayRef};
use tokio::sync::mpsc::Sender;
use tokio::task::JoinError;

use super::encoder::{CHUNK_BYTES, Counts, Field, NULL, RowEncoder, field_count, push_fixed};
use super::large::LargeRows;
use super::net::{self, NetChanges};
use super::stream::{RowStream, Work, send};
use crate::error::Error;
use crate::job::{NullBytes, Options};
use crate::progress::Progress;
use crate::source::{ChangeBatch, ColumnType, Feed};

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
    pub(crate) large: LargeRows,
}

/// All changes, as they come.
pub(crate) fn change_stream(work: Arc<ChangeWork>, options: &Options) -> RowStream {
    let progress = work.progress.clone();
    RowStream::of(work, 1, options, progress)
}

impl Work for ChangeWork {
    fn run(&self, sender: &Sender<Bytes>) -> Result<Counts, Error> {
        let mut out = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        let counts = self.each_batch(|encoder, batch| {
            let emit = |out: &mut Vec<u8>| send(sender, out);
            encoder.encode_changes(batch, self.whole, &mut out, emit).map(Some)
        })?;
        send(sender, &mut out)?;
        Ok(counts)
    }

    fn crashed(&self, crash: &JoinError) -> Error {
        self.feed.crashed(crash)
    }

    fn large_rows(&self) -> &LargeRows {
        &self.large
    }
}

impl ChangeWork {
    /// Reads until `take` gives nothing, or there are more changes than the limit.
    pub(super) fn each_batch(
        &self,
        mut take: impl FnMut(&RowEncoder, &ChangeBatch) -> Result<Option<Counts>, Error>,
    ) -> Result<Counts, Error> {
        let engine = self.feed.engine(BATCH_ROWS)?;
        let mut counts = Counts::default();
        for piece in self.feed.pieces() {
            let encoder = self.encoder(&piece.has());
            let mut batches = self.feed.read(&engine, piece, &self.columns)?;
            while let Some(batch) = batches.next_batch()? {
                let Some(found) = take(&encoder, &batch)? else { return Ok(counts) };
                self.progress.add_rows(found.rows);
                counts += found;
                if counts.rows > self.limit {
                    return Ok(counts);
                }
            }
        }
        Ok(counts)
    }

    /// Columns that a piece does not have yet are NULL in it.
    fn encoder(&self, has: &dyn Fn(&str) -> bool) -> RowEncoder {
        let columns = self.columns.iter().map(|(name, column_type)| {
            let column_type = if has(name) { *column_type } else { ColumnType::Void };
            (name.clone(), column_type)
        });
        let (table, key) = (self.table.clone(), self.key.clone());
        RowEncoder::new(table, columns.collect(), key, self.nul).with_large(self.large.clone())
    }
}

impl RowEncoder {
    /// Appends changes to `out`: each row is followed by its version and by 1 if it came, -1 if it
    /// went. Of a row that went, only the key is encoded, unless `whole` asks for all of it.
    fn encode_changes(
        &self,
        batch: &ChangeBatch,
        whole: bool,
        out: &mut Vec<u8>,
        mut emit: impl FnMut(&mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Counts, Error> {
        self.each_change(batch, |changes, row, came| {
            changes.push(row, came || whole, 2, out)?;
            push_fixed(out, batch.version(row).to_be_bytes());
            push_fixed(out, (if came { 1i16 } else { -1 }).to_be_bytes());
            if out.len() >= CHUNK_BYTES { emit(out) } else { Ok(()) }
        })
    }

    /// Adds changes to what they come to for each key.
    pub(super) fn collect_changes(
        &self,
        batch: &ChangeBatch,
        net: &mut NetChanges,
    ) -> Result<Counts, Error> {
        let mut key = Vec::new();
        self.each_change(batch, |changes, row, came| {
            key.clear();
            for part in &self.key {
                changes.push_field(row, *part, &mut key)?;
            }
            net.take(&key, batch.version(row), came, |out| changes.push(row, true, net::MARKS, out))
        })
    }

    /// Takes each change whose key is whole, and whether its row came; the others are counted.
    fn each_change(
        &self,
        batch: &ChangeBatch,
        mut take: impl FnMut(&EncodedChanges<'_>, usize, bool) -> Result<(), Error>,
    ) -> Result<Counts, Error> {
        let arrays = self.canonical(&batch.columns)?;
        let changes =
            EncodedChanges { encoder: self, arrays: &arrays, fields: self.fields(&arrays)? };
        let nullable_keys = self.nullable_keys(&arrays);
        let mut counts = Counts::default();
        for row in 0..batch.rows() {
            let came = batch.came(row);
            if nullable_keys.iter().any(|key| key.is_null(row)) {
                counts.null_key_rows += u64::from(came);
                continue;
            }
            take(&changes, row, came)?;
            counts.rows += 1;
        }
        Ok(counts)
    }
}

/// A batch of changes, ready to be encoded.
struct EncodedChanges<'a> {
    encoder: &'a RowEncoder,
    arrays: &'a [ArrayRef],
    fields: Vec<Field<'a>>,
}

impl EncodedChanges<'_> {
    /// Appends a row's tuple, which is to get `more` fields. Unless it is `whole`, it has its key only.
    fn push(&self, row: usize, whole: bool, more: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        out.extend_from_slice(&field_count(self.fields.len() + more));
        for column in 0..self.fields.len() {
            if whole || self.encoder.key.contains(&column) {
                self.push_field(row, column, out)?;
            } else {
                out.extend_from_slice(&NULL);
            }
        }
        let key = || self.encoder.key_text(self.arrays, row);
        self.encoder.large.see(out.len() - start, key);
        Ok(())
    }

    fn push_field(&self, row: usize, column: usize, out: &mut Vec<u8>) -> Result<(), Error> {
        let pushed = self.fields[column].push(row, self.encoder.nul, out);
        pushed.map_err(|problem| self.encoder.refuse(self.arrays, column, Some(row), &problem))
    }
}
