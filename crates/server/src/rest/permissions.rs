//! `/api/2.0/permissions/database-instances`.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use lakeport_api::permission::{AccessControlChange, ObjectPermissions, PermissionLevels};
use lakeport_control::Capability;

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(
            "/api/2.0/permissions/database-instances/{name}",
            get(read).put(replace).patch(merge),
        )
        .route("/api/2.0/permissions/database-instances/{name}/permissionLevels", get(levels))
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ObjectPermissions>, ApiError> {
    let instance = app.control.authorize_instance(&caller.0, &name, Capability::CanUse).await?;
    Ok(Json(app.control.instance_permissions(&instance).await?))
}

async fn replace(
    app: State<App>,
    caller: Caller,
    name: Path<String>,
    Body(change): Body<AccessControlChange>,
) -> Result<Json<ObjectPermissions>, ApiError> {
    set(app, caller, name, &change, true).await
}

async fn merge(
    app: State<App>,
    caller: Caller,
    name: Path<String>,
    Body(change): Body<AccessControlChange>,
) -> Result<Json<ObjectPermissions>, ApiError> {
    set(app, caller, name, &change, false).await
}

async fn set(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    change: &AccessControlChange,
    replace: bool,
) -> Result<Json<ObjectPermissions>, ApiError> {
    let instance = app.control.authorize_instance(&caller.0, &name, Capability::CanManage).await?;
    Ok(Json(app.control.change_instance_permissions(&instance, change, replace).await?))
}

async fn levels(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<PermissionLevels>, ApiError> {
    app.control.authorize_instance(&caller.0, &name, Capability::CanUse).await?;
    Ok(Json(app.control.permission_levels()))
}
