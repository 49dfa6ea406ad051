//! The token endpoint and the revocation endpoint: JSON in RFC 6749's form.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lakeport_identity::oauth::{Client, Code, Error, OAuth, Tokens};
use serde_json::{Value, json};

use super::form::{Form, invalid};
use crate::rest::App;

pub(super) async fn token(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    match exchange(&app.control.oauth, &headers, &body).await {
        Ok(tokens) => answer(StatusCode::OK, &wire(&tokens)),
        Err(error) => refusal(&error),
    }
}

async fn exchange(oauth: &OAuth, headers: &HeaderMap, body: &[u8]) -> Result<Tokens, Error> {
    let form = Form::of_body(headers, body)?;
    let grant_type = form.required("grant_type")?;
    let client = authenticate(oauth, headers, &form).await?;
    match grant_type {
        "client_credentials" => oauth.client_credentials(&client, form.get("scope")),
        "authorization_code" => {
            let (code, verifier) = (form.required("code")?, form.required("code_verifier")?);
            oauth.redeem_code(&client, code, form.required("redirect_uri")?, verifier).await
        }
        "refresh_token" => oauth.refresh(&client, form.required("refresh_token")?).await,
        other => Err(Error::refused(
            Code::UnsupportedGrantType,
            format!(
                "grant_type: \"{other}\" is not one of: authorization_code, client_credentials, \
                 refresh_token"
            ),
        )),
    }
}

/// By HTTP Basic or in the form, never both.
async fn authenticate(oauth: &OAuth, headers: &HeaderMap, form: &Form) -> Result<Client, Error> {
    match headers.get(AUTHORIZATION) {
        Some(header) => {
            if form.get("client_secret").is_some() {
                return Err(invalid("client_secret: it was sent in the header and in the form"));
            }
            let (id, secret) = basic(header).ok_or_else(|| {
                Error::refused(
                    Code::InvalidClient,
                    "The Authorization header must be Basic, with client id and secret.",
                )
            })?;
            if form.get("client_id").is_some_and(|in_form| in_form != id) {
                return Err(invalid("client_id: header and form name different clients"));
            }
            oauth.client(&id, Some(&secret)).await
        }
        None => oauth.client(form.required("client_id")?, form.get("client_secret")).await,
    }
}

/// RFC 6749 has both parts form-encoded; ids and secrets of this server have nothing to encode.
fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, value) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

fn wire(tokens: &Tokens) -> Value {
    let mut body = json!({
        "access_token": tokens.access_token,
        "token_type": "Bearer",
        "expires_in": tokens.expires_in,
        "scope": tokens.scope,
    });
    if let Some(refresh) = &tokens.refresh_token {
        body["refresh_token"] = refresh.expose().into();
    }
    body
}

pub(super) async fn revoke(State(app): State<App>, headers: HeaderMap, body: Bytes) -> Response {
    let ended = end(&app.control.oauth, &headers, &body).await;
    if ended.is_ok() {
        app.control.rights_changed().await;
    }
    match ended {
        Ok(()) => answer(StatusCode::OK, &json!({})),
        Err(error) => refusal(&error),
    }
}

async fn end(oauth: &OAuth, headers: &HeaderMap, body: &[u8]) -> Result<(), Error> {
    let form = Form::of_body(headers, body)?;
    let client = authenticate(oauth, headers, &form).await?;
    oauth.revoke(&client, form.required("token")?).await
}

fn refusal(error: &Error) -> Response {
    let status = match error.code() {
        Code::InvalidClient => StatusCode::UNAUTHORIZED,
        Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    let description = match error {
        Error::Refused { description, .. } => description.clone(),
        Error::Failed(source) => {
            tracing::error!(error = %source, "a token request failed");
            String::from("The server could not answer; its log says why.")
        }
    };
    let body = json!({ "error": error.code().as_str(), "error_description": description });
    let mut response = answer(status, &body);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"lakeport\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_split_at_the_first_colon() {
        let header = |text: &str| HeaderValue::from_str(text).unwrap();
        let encoded = STANDARD.encode("id:se:cret");
        assert_eq!(
            basic(&header(&format!("bAsIc {encoded}"))),
            Some(("id".into(), "se:cret".into()))
        );
        for bad in ["Bearer x", "Basic", "Basic !", &format!("Basic {}", STANDARD.encode("x"))] {
            assert_eq!(basic(&header(bad)), None, "{bad}");
        }
    }
}
