//! `/api/2.0/database/instances/{name}/roles`.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lakeport_api::{DatabaseInstanceRole, DatabaseInstanceRoleList};
use lakeport_control::Capability;
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
        .route("/api/2.0/database/instances/{name}/roles", get(list).post(create))
        .route("/api/2.0/database/instances/{name}/roles/{role}", get(read).delete(delete))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(instance): Path<String>,
    Body(request): Body<DatabaseInstanceRole>,
) -> Result<Json<DatabaseInstanceRole>, ApiError> {
    Ok(Json(app.control.create_instance_role(&caller.0, &instance, &request).await?))
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path((instance, role)): Path<(String, String)>,
) -> Result<Json<DatabaseInstanceRole>, ApiError> {
    let instance = app.control.authorize_instance(&caller.0, &instance, Capability::CanUse).await?;
    Ok(Json(app.control.get_instance_role(&instance, &role).await?))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(instance): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<DatabaseInstanceRoleList>, ApiError> {
    let instance = app.control.authorize_instance(&caller.0, &instance, Capability::CanUse).await?;
    let token = paging.page_token.as_deref();
    let page = app.control.list_instance_roles(&instance, paging.page_size, token).await?;
    Ok(Json(DatabaseInstanceRoleList {
        database_instance_roles: page.items,
        next_page_token: page.next_page_token,
    }))
}

#[derive(Deserialize)]
struct Deletion {
    allow_missing: Option<bool>,
    reassign_owned_to: Option<String>,
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((instance, role)): Path<(String, String)>,
    Query(query): Query<Deletion>,
) -> Result<Json<Value>, ApiError> {
    let control = &app.control;
    let instance = control.authorize_instance(&caller.0, &instance, Capability::CanManage).await?;
    let allow_missing = query.allow_missing.unwrap_or_default();
    let heir = query.reassign_owned_to.as_deref();
    control.delete_instance_role(&instance, &role, allow_missing, heir).await?;
    Ok(Json(json!({})))
}
