//! Who may speak to the endpoint: no page of a browser that came from elsewhere, and nobody without a token.
//!
//! Owns: that check, before a byte of the protocol is read. Never: what a caller may do; each call of a
//! tool asks the API, with the caller's own token.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Uri;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use lakeport_client::Token;
use lakeport_control::Bearer;
use lakeport_identity::CredentialError;
use lakeport_mcp::{Access, Caller, LONGEST_REQUEST};
use serde_json::json;

use super::{ENDPOINT, METADATA, Mcp, resource, scope};
use crate::rest::App;
use crate::rest::auth::{self, bearer};
use crate::rest::discovery::{Scheme, base_url};

pub(super) async fn admit(
    State((app, mcp)): State<(App, Mcp)>,
    Extension(scheme): Extension<Scheme>,
    request: Request<Body>,
    next: Next,
) -> Response {
    let headers = request.headers();
    if let Err(why) = check_origin(&mcp, headers) {
        return refusal(StatusCode::FORBIDDEN, "access_denied", why);
    }
    let access = match wanted_access(request.uri()) {
        Ok(access) => access,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, "invalid_request", &why),
    };
    let challenge = Challenge {
        metadata: format!("{}{METADATA}{ENDPOINT}", base_url(scheme, headers)),
        wanted: access,
    };
    let Some(token) = bearer(&request) else {
        return challenge.unauthorized(None);
    };
    // A token for these tools only is exchanged, here and for this request, for its twin for the API.
    let (token, allowed) = match app.control.bound(token, &resource(scheme, headers)).await {
        Ok(Ok(bound)) => (bound.api_token, scope::access(&bound.scope)),
        Ok(Err(CredentialError::Expired { seconds_ago })) => return challenge.expired(seconds_ago),
        Ok(Err(_)) => (token.to_owned(), Some(Access::Write)),
        Err(error) => return unchecked(&error),
    };
    match app.control.bearer(&token).await {
        Ok(Bearer::Owner { principal, .. }) => {
            let client = mcp.client.with_token(Token::new(token));
            let caller = Caller::new(client, principal.user_name.clone(), access);
            let mut response = match within(request, access, allowed).await {
                Ok((mut request, allowed)) => {
                    request.extensions_mut().insert(caller.limited_to(allowed));
                    next.run(request).await
                }
                Err(TooLittle::Scope(needed)) => challenge.insufficient_scope(needed),
                Err(TooLittle::Body) => refusal(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "invalid_request",
                    "The body is too large, or was cut off.",
                ),
            };
            // Whoever writes down what was done needs to know by whom.
            response.extensions_mut().insert(auth::Caller(principal));
            response
        }
        Ok(Bearer::Expired { seconds_ago }) => challenge.expired(seconds_ago),
        Ok(Bearer::NotAToken | Bearer::Invalid) => {
            challenge.unauthorized(Some("The token is not one for this server."))
        }
        Err(error) => unchecked(&error),
    }
}

fn unchecked(error: &lakeport_control::Error) -> Response {
    tracing::error!(error = error.message(), "a token could not be checked");
    refusal(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", error.message())
}

/// Why a request with a good token goes no further.
enum TooLittle {
    Scope(Access),
    /// It could not be read, so nobody knows what it needs.
    Body,
}

/// The request, if its token allows it. Only for a token that allows less than the address is it read.
async fn within(
    request: Request<Body>,
    access: Access,
    allowed: Option<Access>,
) -> Result<(Request<Body>, Access), TooLittle> {
    let allowed = allowed.ok_or(TooLittle::Scope(access))?;
    if allowed >= access {
        return Ok((request, allowed));
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, LONGEST_REQUEST).await.map_err(|_| TooLittle::Body)?;
    // What the address does not have, no scope brings: the tools say so.
    match scope::needed(&body) {
        needed if needed > allowed && needed <= access => Err(TooLittle::Scope(needed)),
        _ => Ok((Request::from_parts(parts, Body::from(body)), allowed)),
    }
}

/// A page that was loaded from elsewhere, or under a name that was made to point here, gets nothing.
fn check_origin(mcp: &Mcp, headers: &HeaderMap) -> Result<(), &'static str> {
    let text = |name| headers.get(name).map(HeaderValue::to_str);
    let host = match text(HOST) {
        Some(Ok(host)) if mcp.admits_host(host) => host,
        _ => return Err("Host: this server is not known by that name; see --mcp-host"),
    };
    match text(ORIGIN) {
        None => Ok(()),
        Some(Ok(origin)) if is_same(origin, host) => Ok(()),
        Some(_) => Err("Origin: only pages of this server itself may call it"),
    }
}

