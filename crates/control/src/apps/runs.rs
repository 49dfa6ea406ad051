//! Runs: the process that runs an app says so here, and learns what it is to do.
//!
//! The process is `lakeport apps run`, on whatever machine. An app has one run at a time.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use lakeport_api::app::{AppRun, AppRunOrders, AppRunReport, DeploymentReport};
use lakeport_identity::oauth;
use lakeport_store::{App as Row, Instance, Principal};
use uuid::Uuid;

use super::{deployments, spec};
use crate::{Control, Error, Result};

const STATES: &[&str] = &["STARTING", "RUNNING", "CRASHED", "STOPPED"];
const MAX_TEXT_CHARACTERS: usize = 2000;

/// For how long a run's secret is good without a report. Runs report every second; a runner that was killed
/// leaves a secret that ends by itself.
const SECRET_LIVES: Duration = Duration::from_secs(3600);

impl Control {
    /// The secret ends with the run, or an hour after its last report. A run that there was before ends now.
    pub async fn begin_app_run(&self, caller: &Principal, name: &str) -> Result<AppRun> {
        let app = self.living_app(caller, name).await?;
        let client_id = app.client_id.to_string();
        let identity = self.store.principal(&client_id).await?;
        let identity = identity.filter(|identity| identity.active).ok_or_else(|| {
            Error::precondition(format!(
                "service principal \"{client_id}\" of app \"{name}\" is not active; activate it"
            ))
        })?;
        if identity.is_admin && !caller.is_admin {
            return Err(Error::denied(format!(
                "app \"{name}\" acts as an administrator, so that only administrators may run it"
            )));
        }
        let expires_at = Some(Timestamp::now() + SECRET_LIVES);
        let (secret, info) = oauth::make_secret(&self.store, &identity, expires_at).await?;
        let run = Uuid::new_v4();
        self.store.begin_app_run(app.id, run, info.id).await?;
        Ok(AppRun { run_id: run.to_string(), client_id, client_secret: secret.expose().to_owned() })
    }

    /// What the run has to tell, against what it is to do next.
    pub async fn report_app_run(
        &self,
        caller: &Principal,
        name: &str,
        run: &str,
        report: &AppRunReport,
    ) -> Result<AppRunOrders> {
        let app = self.authorize_app(caller, name).await?;
        if !STATES.contains(&report.state.as_str()) {
            return Err(Error::invalid(
                "state",
                format!("\"{}\" is not one of {}", report.state, STATES.join(", ")),
            ));
        }
        let id = Uuid::parse_str(run).map_err(|_| Error::not_found("run", run))?;
        let message = cut(&report.message);
        let url = report.url.as_deref();
        let state = &report.state;
        if !self.store.see_app_run(app.id, id, state, &message, url, SECRET_LIVES).await? {
            return Err(Error::conflict(format!(
                "this run of app \"{name}\" is over: another one has taken its place"
            )));
        }
        if let Some(deployment) = &report.deployment {
            self.finish_deployment(&app, deployment).await?;
        }
        self.orders(&app).await
    }

    async fn finish_deployment(&self, app: &Row, report: &DeploymentReport) -> Result<()> {
        let Ok(id) = Uuid::parse_str(&report.deployment_id) else { return Ok(()) };
        if self.store.app_deployment(app.id, id).await?.is_none() {
            return Ok(());
        }
        let state = if report.succeeded { deployments::SUCCEEDED } else { deployments::FAILED };
        Ok(self.store.finish_app_deployment(id, state, &cut(&report.message)).await?)
    }

    async fn orders(&self, app: &Row) -> Result<AppRunOrders> {
        let active = self.store.latest_app_deployment(app.id, deployments::SUCCEEDED).await?;
        let pending = self.store.latest_app_deployment(app.id, deployments::IN_PROGRESS).await?;
        let active = active.as_ref().map(deployments::to_wire).transpose()?;
        let pending = pending.as_ref().map(deployments::to_wire).transpose()?;
        let mut environment = BTreeMap::from([
            (String::from("DATABRICKS_APP_NAME"), app.name.clone()),
            (String::from("DATABRICKS_CLIENT_ID"), app.client_id.to_string()),
        ]);
        let mut resources = BTreeMap::new();
        for resource in spec::of(app)?.resources.unwrap_or_default() {
            let Some(database) = &resource.database else { continue };
            let Ok(instance) = self.find_instance(&database.instance_name).await else { continue };
            let Some(host) = self.naming.read_write_dns(&instance) else { continue };
            // The variables describe the first database.
            if resources.is_empty() {
                let set = self.variables(app, &instance, &host, &database.database_name);
                environment.extend(set);
            }
            resources.insert(resource.name, host);
        }
        Ok(AppRunOrders {
            stopped: app.stopped || app.deleted_at.is_some(),
            deployment: pending.or_else(|| active.clone()),
            active_deployment: active,
            environment,
            resources,
        })
    }

    fn variables(
        &self,
        app: &Row,
        instance: &Instance,
        host: &str,
        database: &str,
    ) -> [(String, String); 7] {
        [
            ("PGAPPNAME", app.name.clone()),
            ("PGDATABASE", database.to_owned()),
            ("PGHOST", host.to_owned()),
            ("PGPORT", self.naming.port().to_string()),
            ("PGSSLMODE", String::from("require")),
            ("PGUSER", app.client_id.to_string()),
            // The libraries want the instance's name, which the host does not tell.
            ("LAKEBASE_INSTANCE_NAME", instance.name.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
    }

    pub async fn end_app_run(&self, caller: &Principal, name: &str, run: &str) -> Result<()> {
        let app = self.authorize_app(caller, name).await?;
        let id = Uuid::parse_str(run).map_err(|_| Error::not_found("run", run))?;
        Ok(self.store.end_app_run(app.id, id).await?)
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARACTERS).collect()
}
