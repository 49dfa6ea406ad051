//! `lakeport tables …`: names for Delta tables.

use std::path::Path;

use lakeport_api::unity::{CatalogInfo, SchemaInfo, TableInfo};
use lakeport_client::{Client, Document};
use url::Url;

use super::database::paging;
use crate::args::{TablesCommand, TablesListArgs, TablesRegisterArgs};
use crate::context::Context;
use crate::failure::Failure;
use crate::output;
use crate::positional::{assign, required};

pub(crate) async fn run(context: &Context, command: TablesCommand) -> Result<(), Failure> {
    match command {
        TablesCommand::Register(args) => register(context, args).await,
        TablesCommand::List(args) => list(context, &args).await,
        TablesCommand::Describe(name) => describe(context, name.get()).await,
        #[cfg(feature = "server")]
        TablesCommand::Preview(args) => super::tables_preview::run(context, &args).await,
    }
}

async fn register(context: &Context, args: TablesRegisterArgs) -> Result<(), Failure> {
    let [name, location] = assign(args.positionals, [args.name, args.location])?;
    let [catalog, schema, table] = parts(&required(name, "NAME")?, "catalog.schema.table")?;
    let location = location_url(&required(location, "LOCATION")?)?;
    let client = context.client()?;
    if args.create_missing {
        create_parents(&client, &catalog, &schema).await?;
    }
    let table = TableInfo {
        name: table,
        catalog_name: catalog,
        schema_name: schema,
        table_type: Some(String::from("EXTERNAL")),
        data_source_format: Some(String::from("DELTA")),
        storage_location: Some(location),
        ..TableInfo::default()
    };
    show(context, &client.create_table(&table).await?)
}

/// Somebody else may create them at the same time; that they exist is all that matters.
async fn create_parents(client: &Client, catalog: &str, schema: &str) -> Result<(), Failure> {
    if let Err(error) = client.get_catalog(catalog).await {
        if !error.is_not_found() {
            return Err(error.into());
        }
        let body = CatalogInfo { name: catalog.to_owned(), ..CatalogInfo::default() };
        created(client.create_catalog(&body).await)?;
    }
    if let Err(error) = client.get_schema(&format!("{catalog}.{schema}")).await {
        if !error.is_not_found() {
            return Err(error.into());
        }
        let body = SchemaInfo {
            name: schema.to_owned(),
            catalog_name: catalog.to_owned(),
            ..SchemaInfo::default()
        };
        created(client.create_schema(&body).await)?;
    }
    Ok(())
}

fn created<T>(answer: lakeport_client::Result<T>) -> Result<(), Failure> {
    match answer {
        Err(error) if !error.is_already_exists() => Err(error.into()),
        _ => Ok(()),
    }
}

async fn list(context: &Context, args: &TablesListArgs) -> Result<(), Failure> {
    let [catalog, schema] = parts(&args.schema, "catalog.schema")?;
    let tables = context.client()?.list_tables(&catalog, &schema, &paging(&args.page)).await?;
    context.output.show(&tables, |tables| {
        let row = |table: &Document<TableInfo>| {
            [
                full_name(table),
                table.table_type.clone().unwrap_or_default(),
                table.data_source_format.clone().unwrap_or_default(),
                table.storage_location.clone().unwrap_or_default(),
            ]
        };
        output::columns(["NAME", "TYPE", "FORMAT", "LOCATION"], tables.iter().map(row))
    })
}

async fn describe(context: &Context, name: &str) -> Result<(), Failure> {
    let _: [String; 3] = parts(name, "catalog.schema.table")?;
    show(context, &context.client()?.get_table(name).await?)
}

fn show(context: &Context, table: &Document<TableInfo>) -> Result<(), Failure> {
    context.output.show(table, |table| view(table))
}

fn view(table: &TableInfo) -> String {
    let fields = output::fields([
        ("name", Some(full_name(table))),
        ("type", table.table_type.clone()),
        ("format", table.data_source_format.clone()),
        ("location", table.storage_location.clone()),
        ("owner", table.owner.clone()),
        ("comment", table.comment.clone()),
        ("key", key(table)),
        ("source", source(table)),
        ("pipeline", table.pipeline_id.clone()),
    ]);
    let Some(columns) = table.columns.as_ref().filter(|columns| !columns.is_empty()) else {
        return fields;
    };
    let columns = output::columns(
        ["COLUMN", "TYPE", "NULL"],
        columns.iter().map(|column| {
            let kind = column.type_text.clone().or(column.type_name.clone());
            let nullable = if column.nullable == Some(false) { "no" } else { "yes" };
            [column.name.clone(), kind.unwrap_or_default(), nullable.to_owned()]
        }),
    );
    format!("{fields}\n\n{columns}")
}

/// The primary key's columns.
fn key(table: &TableInfo) -> Option<String> {
    let constraints = table.table_constraints.iter().flatten();
    let mut keys = constraints.filter_map(|constraint| constraint.primary_key_constraint.as_ref());
    keys.next().map(|key| key.child_columns.join(", "))
}

/// What a synced table comes from.
fn source(table: &TableInfo) -> Option<String> {
    let dependencies = &table.view_dependencies.as_ref()?.dependencies;
    dependencies.first().map(|dependency| dependency.table.table_full_name.clone())
}

fn full_name(table: &TableInfo) -> String {
    let made = || format!("{}.{}.{}", table.catalog_name, table.schema_name, table.name);
    table.full_name.clone().unwrap_or_else(made)
}

/// The parts of a dotted name, as many as its form has.
fn parts<const N: usize>(name: &str, form: &str) -> Result<[String; N], Failure> {
    let parts: Vec<String> = name.split('.').map(str::to_owned).collect();
    let whole = parts.iter().all(|part| !part.is_empty());
    match <[String; N]>::try_from(parts) {
        Ok(parts) if whole => Ok(parts),
        _ => Err(Failure::usage(format!("`{name}` is not a name of the form {form}"))),
    }
}

/// A URL as it is; a path of this machine, made absolute, as a file URL.
fn location_url(location: &str) -> Result<String, Failure> {
    if location.contains("://") {
        return Ok(location.to_owned());
    }
    let path = std::path::absolute(Path::new(location))
        .map_err(Failure::while_doing(format!("find the path {location}")))?;
    Url::from_directory_path(&path)
        .map(|url| url.as_str().trim_end_matches('/').to_owned())
        .map_err(|()| Failure::usage(format!("{location} cannot be written as a file URL")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_exactly_their_parts() {
        assert_eq!(parts::<3>("a.b.c", "").unwrap(), ["a", "b", "c"]);
        for bad in ["a.b", "a.b.c.d", "a..c", ".b.c", ""] {
            assert!(parts::<3>(bad, "catalog.schema.table").is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_become_absolute_file_urls_and_urls_stay() {
        assert_eq!(location_url("s3://b/t/").unwrap(), "s3://b/t/");
        assert_eq!(location_url("/data/my table/").unwrap(), "file:///data/my%20table");
        let here = location_url("t").unwrap();
        let current = std::env::current_dir().unwrap();
        assert_eq!(Url::parse(&here).unwrap().to_file_path().unwrap(), current.join("t"));
    }
}
