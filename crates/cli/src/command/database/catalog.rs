//! Databases registered as catalogs.

use lakeport_api::DatabaseCatalog;
use lakeport_client::Document;
use serde_json::json;

use super::{instance_of, paging};
use crate::args::{CatalogCommand, CreateCatalogArgs, ListOfInstanceArgs, UpdateCatalogArgs};
use crate::body::{self, Body};
use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::positional::{assign, required};

pub(crate) async fn run(context: &Context, command: CatalogCommand) -> Result<(), Failure> {
    match command {
        CatalogCommand::CreateDatabaseCatalog(args) => create(context, args).await,
        CatalogCommand::GetDatabaseCatalog(name) => {
            show(context, &context.client()?.get_database_catalog(name.get()).await?)
        }
        CatalogCommand::UpdateDatabaseCatalog(args) => update(context, args).await,
        CatalogCommand::DeleteDatabaseCatalog(name) => delete(context, name.get()).await,
        CatalogCommand::ListDatabaseCatalogs(args) => list(context, &args).await,
    }
}

async fn create(context: &Context, args: CreateCatalogArgs) -> Result<(), Failure> {
    let body = create_body(args)?;
    show(context, &context.client()?.create_database_catalog(&body).await?)
}

fn create_body(args: CreateCatalogArgs) -> Result<Body, Failure> {
    let by_flag = [args.name, args.database_instance_name, args.database_name];
    let [name, instance, database] = assign(args.positionals, by_flag)?;
    let flags = json!({
        "name": name,
        "database_instance_name": instance,
        "database_name": database,
        "create_database_if_not_exists": args.create_database_if_not_exists,
    });
    let body = body::merge(&flags, args.json.as_deref())?;
    for field in ["name", "database_instance_name", "database_name"] {
        body::required(&body, field)?;
    }
    Ok(body)
}

/// The server decides what becomes of it: the service that clients know has no such call yet.
async fn update(context: &Context, args: UpdateCatalogArgs) -> Result<(), Failure> {
    let [name, mask, instance, database] = assign(args.positionals, [const { None }; 4])?;
    let (name, mask) = (required(name, "NAME")?, required(mask, "UPDATE_MASK")?);
    let flags = json!({
        "name": name,
        "database_instance_name": instance,
        "database_name": database,
    });
    let body = body::merge(&flags, args.json.as_deref())?;
    show(context, &context.client()?.update_database_catalog(&name, &body, &mask).await?)
}

async fn delete(context: &Context, name: &str) -> Result<(), Failure> {
    context.client()?.delete_database_catalog(name).await?;
    context
        .output
        .note(&format!("catalog `{name}` is unregistered; its database and the data stay"));
    Ok(())
}

async fn list(context: &Context, args: &ListOfInstanceArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let catalogs = client.list_database_catalogs(instance_of(args), &paging(&args.page)).await?;
    context.output.show(&catalogs, |catalogs| {
        output::columns(
            ["NAME", "INSTANCE", "DATABASE"],
            catalogs.iter().map(|catalog| row(catalog)),
        )
    })
}

fn show(context: &Context, catalog: &Document<DatabaseCatalog>) -> Result<(), Failure> {
    context.output.show(catalog, |catalog| {
        let [name, instance, database] = row(catalog);
        output::fields([
            ("name", Some(name)),
            ("instance", Some(instance)),
            ("database", Some(database)),
            ("uid", catalog.uid.clone()),
        ])
    })
}

fn row(catalog: &DatabaseCatalog) -> [String; 3] {
    [catalog.name.clone(), catalog.database_instance_name.clone(), catalog.database_name.clone()]
}
