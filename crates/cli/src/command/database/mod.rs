//! `lakeport database …`, one file a resource.

mod catalog;
mod credential;
pub(crate) mod instance;
mod role;
pub(crate) mod synced_table;
mod table;

use lakeport_client::Paging;

use crate::args::{DatabaseCommand, ListOfInstanceArgs, PageArgs};
use crate::context::Context;
use crate::failure::Failure;

pub(crate) async fn run(context: &Context, command: DatabaseCommand) -> Result<(), Failure> {
    match command {
        DatabaseCommand::Instance(command) => instance::run(context, command).await,
        DatabaseCommand::GenerateDatabaseCredential(args) => credential::run(context, args).await,
        DatabaseCommand::Role(command) => role::run(context, command).await,
        DatabaseCommand::Catalog(command) => catalog::run(context, command).await,
        DatabaseCommand::Table(command) => table::run(context, command).await,
        DatabaseCommand::SyncedTable(command) => synced_table::run(context, command).await,
    }
}

pub(super) fn paging(args: &PageArgs) -> Paging {
    Paging { page_size: args.page_size, limit: args.limit }
}

/// The parser lets exactly one of the two through.
fn instance_of(args: &ListOfInstanceArgs) -> &str {
    args.positional.as_deref().or(args.flag.as_deref()).unwrap_or_default()
}

/// A wire value in the words of the wire.
pub(super) fn wire_text(value: Option<impl serde::Serialize>) -> Option<String> {
    match serde_json::to_value(value?) {
        Ok(serde_json::Value::String(text)) => Some(text),
        _ => None,
    }
}
