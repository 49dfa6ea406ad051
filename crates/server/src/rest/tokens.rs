//! `/api/2.0/token`: the caller's own personal access tokens.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use lakeport_store::{Principal, TokenInfo};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/2.0/token/create", post(create))
        .route("/api/2.0/token/list", get(list))
        .route("/api/2.0/token/delete", post(delete))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateRequest {
    comment: Option<String>,
    lifetime_seconds: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeleteRequest {
    token_id: String,
}

async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    let comment = request.comment.unwrap_or_default();
    let (token, info) =
        app.control.create_token(&caller, &comment, request.lifetime_seconds).await?;
    let info = wire(&caller, &info);
    Ok(Json(json!({ "token_value": token.expose(), "token_info": info })))
}

async fn list(State(app): State<App>, Caller(caller): Caller) -> Result<Json<Value>, ApiError> {
    let tokens = app.control.list_tokens(&caller).await?;
    let infos: Vec<_> = tokens.iter().map(|info| wire(&caller, info)).collect();
    Ok(Json(json!({ "token_infos": infos })))
}

async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Body(request): Body<DeleteRequest>,
) -> Result<Json<Value>, ApiError> {
    app.control.delete_token(&caller, &request.token_id).await?;
    Ok(Json(json!({})))
}

/// Times are milliseconds; -1 is never.
fn wire(owner: &Principal, info: &TokenInfo) -> Value {
    json!({
        "token_id": info.id,
        "comment": info.comment,
        "creation_time": info.created_at.as_millisecond(),
        "expiry_time": info.expires_at.map_or(-1, |at| at.as_millisecond()),
        "created_by_id": owner.id,
        "created_by_username": owner.user_name,
    })
}
