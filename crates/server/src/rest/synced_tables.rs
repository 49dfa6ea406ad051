//! `/api/2.0/database/synced_tables`, and their settings below `/api/2.0/lakeport/synced_tables`.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use lakeport_api::{ErrorCode, SyncSettings, SyncedDatabaseTable, SyncedDatabaseTableList};
use lakeport_control::Capability;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;
use super::query::{Paging, Query};
use crate::delivery::{self, SentBy};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/database/synced_tables", post(create))
        .route("/api/2.0/database/synced_tables/{name}", get(read).delete(delete).patch(update))
        .route("/api/2.0/database/instances/{name}/synced_tables", get(list))
        .route(
            "/api/2.0/lakeport/synced_tables/{name}/settings",
            get(read_settings).patch(update_settings),
        )
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    SentBy(sender): SentBy,
    Body(request): Body<SyncedDatabaseTable>,
) -> Result<Response, ApiError> {
    let instance = request.database_instance_name.as_deref();
    app.control.authorize_synced_table_target(&caller.0, &request.name, instance).await?;
    delivery::create(
        async move { app.control.create_synced_table(&caller.0, &sender, &request).await },
    )
    .await
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<SyncedDatabaseTable>, ApiError> {
    app.control.authorize_synced_table(&caller.0, &name, Capability::CanUse).await?;
    Ok(Json(app.control.get_synced_table(&name).await?))
}

#[derive(Deserialize)]
struct Deletion {
    purge_data: Option<bool>,
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<Deletion>,
) -> Result<Json<Value>, ApiError> {
    app.control.authorize_synced_table(&caller.0, &name, Capability::CanManage).await?;
    app.control.delete_synced_table(&name, query.purge_data).await?;
    Ok(Json(json!({})))
}

/// As the service that clients know: the call exists and does nothing.
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<ApiError, ApiError> {
    app.control.authorize_synced_table(&caller.0, &name, Capability::CanManage).await?;
    let message = "Update Synced Database Table is not yet implemented.";
    Ok(ApiError::new(ErrorCode::NotImplemented, message))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(instance): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<SyncedDatabaseTableList>, ApiError> {
    app.control.authorize_instance(&caller.0, &instance, Capability::CanUse).await?;
    let page = app
        .control
        .list_synced_tables(&instance, paging.page_size, paging.page_token.as_deref())
        .await?;
    Ok(Json(SyncedDatabaseTableList {
        synced_tables: page.items,
        next_page_token: page.next_page_token,
    }))
}

async fn read_settings(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<SyncSettings>, ApiError> {
    app.control.authorize_synced_table(&caller.0, &name, Capability::CanUse).await?;
    Ok(Json(app.control.get_sync_settings(&name).await?))
}

async fn update_settings(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Body(changes): Body<SyncSettings>,
) -> Result<Json<SyncSettings>, ApiError> {
    app.control.authorize_synced_table(&caller.0, &name, Capability::CanManage).await?;
    Ok(Json(app.control.update_sync_settings(&name, &changes).await?))
}
