//! The tools of an AI agent over the Model Context Protocol: instances, synced tables, credentials and SQL.
//!
//! Owns: what an agent may call, what it must have confirmed, and how little it gets to see. Never:
//! anything but the public REST API and the PostgreSQL wire, so that it serves a Databricks workspace
//! just as well as a Lakeport server; and never a right that its caller does not have.

mod busy;
mod call;
mod caller;
mod confirm;
mod door;
mod failure;
mod record;
mod schema;
mod server;
mod settings;
mod sql;
mod tool;

pub use caller::Caller;
pub use record::{Called, Record};
pub use server::{HttpService, LONGEST_REQUEST, Server, StdioError};
pub use settings::{Access, Settings};
pub use tool::needed_access;
