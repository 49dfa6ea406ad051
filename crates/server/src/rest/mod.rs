//! The REST API: one file a resource, each a thin view over a service.
//!
//! Owns: routes, authentication of requests, and the wire form of answers. Closed by default: a route
//! outside [`open_routes`] is reached only with a valid bearer token.

mod auth;
mod body;
mod credentials;
mod database_catalogs;
pub(crate) mod discovery;
mod error;
mod federation_policies;
mod instances;
mod login_links;
mod pipelines;
mod query;
mod request_id;
mod scim;
mod service_secrets;
mod signing_keys;
mod synced_tables;
mod tokens;
mod unity;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use lakeport_control::Control;

use error::ApiError;

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) control: Arc<Control>,
    pub(crate) workspace_id: String,
    pub(crate) account_id: String,
}

/// The whole API, as served under `scheme`.
pub(crate) fn router(app: App, scheme: &'static str) -> Router {
    // Resources that do not ask who the caller is are for administrators.
    let administered = Router::new()
        .merge(instances::routes())
        .merge(credentials::routes())
        .merge(database_catalogs::routes())
        .merge(synced_tables::routes())
        .merge(pipelines::routes())
        .merge(unity::routes())
        .layer(from_fn(auth::require_admin));
    let authenticated = administered
        .merge(scim::routes())
        .merge(tokens::routes())
        .merge(service_secrets::routes())
        .merge(federation_policies::routes())
        .merge(login_links::routes())
        .merge(signing_keys::routes())
        .fallback(no_such_endpoint)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), auth::require_token));
    open_routes()
        .merge(crate::oauth::routes())
        .fallback_service(authenticated.with_state(app.clone()))
        .layer(axum::Extension(discovery::Scheme(scheme)))
        .layer(from_fn(request_id::attach))
        .with_state(app)
}

/// What clients ask before they have a token.
fn open_routes() -> Router<App> {
    Router::new()
        .route("/healthz", get(discovery::health))
        .route("/.well-known/databricks-config", get(discovery::host_metadata))
        .route("/oidc/.well-known/jwks.json", get(discovery::jwks))
}

async fn no_such_endpoint(uri: axum::http::Uri) -> ApiError {
    ApiError::no_endpoint(format!("There is no endpoint at {}.", uri.path()))
}

async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    ApiError::no_endpoint(format!("There is no {method} at {}.", uri.path()))
}
