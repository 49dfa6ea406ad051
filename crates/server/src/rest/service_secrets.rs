//! `/api/2.0/accounts/servicePrincipals/{id}/credentials/secrets`: what service principals log in with.

use axum::extract::State;
use axum::routing::{delete as delete_, get};
use axum::{Json, Router};
use jiff::Timestamp;
use lakeport_api::ErrorCode;
use lakeport_store::TokenInfo;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;
use super::path::Path;

const SECRETS: &str = "/api/2.0/accounts/servicePrincipals/{id}/credentials/secrets";

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route(SECRETS, get(list).post(create))
        .route(&format!("{SECRETS}/{{secret}}"), delete_(delete))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateRequest {
    /// Seconds, such as `3600s`.
    lifetime: Option<String>,
}

async fn create(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    let seconds = request.lifetime.as_deref().map(lifetime).transpose()?;
    let (secret, info) = app.control.create_secret(&caller, &id, seconds).await?;
    let mut body = wire(&info);
    body["secret"] = secret.expose().into();
    Ok(Json(body))
}

fn lifetime(text: &str) -> Result<i64, ApiError> {
    let seconds = text.strip_suffix('s').and_then(|number| number.parse().ok());
    seconds.ok_or_else(|| {
        ApiError::new(
            ErrorCode::InvalidParameterValue,
            format!("lifetime: \"{text}\" is not a number of seconds, such as 3600s"),
        )
    })
}

async fn list(
    State(app): State<App>,
    Caller(caller): Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let secrets = app.control.list_secrets(&caller, &id).await?;
    Ok(Json(json!({ "secrets": secrets.iter().map(wire).collect::<Vec<_>>() })))
}

async fn delete(
    State(app): State<App>,
    Caller(caller): Caller,
    Path((id, secret)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    app.control.delete_secret(&caller, &id, &secret).await?;
    Ok(Json(json!({})))
}

fn wire(info: &TokenInfo) -> Value {
    let expired = info.expires_at.is_some_and(|at| at <= Timestamp::now());
    json!({
        "id": info.id,
        "status": if expired { "EXPIRED" } else { "ACTIVE" },
        "create_time": info.created_at.to_string(),
        "update_time": info.created_at.to_string(),
        "expire_time": info.expires_at.map(|at| at.to_string()),
    })
}
