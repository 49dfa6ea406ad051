//! The bearer token of a request, and the principal whose it is.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use lakeport_api::ErrorCode;
use lakeport_control::Bearer;
use lakeport_store::Principal;
use uuid::Uuid;

use super::App;
use super::error::ApiError;

/// The authenticated caller.
#[derive(Clone)]
pub(crate) struct Caller(pub(crate) Principal);

/// What the caller has shown: the personal token, or what its access token came of.
#[derive(Clone, Copy)]
pub(crate) struct Origin(pub(crate) Uuid);

impl Caller {
    pub(crate) fn name(&self) -> &str {
        &self.0.user_name
    }
}

/// Lets a request pass with a valid token only. What its owner may do, each handler asks the authorizer.
pub(crate) async fn require_token(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(token) = bearer(&request) else {
        return unauthenticated(
            "A bearer token is missing: send the header \"Authorization: Bearer <token>\".",
        );
    };
    match app.control.bearer(token).await {
        Ok(Bearer::Owner { principal, origin, .. }) => {
            let caller = Caller(principal);
            request.extensions_mut().insert(Origin(origin));
            request.extensions_mut().insert(caller.clone());
            let mut response = next.run(request).await;
            // Whoever writes down what was done needs to know by whom.
            response.extensions_mut().insert(caller);
            response
        }
        Ok(Bearer::Expired { seconds_ago }) => unauthenticated(&format!(
            "The access token expired {seconds_ago} seconds ago: log in again to get a new one."
        )),
        Ok(Bearer::NotAToken | Bearer::Invalid) => unauthenticated(
            "The access token is not valid: use the one in the databrickscfg file of the server's \
             data directory, or log in again.",
        ),
        Err(error) => ApiError::from(error).into_response(),
    }
}

fn unauthenticated(message: &str) -> Response {
    ApiError::new(ErrorCode::Unauthenticated, message).into_response()
}

/// The scheme's name has no case.
pub(crate) fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| ApiError::new(ErrorCode::Unauthenticated, "No caller is known."))
    }
}
