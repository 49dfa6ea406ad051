//! What clients see of an app: its parts put together, and the states that they wait for.

use std::time::Duration;

use lakeport_api::app::{App, AppStatus, AppUpdate, ComputeStatus};
use lakeport_store::{App as Row, AppGrant, AppRun};

use super::{deployments, spec};
use crate::{Control, Result};

/// A run tells of itself every few seconds; one that was silent for longer is not there.
const RUN_PATIENCE: Duration = Duration::from_secs(20);

impl Control {
    pub(super) async fn app_to_wire(&self, app: &Row) -> Result<App> {
        let fields = spec::of(app)?;
        let grants = self.store.app_grants(app.id).await?;
        let run = self.present_run(app).await?;
        let active = self.store.latest_app_deployment(app.id, deployments::SUCCEEDED).await?;
        let pending = self.pending_deployment(app, run.as_ref()).await?;
        let active = active.as_ref().map(deployments::to_wire).transpose()?;
        let pending = pending.as_ref().map(deployments::to_wire).transpose()?;
        Ok(App {
            name: app.name.clone(),
            app_status: Some(app_status(app, run.as_ref(), pending.is_some())),
            compute_status: Some(compute_status(app, &grants, run.as_ref())),
            default_source_code_path: active.as_ref().and_then(|d| d.source_code_path.clone()),
            active_deployment: active,
            pending_deployment: pending,
            create_time: Some(app.created_at.to_string()),
            creator: Some(app.creator.clone()),
            effective_budget_policy_id: fields.budget_policy_id.clone(),
            effective_usage_policy_id: fields.usage_policy_id.clone(),
            effective_user_api_scopes: fields.user_api_scopes.clone(),
            id: Some(app.id.to_string()),
            service_principal_client_id: Some(app.client_id.to_string()),
            service_principal_id: Some(app.principal_id),
            service_principal_name: Some(app.principal_name.clone()),
            update_time: Some(app.updated_at.to_string()),
            updater: Some(app.updater.clone()),
            url: run.and_then(|run| run.url),
            budget_policy_id: fields.budget_policy_id,
            compute_max_instances: fields.compute_max_instances,
            compute_min_instances: fields.compute_min_instances,
            compute_size: fields.compute_size,
            description: fields.description,
            forward_user_access_token: fields.forward_user_access_token,
            git_repository: fields.git_repository,
            resources: fields.resources,
            telemetry_export_destinations: fields.telemetry_export_destinations,
            usage_policy_id: fields.usage_policy_id,
            user_api_scopes: fields.user_api_scopes,
        })
    }

    pub(super) async fn app_update_to_wire(&self, app: &Row) -> Result<AppUpdate> {
        let grants = self.store.app_grants(app.id).await?;
        let status = match unsettled(&grants) {
            Some(message) => AppStatus { state: String::from("IN_PROGRESS"), message },
            None => AppStatus {
                state: String::from("SUCCEEDED"),
                message: String::from("the app is as it was asked for"),
            },
        };
        Ok(AppUpdate { spec: spec::of(app)?, status: Some(status) })
    }

    /// The run of the app, if its process still tells of itself.
    pub(super) async fn present_run(&self, app: &Row) -> Result<Option<AppRun>> {
        let run = self.store.app_run(app.id).await?;
        Ok(run.filter(|run| run.silent < RUN_PATIENCE))
    }
}

/// What is still to be done in databases, and what keeps it.
fn unsettled(grants: &[AppGrant]) -> Option<String> {
    let open = grants.iter().find(|grant| !grant.settled)?;
    let what = if open.wanted { "rights in" } else { "removing the rights in" };
    let why = open.message.as_deref().unwrap_or("it is under way");
    Some(format!("{what} database \"{}\": {why}", open.database_name))
}

fn compute_status(app: &Row, grants: &[AppGrant], run: Option<&AppRun>) -> ComputeStatus {
    let runs = run.is_some_and(|run| run.state != "STOPPED");
    let (state, message) = match unsettled(grants) {
        _ if app.deleted_at.is_some() => ("DELETING", String::from("the app is being deleted")),
        Some(message) => ("UPDATING", message),
        None if app.stopped && runs => ("STOPPING", String::from("the app is being stopped")),
        None if app.stopped => ("STOPPED", String::from("the app is stopped")),
        None => ("ACTIVE", String::from("the app may run")),
    };
    ComputeStatus { state: state.to_owned(), message }
}

fn app_status(app: &Row, run: Option<&AppRun>, deploying: bool) -> AppStatus {
    let (state, message) = match run {
        None => (
            "UNAVAILABLE",
            format!("no process runs the app; start one with: lakeport apps run {}", app.name),
        ),
        Some(run) => match run.state.as_str() {
            _ if deploying => ("DEPLOYING", run.message.clone()),
            "RUNNING" => ("RUNNING", run.message.clone()),
            "CRASHED" => ("CRASHED", run.message.clone()),
            "STARTING" => ("DEPLOYING", run.message.clone()),
            _ => ("UNAVAILABLE", run.message.clone()),
        },
    };
    AppStatus { state: state.to_owned(), message }
}
