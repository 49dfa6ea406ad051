//! Every request has an id: in the answer's header, in error bodies and in the log.

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::middleware::Next;
use axum::response::Response;
use uuid::Uuid;

tokio::task_local! {
    static REQUEST_ID: String;
}

/// The id of the request that this task works on.
pub(crate) fn current() -> String {
    REQUEST_ID.try_with(Clone::clone).unwrap_or_default()
}

pub(crate) async fn attach(request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().to_string();
    let header = HeaderValue::from_str(&id);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut response = REQUEST_ID.scope(id.clone(), next.run(request)).await;
    tracing::debug!(
        request.id = id, %method, path, status = response.status().as_u16(), "request"
    );
    if let Ok(header) = header {
        response.headers_mut().insert("x-request-id", header);
    }
    response
}
