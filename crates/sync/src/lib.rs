//! Delta to PostgreSQL: makes a table of a PostgreSQL database equal to a Delta table.
//!
//! Owns: reading Delta, the type map, the COPY encoding, and the transactions that make a new version
//! visible together with its position. Never: who may sync what, when, or where a name points to; it
//! gets a location and a role, and knows nothing of instances or catalogs.
//!
//! [`snapshot`] and [`changes`] in `run.rs` are the place to start reading.

mod copy;
mod error;
mod failpoint;
mod job;
mod preview;
mod progress;
mod run;
mod source;
mod target;

pub use error::{Error, SourceProblem};
pub use job::{
    Job, Kind, MayRead, NullBytes, Options, Outcome, PgType, Reload, Source, TableName, TypeChoice,
};
pub use preview::Preview;
pub use progress::{Phase, Progress};
pub use run::{
    analyze, applied, changes, check_shape, drop_target, inspect, is_left, leave_target, misread,
    next_commit, preview, snapshot,
};
pub use source::{Column, Inspection, READER_REVISION};
pub use target::{Position, Sessions};
