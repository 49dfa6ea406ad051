//! The Delta side, on `delta_kernel`.
//!
//! Owns: everything that knows the kernel: opening a table, its columns, its files, their rows. Never:
//! anything of PostgreSQL but the names of types.

mod open;
mod problem;
mod scan;
mod types;

pub(crate) use open::SourceTable;
pub use open::{Column, Inspection};
pub(crate) use problem::shown;
pub(crate) use scan::{Batch, DataFile};
pub(crate) use types::ColumnType;
