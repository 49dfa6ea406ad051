//! Reconcilers: observe → plan, a pure function → apply. Each takes an id and nothing else, so that a
//! crash, a second server and the first run all go the same way; every step is safe to run twice.

mod backoff;
mod driver;
mod follow;
mod instance;
mod synced_table;
mod upgrade;

pub use driver::run;
pub use upgrade::reload_misread;
