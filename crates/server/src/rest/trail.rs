//! What a request leaves behind: a count, and a line in the audit log if it changed something or was not
//! allowed.
//!
//! Bodies and headers hold secrets and are never written. A path holds names, and so does the query of
//! the API; that of the login pages holds links and codes.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use lakeport_api::ErrorCode;

use super::auth::Caller;
use super::{App, request_id};
use crate::http::Peer;
use crate::oauth::CALLBACK;
use crate::witness::RequestLine;

pub(crate) async fn leave(State(app): State<App>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let source = request.extensions().get::<Peer>().map(|peer| peer.0);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let (status, time) = (response.status(), begun.elapsed());
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    app.witness.count_request(method.as_str(), route, status.as_u16(), time);
    if is_worth_a_line(&method, route, status) {
        let caller = response.extensions().get::<Caller>();
        let error_code = response.extensions().get::<ErrorCode>().copied();
        app.witness.request(&RequestLine {
            request_id: &request_id::current(),
            source,
            subject: caller.map(Caller::name),
            method: method.as_str(),
            path: uri.path(),
            query: uri.query().filter(|_| uri.path().starts_with("/api/")),
            status: status.as_u16(),
            error_code,
            duration_ms: u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        });
    }
    response
}

fn is_worth_a_line(method: &Method, route: &str, status: StatusCode) -> bool {
    // There a login comes back from the outside provider.
    !method.is_safe()
        || route == CALLBACK
        || matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}
