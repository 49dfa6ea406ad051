//! The REST API: one file a resource, each a thin view over a service.
//!
//! Owns: routes, authentication of requests, and the wire form of answers. Closed by default: a route
//! outside [`open_routes`] is reached only with a valid bearer token.

mod apps;
pub(crate) mod auth;
mod body;
mod credentials;
mod database_catalogs;
mod database_tables;
pub(crate) mod discovery;
pub(crate) mod error;
mod federation_policies;
mod instances;
mod login_links;
mod metrics;
mod path;
mod permissions;
mod pipelines;
mod query;
#[cfg(test)]
mod refusals;
mod request_id;
mod roles;
mod scim;
mod service_secrets;
mod signing_keys;
mod slow_body;
mod synced_tables;
mod tokens;
mod trail;
mod unity;
mod unity_permissions;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use lakeport_control::Control;
use lakeport_gateway::Gateway;

use crate::witness::Witness;
use error::ApiError;

use crate::mcp::Mcp;
use crate::oauth::Guesses;

/// What every handler can reach.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) control: Arc<Control>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) witness: Arc<Witness>,
    pub(crate) guesses: Arc<Guesses>,
    pub(crate) workspace_id: String,
    pub(crate) account_id: String,
    /// Whether clients of this machine may read the metrics without a token.
    pub(crate) open_metrics: bool,
}

/// The whole API, as served under `scheme`.
pub(crate) fn router(app: App, mcp: &Mcp, scheme: &'static str) -> Router {
    let authenticated = Router::new()
        .merge(instances::routes())
        .merge(credentials::routes())
        .merge(database_catalogs::routes())
        .merge(synced_tables::routes())
        .merge(pipelines::routes())
        .merge(database_tables::routes())
        .merge(unity::routes())
        .merge(unity_permissions::routes())
        .merge(permissions::routes())
        .merge(roles::routes())
        .merge(apps::routes())
        .merge(scim::routes())
        .merge(tokens::routes())
        .merge(service_secrets::routes())
        .merge(federation_policies::routes())
        .merge(login_links::routes())
        .merge(signing_keys::routes())
        .merge(metrics::routes())
        .fallback(no_such_endpoint)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), auth::require_token))
        .layer(from_fn_with_state(app.clone(), trail::leave));
    let mut router = open_routes()
        .merge(crate::oauth::routes())
        .merge(crate::mcp::routes(&app, mcp))
        .layer(from_fn_with_state(app.clone(), trail::leave))
        .fallback_service(authenticated.with_state(app.clone()));
    if app.open_metrics {
        router = router.layer(from_fn_with_state(app.clone(), metrics::open_to_this_machine));
    }
    router
        .layer(axum::Extension(discovery::Scheme(scheme)))
        .layer(from_fn(request_id::attach))
        .layer(from_fn(slow_body::refuse))
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
