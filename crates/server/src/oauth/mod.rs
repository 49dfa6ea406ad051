//! OAuth over HTTP: discovery, the token endpoint, and the pages on which people sign in.
//!
//! Owns: forms, cookies, HTML. Never: what is granted to whom; that is `identity::oauth`'s.

mod account;
mod authorize;
mod browser;
mod form;
mod guesses;
mod page;
mod provider;
mod register;
mod token;

use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use lakeport_control::Control;
use lakeport_identity::oauth::TOKEN_EXCHANGE;
use lakeport_store::Principal;
use serde_json::{Value, json};

pub(crate) use guesses::Guesses;
pub(crate) use provider::CALLBACK;

use crate::rest::App;
use crate::rest::auth::Caller;
use crate::rest::discovery::{Scheme, base_url};

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/oidc/.well-known/oauth-authorization-server", get(metadata))
        .route("/oidc/v1/token", post(token::token).fallback(token::only_post))
        .route("/oidc/v1/revoke", post(token::revoke).fallback(token::only_post))
        .route("/oidc/v1/register", post(register::register).fallback(token::only_post))
        .route("/oidc/v1/authorize", get(authorize::ask).post(authorize::decide))
        .route("/oidc/login", get(account::follow_link).post(account::use_link))
        .route("/oidc/account", get(account::show))
        .route("/oidc/password", post(account::choose_password))
        .route("/oidc/logout", post(account::sign_out))
        .route(provider::START, get(provider::start))
        .route(provider::CALLBACK, get(provider::callback))
        .route("/oidc/style.css", get(page::style))
}

/// RFC 8414. URLs use the host by which the client has reached us.
pub(crate) async fn metadata(
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
) -> Json<Value> {
    let oidc = format!("{}/oidc", base_url(scheme, &headers));
    Json(json!({
        "issuer": oidc,
        "authorization_endpoint": format!("{oidc}/v1/authorize"),
        "token_endpoint": format!("{oidc}/v1/token"),
        "revocation_endpoint": format!("{oidc}/v1/revoke"),
        "registration_endpoint": format!("{oidc}/v1/register"),
        "jwks_uri": format!("{oidc}/.well-known/jwks.json"),
        "scopes_supported": lakeport_identity::oauth::SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported":
            ["authorization_code", "client_credentials", "refresh_token", TOKEN_EXCHANGE],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "none"],
    }))
}

/// Says for the audit log whom an answer is about.
fn about<'a>(mut response: Response, who: impl Into<Option<&'a Principal>>) -> Response {
    if let Some(who) = who.into() {
        response.extensions_mut().insert(Caller(who.clone()));
    }
    response
}

/// The same for a name that was only claimed, where somebody has it. What nobody is called is kept out of
/// the log: it may be a password in the wrong field.
async fn about_claimed(control: &Control, response: Response, name: Option<&str>) -> Response {
    let Some(name) = name else { return response };
    match control.store.principal(name).await {
        Ok(Some(who)) => about(response, &who),
        Ok(None) => response,
        Err(error) => {
            tracing::error!(%error, "a name for the audit log could not be looked up");
            response
        }
    }
}

fn send_to(url: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, url), (CACHE_CONTROL, "no-store")]).into_response()
}
