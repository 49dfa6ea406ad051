//! The Delta side, on `delta_kernel`.
//!
//! Owns: everything that knows the kernel: opening a table, its columns, its files, their rows. Never:
//! anything of PostgreSQL but the names of types.

mod engine;
mod feed;
mod inside;
mod listing;
mod logical;
mod misread;
mod open;
mod parquet;
mod partition;
mod problem;
mod reach;
mod scan;
mod spark_json;
mod store;
mod types;
mod watch;

pub(crate) use feed::{ChangeBatch, Feed, Opened};
pub(crate) use logical::is_variant;
pub use misread::READER_REVISION;
pub use open::{Column, Inspection};
pub(crate) use open::{LOG_BATCH_ROWS, SourceTable};
pub(crate) use problem::shown;
pub(crate) use scan::{Batch, DataFile};
pub(crate) use types::ColumnType;
pub(crate) use watch::Watch;
