//! `/api/2.0/lakeport/signing-keys`: rotating the key that tokens are signed with; an extension of the API.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use lakeport_api::login::SigningKey;

use super::App;
use super::auth::Caller;
use super::error::ApiError;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/2.0/lakeport/signing-keys/rotate", post(rotate))
}

async fn rotate(
    State(app): State<App>,
    Caller(caller): Caller,
) -> Result<Json<SigningKey>, ApiError> {
    Ok(Json(SigningKey { kid: app.control.rotate_signing_key(&caller).await? }))
}