fn is_same(origin: &str, host: &str) -> bool {
    origin.parse::<Uri>().is_ok_and(|uri| {
        uri.authority().is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host))
    })
}

/// The address that a client is configured with says how much its agent may do; the agent cannot.
fn wanted_access(uri: &Uri) -> Result<Access, String> {
    let query = uri.query().unwrap_or_default();
    let mut access = Access::Manage;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        access = match name.as_ref() {
            "access" => value.parse::<Access>().map_err(|error| format!("access: {error}"))?,
            other => return Err(format!("{other}: it is not a parameter of this address")),
        };
    }
    Ok(access)
}

/// Where a client learns how to get a token (RFC 9728, 5.1), and for which scope.
struct Challenge {
    metadata: String,
    /// All that the address allows.
    wanted: Access,
}

impl Challenge {
    fn header(&self, needed: Access) -> String {
        let Self { metadata, .. } = self;
        format!("Bearer resource_metadata=\"{metadata}\", scope=\"{}\"", scope::of(needed))
    }

    fn expired(&self, seconds_ago: u64) -> Response {
        self.unauthorized(Some(&format!("The token expired {seconds_ago} seconds ago.")))
    }

    /// RFC 6750, 3.1: with more consent of its user, the client can try again.
    fn insufficient_scope(&self, needed: Access) -> Response {
        let problem = format!("This call needs the scope {}.", scope::of(needed));
        let header = self.header(needed);
        let header =
            format!("{header}, error=\"insufficient_scope\", error_description=\"{problem}\"");
        with_challenge(refusal(StatusCode::FORBIDDEN, "insufficient_scope", &problem), &header)
    }

    fn unauthorized(&self, problem: Option<&str>) -> Response {
        let mut header = self.header(self.wanted);
        if let Some(problem) = problem {
            header.push_str(&format!(", error=\"invalid_token\", error_description=\"{problem}\""));
        }
        let message = problem.unwrap_or(
            "A bearer token is missing: a personal access token or an OAuth access token.",
        );
        with_challenge(refusal(StatusCode::UNAUTHORIZED, "invalid_token", message), &header)
    }
}

fn with_challenge(mut response: Response, challenge: &str) -> Response {
    if let Ok(challenge) = HeaderValue::from_str(challenge) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

fn refusal(status: StatusCode, error: &str, description: &str) -> Response {
    (status, Json(json!({ "error": error, "error_description": description }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_elsewhere_are_told_apart() {
        assert!(is_same("http://127.0.0.1:8080", "127.0.0.1:8080"));
        assert!(is_same("https://Tools.example.org", "tools.example.org"));
        for origin in ["null", "http://127.0.0.1:8081", "http://evil.example", "127.0.0.1", ""] {
            assert!(!is_same(origin, "127.0.0.1:8080"), "{origin}");
        }
    }

    #[test]
    fn the_address_says_how_much_is_allowed() {
        let access = |text: &str| wanted_access(&text.parse().unwrap());
        assert_eq!(access("/mcp"), Ok(Access::Manage));
        assert_eq!(access("/mcp?access=observe"), Ok(Access::Observe));
        assert!(access("/mcp?access=all").unwrap_err().contains("access"));
        assert!(access("/mcp?acess=observe").unwrap_err().contains("acess"));
    }
}
