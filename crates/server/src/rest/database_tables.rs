//! `/api/2.0/database/tables`.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use lakeport_api::DatabaseTable;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/database/tables", post(create))
        .route("/api/2.0/database/tables/{name}", get(read).delete(delete))
}

async fn create(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<DatabaseTable>,
) -> Result<Json<DatabaseTable>, ApiError> {
    Ok(Json(app.control.create_database_table(&caller.0, &request).await?))
}

async fn read(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<DatabaseTable>, ApiError> {
    Ok(Json(app.control.get_database_table(&caller.0, &name).await?))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    app.control.delete_database_table(&caller.0, &name).await?;
    Ok(Json(json!({})))
}
