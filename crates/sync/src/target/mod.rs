//! The PostgreSQL side: tables, positions, and the transactions that make a version visible.
//!
//! Owns: all SQL. Never: reading Delta, or the wire form of values.

mod changes;
mod column;
mod ddl;
mod load;
mod net;
mod position;
mod refresh;
mod session;
mod sessions;
mod shape;
mod swap;

pub(crate) use changes::stage_changes;
pub(crate) use ddl::Layout;
pub(crate) use load::load;
pub(crate) use net::{Applied, Incoming, Step, apply_changes, worthwhile};
pub use position::Position;
pub(crate) use position::{NewPosition, State};
pub(crate) use refresh::refresh;
pub(crate) use session::Target;
pub use sessions::Sessions;
pub(crate) use shape::Changes;
