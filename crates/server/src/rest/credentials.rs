//! `/api/2.0/database/credentials`.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use lakeport_api::{DatabaseCredential, GenerateCredentialRequest};
use lakeport_control::Capability;

use super::App;
use super::auth::Caller;
use super::body::Body;
use super::error::ApiError;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/2.0/database/credentials", post(generate))
}

async fn generate(
    State(app): State<App>,
    caller: Caller,
    Body(request): Body<GenerateCredentialRequest>,
) -> Result<Json<DatabaseCredential>, ApiError> {
    for name in request.instance_names.iter().flatten() {
        app.control.authorize_instance(&caller.0, name, Capability::CanUse).await?;
    }
    Ok(Json(app.control.generate_credential(caller.name(), &request).await?))
}
