//! `/api/2.0/database/catalogs`.

use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Json, Router};
use lakeport_api::{DatabaseCatalog, DatabaseCatalogList, ErrorCode};
use lakeport_control::Capability;
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
        .route("/api/2.0/database/catalogs", post(create))
        .route("/api/2.0/database/catalogs/{name}", get(read).delete(delete).patch(update))
        .route("/api/2.0/database/instances/{name}/catalogs", get(list))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    SentBy(sender): SentBy,
    Body(request): Body<DatabaseCatalog>,
) -> Result<Response, ApiError> {
    let instance = &request.database_instance_name;
    if !instance.is_empty() {
        app.control.authorize_instance(&caller.0, instance, Capability::CanUse).await?;
    }
    delivery::create(async move {
        app.control.create_database_catalog(caller.name(), &sender, &request).await
    })
    .await
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<DatabaseCatalog>, ApiError> {
    let needed = Capability::CanUse;
    app.control.authorize_database_catalog(&caller.0, &name, needed).await?;
    Ok(Json(app.control.get_database_catalog(&name).await?))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let needed = Capability::CanManage;
    app.control.authorize_database_catalog(&caller.0, &name, needed).await?;
    let message = app.control.delete_database_catalog(&name).await?;
    Ok(Json(json!({ "message": message })))
}

/// As the service that clients know: the call exists and does nothing.
async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<ApiError, ApiError> {
    let needed = Capability::CanManage;
    app.control.authorize_database_catalog(&caller.0, &name, needed).await?;
    let message = "Update Database Catalog is not yet implemented";
    Ok(ApiError::new(ErrorCode::NotImplemented, message))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(instance): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<DatabaseCatalogList>, ApiError> {
    app.control.authorize_instance(&caller.0, &instance, Capability::CanUse).await?;
    let page = app
        .control
        .list_database_catalogs(&instance, paging.page_size, paging.page_token.as_deref())
        .await?;
    Ok(Json(DatabaseCatalogList {
        database_catalogs: page.items,
        next_page_token: page.next_page_token,
    }))
}
