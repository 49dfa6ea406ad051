//! `/api/2.0/database/credentials`.

use axum::extract::State;
use axum::routing::post;
use axum::{Extension, Json, Router};
use lakeport_api::{DatabaseCredential, GenerateCredentialRequest};

use super::App;
use super::auth::{Caller, Origin};
use super::body::Body;
use super::error::ApiError;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/2.0/database/credentials", post(generate))
}

async fn generate(
    State(app): State<App>,
    caller: Caller,
    Extension(Origin(origin)): Extension<Origin>,
    Body(request): Body<GenerateCredentialRequest>,
) -> Result<Json<DatabaseCredential>, ApiError> {
    Ok(Json(app.control.generate_credential(&caller.0, origin, &request).await?))
}
