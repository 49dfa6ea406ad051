//! `/metrics`: counts and times for Prometheus. For administrators, or without a token for clients of
//! this machine where the settings say so.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lakeport_api::ErrorCode;

use super::App;
use super::auth::Caller;
use super::error::ApiError;
use crate::http::Peer;
use crate::metrics;

const PATH: &str = "/metrics";

pub(crate) fn routes() -> Router<App> {
    Router::new().route(PATH, get(show))
}

async fn show(State(app): State<App>, Caller(caller): Caller) -> Response {
    if !caller.is_admin {
        let message = "Only members of the group \"admins\" may read the metrics.";
        return ApiError::new(ErrorCode::PermissionDenied, message).into_response();
    }
    answer(&app)
}

/// Answers clients of this machine before anybody asks for a token.
pub(crate) async fn open_to_this_machine(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Response {
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_canonical());
    let is_near = peer.is_some_and(|address| address.is_loopback());
    if is_near && request.method().is_safe() && request.uri().path() == PATH {
        return answer(&app);
    }
    next.run(request).await
}

fn answer(app: &App) -> Response {
    match app.witness.metrics(&app.gateway, &app.control) {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => ApiError::new(ErrorCode::InternalError, "The metrics cannot be written down.")
            .into_response(),
    }
}
