//! Apps: create, show, change, deploy, give them databases, run them.

mod deploy;
mod environment;
mod manifest;
mod resource;
mod run;

use lakeport_api::app::{App, AppFields};
use lakeport_client::Document;

use super::database::paging;
use crate::args::{AppsCommand, CreateAppArgs, PageArgs, UpdateAppArgs};
use crate::body;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

pub(crate) async fn run(context: &Context, command: AppsCommand) -> Result<(), Failure> {
    match command {
        AppsCommand::Create(args) => create(context, &args).await,
        AppsCommand::Get(name) => show(context, &context.client()?.get_app(name.get()).await?),
        AppsCommand::List(page) => list(context, &page).await,
        AppsCommand::Update(args) => update(context, &args).await,
        AppsCommand::Delete(name) => {
            show(context, &context.client()?.delete_app(name.get()).await?)
        }
        AppsCommand::Start(name) => show(context, &context.client()?.start_app(name.get()).await?),
        AppsCommand::Stop(name) => show(context, &context.client()?.stop_app(name.get()).await?),
        AppsCommand::Deploy(args) => deploy::deploy(context, &args).await,
        AppsCommand::GetDeployment(args) => deploy::get(context, &args.app, &args.id).await,
        AppsCommand::ListDeployments(args) => deploy::list(context, &args).await,
        AppsCommand::AddResource(args) => resource::add(context, args).await,
        AppsCommand::RemoveResource(args) => resource::remove(context, &args).await,
        AppsCommand::Run(args) => run::run(context, args).await,
    }
}

async fn create(context: &Context, args: &CreateAppArgs) -> Result<(), Failure> {
    let flags = App {
        name: args.positional.clone().or(args.name.clone()).unwrap_or_default(),
        description: args.description.clone(),
        ..App::default()
    };
    let body = body::merge(&flags, args.json.as_deref())?;
    body::required(&body, "name")?;
    show(context, &context.client()?.create_app(&body, args.no_compute).await?)
}

async fn list(context: &Context, page: &PageArgs) -> Result<(), Failure> {
    let apps = context.client()?.list_apps(&paging(page)).await?;
    context.output.show(&apps, |apps| {
        output::columns(["NAME", "COMPUTE", "APP", "URL"], apps.iter().map(|app| row(app)))
    })
}

async fn update(context: &Context, args: &UpdateAppArgs) -> Result<(), Failure> {
    let flags = AppFields { description: args.description.clone(), ..AppFields::default() };
    let body = body::merge(&flags, args.json.as_deref())?;
    show(context, &context.client()?.update_app(args.name.get(), &body).await?)
}

fn show(context: &Context, app: &Document<App>) -> Result<(), Failure> {
    context.output.show(app, |app| view(app))
}

fn view(app: &App) -> String {
    let [name, compute, status, url] = row(app);
    let deployment = app.active_deployment.as_ref();
    let resources = app.resources.iter().flatten();
    let resources: Vec<_> = resources
        .map(|resource| match &resource.database {
            Some(database) => format!(
                "{} (database {} of {})",
                resource.name, database.database_name, database.instance_name
            ),
            None => resource.name.clone(),
        })
        .collect();
    output::fields([
        ("name", Some(name)),
        ("compute", Some(compute)),
        ("", app.compute_status.as_ref().map(|status| status.message.clone())),
        ("app", Some(status)),
        ("", app.app_status.as_ref().map(|status| status.message.clone())),
        ("url", Some(url).filter(|url| !url.is_empty())),
        ("description", app.description.clone()),
        ("resources", Some(resources.join(", ")).filter(|text| !text.is_empty())),
        ("source", deployment.and_then(|deployment| deployment.source_code_path.clone())),
        ("client id", app.service_principal_client_id.clone()),
        ("creator", app.creator.clone()),
        ("created", app.create_time.clone()),
    ])
}

fn row(app: &App) -> [String; 4] {
    let compute = app.compute_status.as_ref().map(|status| status.state.clone());
    let status = app.app_status.as_ref().map(|status| status.state.clone());
    [
        app.name.clone(),
        compute.unwrap_or_default(),
        status.unwrap_or_default(),
        app.url.clone().unwrap_or_default(),
    ]
}
