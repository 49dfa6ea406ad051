//! Deployments: which source an app runs.

use lakeport_api::app::{AppDeployment, AppStatus, DeploymentArtifacts};
use lakeport_store::{App as Row, AppDeployment as Deployment, AppRun, NewDeployment, Principal};
use uuid::Uuid;

use crate::page::PageRequest;
use crate::{Control, Error, Page, Result};

pub(super) const IN_PROGRESS: &str = "IN_PROGRESS";
pub(super) const SUCCEEDED: &str = "SUCCEEDED";
pub(super) const FAILED: &str = "FAILED";
const MODES: &[&str] = &["SNAPSHOT", "AUTO_SYNC"];
const MAX_PATH_BYTES: usize = 4096;

impl Control {
    /// With a process that runs the app, it succeeds when that says so; with none, at once.
    pub async fn deploy_app(
        &self,
        caller: &Principal,
        name: &str,
        request: &AppDeployment,
    ) -> Result<AppDeployment> {
        let app = self.living_app(caller, name).await?;
        if app.stopped {
            return Err(Error::precondition(format!(
                "app \"{name}\" is stopped; start it before you deploy"
            )));
        }
        let request = self.checked(&app, request).await?;
        let (state, message) = match self.present_run(&app).await? {
            Some(_) => (IN_PROGRESS, String::from("the app is being started")),
            None => (
                SUCCEEDED,
                format!("it is what `lakeport apps run {name}` runs when it is started"),
            ),
        };
        let new = NewDeployment {
            id: Uuid::new_v4(),
            app_id: app.id,
            request: serde_json::to_value(request)
                .map_err(|error| Error::internal("writing a deployment", error))?,
            creator: caller.user_name.clone(),
            state,
            message,
        };
        to_wire(&self.store.add_app_deployment(&new).await?)
    }

    /// Only what a client sets. Without a path, the source is that of the deployment before.
    async fn checked(&self, app: &Row, request: &AppDeployment) -> Result<AppDeployment> {
        let mut source = request.source_code_path.clone().filter(|path| !path.is_empty());
        if source.is_none()
            && let Some(active) = self.store.latest_app_deployment(app.id, SUCCEEDED).await?
        {
            source = to_wire(&active)?.source_code_path;
        }
        let problem = |text: &str| Error::invalid("source_code_path", text);
        let source = source.ok_or_else(|| problem("it is missing; name the app's folder"))?;
        if source.len() > MAX_PATH_BYTES || source.contains('\0') {
            return Err(problem("it is no path of a folder"));
        }
        if let Some(mode) = &request.mode
            && !MODES.contains(&mode.as_str())
        {
            return Err(Error::invalid(
                "mode",
                format!("\"{mode}\" is not one of {}", MODES.join(", ")),
            ));
        }
        Ok(AppDeployment {
            source_code_path: Some(source),
            mode: request.mode.clone(),
            command: request.command.clone(),
            env_vars: request.env_vars.clone(),
            ..AppDeployment::default()
        })
    }

    pub async fn get_app_deployment(
        &self,
        caller: &Principal,
        name: &str,
        id: &str,
    ) -> Result<AppDeployment> {
        let app = self.authorize_app(caller, name).await?;
        let not_found = || Error::not_found("deployment", id);
        let uuid = Uuid::parse_str(id).map_err(|_| not_found())?;
        let run = self.present_run(&app).await?;
        // One whose run went away is ended before it is shown.
        self.pending_deployment(&app, run.as_ref()).await?;
        to_wire(&self.store.app_deployment(app.id, uuid).await?.ok_or_else(not_found)?)
    }

    pub async fn list_app_deployments(
        &self,
        caller: &Principal,
        name: &str,
        page_size: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<AppDeployment>> {
        let app = self.authorize_app(caller, name).await?;
        let list = format!("deployments of {}", app.id);
        let request = PageRequest::new(&self.vault, list, page_size, page_token)?;
        // The token is signed: what is no number is the beginning.
        let before = request.after.parse().unwrap_or(i64::MAX);
        let rows = self.store.app_deployments(app.id, before, request.limit()).await?;
        let page = request.page(rows, |deployment| deployment.seq.to_string());
        let items = page.items.iter().map(to_wire).collect::<Result<_>>()?;
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    /// The deployment in progress, which needs a process that works on it.
    pub(super) async fn pending_deployment(
        &self,
        app: &Row,
        run: Option<&AppRun>,
    ) -> Result<Option<Deployment>> {
        let pending = self.store.latest_app_deployment(app.id, IN_PROGRESS).await?;
        match pending {
            Some(pending) if run.is_none() => {
                let message = "the process that runs the app went away before the app was up";
                self.store.finish_app_deployment(pending.id, FAILED, message).await?;
                Ok(None)
            }
            pending => Ok(pending),
        }
    }
}

pub(super) fn to_wire(row: &Deployment) -> Result<AppDeployment> {
    let request: AppDeployment = serde_json::from_value(row.request.clone())
        .map_err(|error| Error::internal("reading a deployment", error))?;
    let path = request.source_code_path.clone();
    Ok(AppDeployment {
        deployment_id: Some(row.id.simple().to_string()),
        creator: Some(row.creator.clone()),
        create_time: Some(row.created_at.to_string()),
        update_time: Some(row.updated_at.to_string()),
        status: Some(AppStatus { state: row.state.clone(), message: row.message.clone() }),
        deployment_artifacts: Some(DeploymentArtifacts { source_code_path: path }),
        mode: Some(request.mode.clone().unwrap_or_else(|| MODES[0].to_owned())),
        ..request
    })
}
