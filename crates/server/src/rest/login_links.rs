//! `/api/2.0/lakeport/login-links`: links that sign a user in once; an extension of the API.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::discovery::{Scheme, base_url};
use super::error::ApiError;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/2.0/lakeport/login-links", post(create))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateRequest {
    user_name: String,
}

async fn create(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    Caller(caller): Caller,
    headers: HeaderMap,
    Body(request): Body<CreateRequest>,
) -> Result<Json<Value>, ApiError> {
    let (link, expires) = app.control.make_login_link(&caller, &request.user_name).await?;
    let url = format!("{}/oidc/login?link={}", base_url(scheme, &headers), link.expose());
    Ok(Json(json!({ "url": url, "expiration_time": expires.to_string() })))
}
