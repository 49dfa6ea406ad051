//! PostgreSQL tables with a three-part name.

use lakeport_api::DatabaseTable;
use lakeport_client::Document;
use serde_json::json;

use crate::args::{CreateTableArgs, TableCommand};
use crate::body;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(context: &Context, command: TableCommand) -> Result<(), Failure> {
    match command {
        TableCommand::CreateDatabaseTable(args) => create(context, args).await,
        TableCommand::GetDatabaseTable(name) => {
            show(context, &context.client()?.get_database_table(name.get()).await?)
        }
        TableCommand::DeleteDatabaseTable(name) => delete(context, name.get()).await,
    }
}

async fn create(context: &Context, args: CreateTableArgs) -> Result<(), Failure> {
    let flags = json!({
        "name": args.positional.or(args.name),
        "database_instance_name": args.database_instance_name,
        "logical_database_name": args.logical_database_name,
    });
    let body = body::merge(&flags, args.json.as_deref())?;
    body::required(&body, "name")?;
    show(context, &context.client()?.create_database_table(&body).await?)
}

async fn delete(context: &Context, name: &str) -> Result<(), Failure> {
    context.client()?.delete_database_table(name).await?;
    context.output.note(&format!("`{name}` is unregistered; the PostgreSQL table stays"));
    Ok(())
}

fn show(context: &Context, table: &Document<DatabaseTable>) -> Result<(), Failure> {
    context.output.show(table, |table| {
        output::fields([
            ("name", Some(table.name.clone())),
            ("instance", table.database_instance_name.clone()),
            ("database", table.logical_database_name.clone()),
        ])
    })
}
