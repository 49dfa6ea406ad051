//! Apps, their deployments, and runs of them.

use lakeport_api::app::{App, AppDeployment, AppRun, AppRunOrders, AppRunReport};
use reqwest::Method;
use serde::Serialize;
use serde_json::json;

use super::{Paging, list};
use crate::http::{Call, body};
use crate::{Client, Document, Result};

const APPS: [&str; 3] = ["api", "2.0", "apps"];
const RUNS_OF: [&str; 4] = ["api", "2.0", "lakeport", "apps"];

fn path<'a>(rest: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    APPS.into_iter().chain(rest)
}

impl Client {
    /// `app` is an [`App`], or JSON with the same fields.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_app(
        &self,
        app: &impl Serialize,
        no_compute: bool,
    ) -> Result<Document<App>> {
        let call = Call::post(String::from("create app"), APPS, app)?;
        self.fetch(call.query("no_compute", no_compute.then_some(true))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_app(&self, name: &str) -> Result<Document<App>> {
        self.fetch(Call::get(format!("get app `{name}`"), path([name]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_apps(&self, paging: &Paging) -> Result<Vec<Document<App>>> {
        let call = || Call::get(String::from("list apps"), APPS);
        list(self, "apps", "page_size", paging, call).await
    }

    /// Fields of the body are set; resources are replaced as a whole.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn update_app(&self, name: &str, app: &impl Serialize) -> Result<Document<App>> {
        let operation = format!("update app `{name}`");
        let body = body(&operation, app)?;
        let call = Call::new(Method::PATCH, operation, path([name]));
        self.fetch(Call { body, ..call }).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_app(&self, name: &str) -> Result<Document<App>> {
        self.fetch(Call::delete(format!("delete app `{name}`"), path([name]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn start_app(&self, name: &str) -> Result<Document<App>> {
        self.fetch(Call::post(format!("start app `{name}`"), path([name, "start"]), &json!({}))?)
            .await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn stop_app(&self, name: &str) -> Result<Document<App>> {
        self.fetch(Call::post(format!("stop app `{name}`"), path([name, "stop"]), &json!({}))?)
            .await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn deploy_app(
        &self,
        name: &str,
        deployment: &impl Serialize,
    ) -> Result<Document<AppDeployment>> {
        let operation = format!("deploy app `{name}`");
        self.fetch(Call::post(operation, path([name, "deployments"]), deployment)?).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_app_deployment(
        &self,
        name: &str,
        id: &str,
    ) -> Result<Document<AppDeployment>> {
        let operation = format!("get deployment `{id}` of app `{name}`");
        self.fetch(Call::get(operation, path([name, "deployments", id]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_app_deployments(
        &self,
        name: &str,
        paging: &Paging,
    ) -> Result<Vec<Document<AppDeployment>>> {
        let call =
            || Call::get(format!("list deployments of app `{name}`"), path([name, "deployments"]));
        list(self, "app_deployments", "page_size", paging, call).await
    }

    /// Makes this program the one that runs the app.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn begin_app_run(&self, name: &str) -> Result<AppRun> {
        let path = RUNS_OF.into_iter().chain([name, "runs"]);
        let call = Call::post(format!("begin a run of app `{name}`"), path, &json!({}))?;
        Ok(self.fetch::<AppRun>(call).await?.into_inner())
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn report_app_run(
        &self,
        name: &str,
        run: &str,
        report: &AppRunReport,
    ) -> Result<AppRunOrders> {
        let operation = format!("report on a run of app `{name}`");
        let body = body(&operation, report)?;
        let path = RUNS_OF.into_iter().chain([name, "runs", run]);
        let call = Call::new(Method::PUT, operation, path);
        Ok(self.fetch::<AppRunOrders>(Call { body, ..call }).await?.into_inner())
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn end_app_run(&self, name: &str, run: &str) -> Result<()> {
        let path = RUNS_OF.into_iter().chain([name, "runs", run]);
        let call = Call::delete(format!("end a run of app `{name}`"), path);
        self.send(&call).await.map(drop)
    }
}
