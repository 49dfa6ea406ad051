//! Who may speak to the endpoint: no page of a browser that came from elsewhere, and nobody without a token.
//!
//! Owns: that check, before a byte of the protocol is read. Never: what a caller may do; each call of a
//! tool asks the API, with the caller's own token.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::uri::Uri;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use lakeport_client::Token;
use lakeport_control::Bearer;
use lakeport_mcp::{Access, Caller};
use serde_json::json;

use super::{ENDPOINT, METADATA, Mcp};
use crate::rest::App;
use crate::rest::auth::{self, bearer};
use crate::rest::discovery::{Scheme, base_url};

pub(super) async fn admit(
    State((app, mcp)): State<(App, Mcp)>,
    Extension(scheme): Extension<Scheme>,
    mut request: Request<Body>,
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
    let challenge = Challenge(format!("{}{METADATA}{ENDPOINT}", base_url(scheme, headers)));
    let Some(token) = bearer(&request) else {
        return challenge.unauthorized(None);
    };
    match app.control.bearer(token).await {
        Ok(Bearer::Owner { principal, .. }) => {
            let client = mcp.client.with_token(Token::new(token));
            let caller = Caller::new(client, principal.user_name.clone(), access);
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            // Whoever writes down what was done needs to know by whom.
            response.extensions_mut().insert(auth::Caller(principal));
            response
        }
        Ok(Bearer::Expired { seconds_ago }) => {
            challenge.unauthorized(Some(&format!("The token expired {seconds_ago} seconds ago.")))
        }
        Ok(Bearer::NotAToken | Bearer::Invalid) => {
            challenge.unauthorized(Some("The token is not one for this server."))
        }
        Err(error) => {
            tracing::error!(error = error.message(), "a token could not be checked");
            refusal(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", error.message())
        }
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

/// Where a client learns how to get a token (RFC 9728, 5.1).
struct Challenge(String);

impl Challenge {
    fn unauthorized(&self, problem: Option<&str>) -> Response {
        let mut header = format!("Bearer resource_metadata=\"{}\", scope=\"all-apis\"", self.0);
        if let Some(problem) = problem {
            header.push_str(&format!(", error=\"invalid_token\", error_description=\"{problem}\""));
        }
        let message = problem.unwrap_or(
            "A bearer token is missing: a personal access token or an OAuth access token.",
        );
        let mut response = refusal(StatusCode::UNAUTHORIZED, "invalid_token", message);
        if let Ok(header) = HeaderValue::from_str(&header) {
            response.headers_mut().insert(WWW_AUTHENTICATE, header);
        }
        response
    }
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
