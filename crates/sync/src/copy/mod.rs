//! From Arrow batches to PostgreSQL's binary COPY format, and into the server.
//!
//! Owns: the wire form of every value, and the flow of encoded rows from many readers into one COPY.
//! Never: where the rows come from, or which table they go to.

mod changes;
mod encoder;
mod iso8601;
mod json;
mod large;
mod net;
mod numeric;
mod stream;
mod variant;
mod vector;

pub(crate) use changes::{ChangeWork, change_stream};
pub(crate) use encoder::{Counts, RowEncoder};
pub(crate) use large::LargeRows;
pub(crate) use net::{Effect, Effects, Found, Netting};
pub(crate) use stream::RowStream;
