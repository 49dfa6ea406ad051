//! Real Delta tables into a real PostgreSQL, through the public API.
#![allow(clippy::unwrap_used)]

mod changes;
mod histories;
mod load;
mod names;
mod refresh;
mod refusals;
mod sessions;
mod shapes;
mod side_by_side;
mod spark;
mod stored;
mod support;
mod swap;
mod upgrades;
