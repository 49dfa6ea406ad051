//! Resources of an app. The API replaces all of them at once: what is there is read first.

use lakeport_api::app::{App, AppDatabase, AppFields, AppResource};
use lakeport_client::{Client, Document};

use super::show;
use crate::args::{AddResourceArgs, RemoveResourceArgs, ResourceType};
use crate::context::Context;
use crate::failure::Failure;

pub(super) async fn add(context: &Context, args: AddResourceArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let app = args.app.clone();
    let mut resources = resources_of(&client, &app).await?;
    let new = resource(args);
    match resources.iter().find(|resource| resource.name == new.name) {
        Some(same) if *same == new => return show(context, &client.get_app(&app).await?),
        Some(_) => {
            return Err(Failure::usage(format!(
                "app `{app}` already has another resource `{}`",
                new.name
            ))
            .hint("choose another --resource-name, or remove that one with remove-resource"));
        }
        None => resources.push(new),
    }
    show(context, &replace(&client, &app, resources).await?)
}

pub(super) async fn remove(context: &Context, args: &RemoveResourceArgs) -> Result<(), Failure> {
    let client = context.client()?;
    let mut resources = resources_of(&client, &args.app).await?;
    let before = resources.len();
    resources.retain(|resource| resource.name != args.resource_name);
    if resources.len() == before {
        return Err(Failure::not_found(format!(
            "app `{}` has no resource `{}`",
            args.app, args.resource_name
        ))
        .hint(format!("lakeport apps get {} shows those that it has", args.app)));
    }
    show(context, &replace(&client, &args.app, resources).await?)
}

fn resource(args: AddResourceArgs) -> AppResource {
    let database = match args.resource_type {
        ResourceType::Database => AppDatabase {
            instance_name: args.database_instance,
            database_name: args.database_name,
            permission: args.permission,
        },
    };
    AppResource {
        name: args.resource_name,
        description: args.description,
        database: Some(database),
        ..AppResource::default()
    }
}

async fn resources_of(client: &Client, app: &str) -> Result<Vec<AppResource>, Failure> {
    Ok(client.get_app(app).await?.into_inner().resources.unwrap_or_default())
}

async fn replace(
    client: &Client,
    app: &str,
    resources: Vec<AppResource>,
) -> Result<Document<App>, Failure> {
    let body = AppFields { resources: Some(resources), ..AppFields::default() };
    Ok(client.update_app(app, &body).await?)
}
