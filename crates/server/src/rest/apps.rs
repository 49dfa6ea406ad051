//! `/api/2.0/apps`, and runs of apps under `/api/2.0/lakeport/apps`.

use axum::extract::State;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use lakeport_api::app::{
    App as AppBody, AppDeployment, AppDeploymentList, AppList, AppRun, AppRunOrders, AppRunReport,
    AppUpdate, AppUpdateRequest,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;
use super::query::{Paging, Query};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/apps", get(list).post(create))
        .route("/api/2.0/apps/{name}", get(read).patch(update).delete(delete))
        .route("/api/2.0/apps/{name}/update", get(read_update).post(start_update))
        .route("/api/2.0/apps/{name}/start", post(start))
        .route("/api/2.0/apps/{name}/stop", post(stop))
        .route("/api/2.0/apps/{name}/deployments", get(list_deployments).post(deploy))
        .route("/api/2.0/apps/{name}/deployments/{id}", get(read_deployment))
        .route("/api/2.0/lakeport/apps/{name}/runs", post(begin_run))
        .route("/api/2.0/lakeport/apps/{name}/runs/{id}", put(report_run).delete(end_run))
}

#[derive(Deserialize)]
struct Creation {
    no_compute: Option<bool>,
}

async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(query): Query<Creation>,
    Body(request): Body<AppBody>,
) -> Result<Json<AppBody>, ApiError> {
    let no_compute = query.no_compute.unwrap_or_default();
    Ok(Json(app.control.create_app(&caller, &request, no_compute).await?))
}

async fn read(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Result<Json<AppBody>, ApiError> {
    Ok(Json(app.control.get_app(&caller, &name).await?))
}

async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Query(paging): Query<Paging>,
) -> Result<Json<AppList>, ApiError> {
    let token = paging.page_token.as_deref();
    let page = app.control.list_apps(&caller, paging.page_size, token).await?;
    Ok(Json(AppList { apps: page.items, next_page_token: page.next_page_token }))
}

#[derive(Deserialize)]
struct UpdateMask {
    update_mask: Option<String>,
}

async fn update(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    Query(query): Query<UpdateMask>,
    Body(request): Body<AppBody>,
) -> Result<Json<AppBody>, ApiError> {
    let mask = query.update_mask.as_deref();
    Ok(Json(app.control.update_app(&caller, &name, &request, mask).await?))
}

async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Result<Json<AppBody>, ApiError> {
    Ok(Json(app.control.delete_app(&caller, &name).await?))
}

async fn start_update(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    Body(request): Body<AppUpdateRequest>,
) -> Result<Json<AppUpdate>, ApiError> {
    Ok(Json(app.control.start_app_update(&caller, &name, &request).await?))
}

async fn read_update(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Result<Json<AppUpdate>, ApiError> {
    Ok(Json(app.control.get_app_update(&caller, &name).await?))
}

async fn start(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Result<Json<AppBody>, ApiError> {
    Ok(Json(app.control.set_app_stopped(&caller, &name, false).await?))
}

async fn stop(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Result<Json<AppBody>, ApiError> {
    Ok(Json(app.control.set_app_stopped(&caller, &name, true).await?))
}

async fn deploy(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    Body(request): Body<AppDeployment>,
) -> Result<Json<AppDeployment>, ApiError> {
    Ok(Json(app.control.deploy_app(&caller, &name, &request).await?))
}

async fn read_deployment(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<AppDeployment>, ApiError> {
    Ok(Json(app.control.get_app_deployment(&caller, &name, &id).await?))
}

async fn list_deployments(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<AppDeploymentList>, ApiError> {
    let token = paging.page_token.as_deref();
    let page = app.control.list_app_deployments(&caller, &name, paging.page_size, token).await?;
    Ok(Json(AppDeploymentList {
        app_deployments: page.items,
        next_page_token: page.next_page_token,
    }))
}

async fn begin_run(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(name): Path<String>,
) -> Result<Json<AppRun>, ApiError> {
    Ok(Json(app.control.begin_app_run(&caller, &name).await?))
}

async fn report_run(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((name, id)): Path<(String, String)>,
    Body(report): Body<AppRunReport>,
) -> Result<Json<AppRunOrders>, ApiError> {
    let mut orders = app.control.report_app_run(&caller, &name, &id, &report).await?;
    let workspace = String::from("DATABRICKS_WORKSPACE_ID");
    orders.environment.insert(workspace, app.workspace_id.clone());
    Ok(Json(orders))
}

async fn end_run(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    app.control.end_app_run(&caller, &name, &id).await?;
    Ok(Json(json!({})))
}
