//! `/api/2.1/unity-catalog/permissions`, `/effective-permissions` and `/temporary-table-credentials`.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use lakeport_api::unity_grants::{
    EffectivePermissionsList, PermissionsList, TableCredential, TableCredentialRequest,
    UpdatePermissions,
};
use serde::Deserialize;

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;
use super::query::Query;

const BASE: &str = "/api/2.1/unity-catalog";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(&format!("{BASE}/permissions/{{kind}}/{{name}}"), get(read).patch(update))
        .route(&format!("{BASE}/effective-permissions/{{kind}}/{{name}}"), get(effective))
        // SDKs ask under 2.0, the open-source server's clients under 2.1.
        .route("/api/2.0/unity-catalog/temporary-table-credentials", post(credential))
        .route("/api/2.1/unity-catalog/temporary-table-credentials", post(credential))
}

#[derive(Deserialize)]
struct Asked {
    principal: Option<String>,
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path((kind, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<PermissionsList>, ApiError> {
    let principal = asked.principal.as_deref();
    Ok(Json(app.control.get_permissions(&caller.0, &kind, &name, principal).await?))
}

async fn effective(
    State(app): State<App>,
    caller: Caller,
    Path((kind, name)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Json<EffectivePermissionsList>, ApiError> {
    let principal = asked.principal.as_deref();
    Ok(Json(app.control.get_effective_permissions(&caller.0, &kind, &name, principal).await?))
}

async fn update(
    State(app): State<App>,
    caller: Caller,
    Path((kind, name)): Path<(String, String)>,
    Body(request): Body<UpdatePermissions>,
) -> Result<Json<PermissionsList>, ApiError> {
    Ok(Json(app.control.update_permissions(&caller.0, &kind, &name, &request).await?))
}

async fn credential(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<TableCredentialRequest>,
) -> Result<Json<TableCredential>, ApiError> {
    Ok(Json(app.control.temporary_table_credential(&caller.0, &request).await?))
}
