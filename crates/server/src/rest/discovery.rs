//! What clients ask before they have a token: health, host metadata, signing keys.

use axum::extract::State;
use axum::http::header::HOST;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use lakeport_identity::JwkSet;
use serde_json::{Value, json};

use super::App;

/// Under which scheme the listener that was reached serves.
#[derive(Clone, Copy)]
pub(crate) struct Scheme(pub(crate) &'static str);

pub(crate) async fn health(State(app): State<App>) -> (StatusCode, &'static str) {
    match app.control.store.ping().await {
        Ok(()) => (StatusCode::OK, "ok\n"),
        Err(error) => {
            tracing::warn!(%error, "not healthy");
            (StatusCode::SERVICE_UNAVAILABLE, "the metadata database does not answer\n")
        }
    }
}

/// URLs use the host by which the client has reached us.
pub(crate) async fn host_metadata(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
) -> Json<Value> {
    Json(json!({
        "oidc_endpoint": format!("{}/oidc", base_url(scheme, &headers)),
        "account_id": app.account_id,
        "workspace_id": app.workspace_id,
        // For whom workloads should have their tokens made out.
        "token_federation_default_oidc_audiences": [app.account_id],
    }))
}

/// This server as its client names it; a host that is none is not repeated.
pub(crate) fn base_url(Scheme(scheme): Scheme, headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
    let is_host = !host.is_empty() && host.bytes().all(plain);
    format!("{scheme}://{}", if is_host { host } else { "localhost" })
}

/// Keys that verify database credentials and access tokens (RFC 7517).
pub(crate) async fn jwks(State(app): State<App>) -> Json<JwkSet> {
    Json(app.control.keys.jwk_set())
}
