//! Deployments.

use std::path::Path;
use std::time::{Duration, Instant};

use lakeport_api::app::AppDeployment;
use lakeport_client::{Client, Document};

use super::super::database::paging;
use crate::args::{DeployArgs, ListDeploymentsArgs};
use crate::body;
use crate::context::Context;
use crate::failure::Failure;
use crate::output;

const POLL: Duration = Duration::from_millis(300);

pub(super) async fn deploy(context: &Context, args: &DeployArgs) -> Result<(), Failure> {
    let flags = AppDeployment {
        source_code_path: args.source_code_path.as_deref().map(folder).transpose()?,
        mode: args.mode.clone(),
        ..AppDeployment::default()
    };
    let body = body::merge(&flags, args.json.as_deref())?;
    let client = context.client()?;
    let mut deployment = client.deploy_app(&args.name, &body).await?;
    if !args.wait.no_wait {
        deployment = settled(context, &client, args, deployment).await?;
    }
    context.output.show(&deployment, |deployment| view(deployment))
}

/// The folder as the process that runs the app will see it.
pub(super) fn folder(path: &Path) -> Result<String, Failure> {
    let absolute = path.canonicalize().map_err(|error| {
        Failure::usage(format!("the folder {} cannot be used: {error}", path.display()))
    })?;
    if !absolute.is_dir() {
        return Err(Failure::usage(format!("{} is not a folder", path.display())));
    }
    Ok(absolute.display().to_string())
}

async fn settled(
    context: &Context,
    client: &Client,
    args: &DeployArgs,
    mut deployment: Document<AppDeployment>,
) -> Result<Document<AppDeployment>, Failure> {
    let started = Instant::now();
    let line = context.output.status_line();
    loop {
        let [id, state, message, ..] = row(&deployment);
        match state.as_str() {
            "SUCCEEDED" => return Ok(deployment),
            "FAILED" | "CANCELLED" => {
                return Err(Failure::new(format!("the deployment is {state}: {message}")));
            }
            _ if started.elapsed() > args.wait.timeout => {
                return Err(Failure::new(format!("the deployment is still {state}: {message}"))
                    .hint("it goes on by itself; --timeout waits longer"));
            }
            _ => line.update(&format!("deployment of `{}` is {state}", args.name)),
        }
        tokio::time::sleep(POLL).await;
        deployment = client.get_app_deployment(&args.name, &id).await?;
    }
}

pub(super) async fn get(context: &Context, app: &str, id: &str) -> Result<(), Failure> {
    let deployment = context.client()?.get_app_deployment(app, id).await?;
    context.output.show(&deployment, |deployment| view(deployment))
}

pub(super) async fn list(context: &Context, args: &ListDeploymentsArgs) -> Result<(), Failure> {
    let deployments =
        context.client()?.list_app_deployments(&args.app, &paging(&args.page)).await?;
    context.output.show(&deployments, |deployments| {
        output::columns(
            ["ID", "STATE", "MESSAGE", "SOURCE", "CREATED"],
            deployments.iter().map(|deployment| row(deployment)),
        )
    })
}

fn view(deployment: &AppDeployment) -> String {
    let [id, state, message, source, created] = row(deployment);
    output::fields([
        ("id", Some(id)),
        ("state", Some(state)),
        ("message", Some(message)),
        ("source", Some(source)),
        ("created", Some(created)),
    ])
}

fn row(deployment: &AppDeployment) -> [String; 5] {
    let status = deployment.status.clone();
    let (state, message) = status.map(|status| (status.state, status.message)).unwrap_or_default();
    [
        deployment.deployment_id.clone().unwrap_or_default(),
        state,
        message,
        deployment.source_code_path.clone().unwrap_or_default(),
        deployment.create_time.clone().unwrap_or_default(),
    ]
}
