//! The token endpoint and the revocation endpoint: JSON in RFC 6749's form.

use axum::Extension;
use axum::extract::State;
use axum::http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lakeport_control::Control;
use lakeport_identity::oauth::{
    Client, Code, Error, Exchange, OAuth, Resource, TOKEN_EXCHANGE, Tokens,
};
use serde_json::{Value, json};

use super::form::{Form, Posted, invalid};
use super::{about, about_claimed};
use crate::mcp::resource;
use crate::rest::App;
use crate::rest::discovery::Scheme;

pub(super) async fn token(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Posted(form): Posted,
) -> Response {
    let control = &app.control;
    let form = match form {
        Ok(form) => form,
        Err(error) => return refusal(&error),
    };
    match exchange(&control.oauth, &headers, &resource(scheme, &headers), &form).await {
        Ok(tokens) => about(answer(StatusCode::OK, &wire(&tokens)), &tokens.owner),
        Err(error) => refused(control, &headers, &form, &error).await,
    }
}

async fn refused(control: &Control, headers: &HeaderMap, form: &Form, error: &Error) -> Response {
    let claimed = claimed_client(headers, form);
    about_claimed(control, refusal(error), claimed.as_deref()).await
}

async fn exchange(
    oauth: &OAuth,
    headers: &HeaderMap,
    tools: &str,
    form: &Form,
) -> Result<Tokens, Error> {
    let grant_type = form.required("grant_type")?;
    refuse_narrowing(form)?;
    let resource = Resource { asked: form.get("resource"), tools };
    if grant_type == TOKEN_EXCHANGE {
        return exchange_token(oauth, headers, form, resource).await;
    }
    let client = authenticate(oauth, headers, form).await?;
    match grant_type {
        "client_credentials" => oauth.client_credentials(&client, form.get("scope"), &resource),
        "authorization_code" => {
            let (code, verifier) = (form.required("code")?, form.required("code_verifier")?);
            let redirect_uri = form.required("redirect_uri")?;
            oauth.redeem_code(&client, code, redirect_uri, verifier, &resource).await
        }
        "refresh_token" => oauth.refresh(&client, form.required("refresh_token")?, &resource).await,
        other => Err(Error::refused(
            Code::UnsupportedGrantType,
            format!(
                "grant_type: \"{other}\" is not one of: authorization_code, client_credentials, \
                 refresh_token, {TOKEN_EXCHANGE}"
            ),
        )),
    }
}

/// Who asks for a token of fewer rights does not get one of all.
fn refuse_narrowing(form: &Form) -> Result<(), Error> {
    if form.get("authorization_details").is_some() {
        return Err(Error::refused(
            Code::InvalidAuthorizationDetails,
            "authorization_details: they are not supported; leave them out",
        ));
    }
    not_supported(form, "assume_group")
}

fn not_supported(form: &Form, parameter: &str) -> Result<(), Error> {
    match form.get(parameter) {
        None => Ok(()),
        Some(_) => Err(invalid(format!("{parameter}: it is not supported; leave it out"))),
    }
}

/// The token to be exchanged is all that proves who asks.
async fn exchange_token(
    oauth: &OAuth,
    headers: &HeaderMap,
    form: &Form,
    resource: Resource<'_>,
) -> Result<Tokens, Error> {
    if headers.contains_key(AUTHORIZATION) || form.get("client_secret").is_some() {
        return Err(invalid("client_secret: a token is exchanged without one; leave it out"));
    }
    for unsupported in ["actor_token", "audience"] {
        not_supported(form, unsupported)?;
    }
    let exchange = Exchange {
        client_id: form.get("client_id"),
        subject_token: form.required("subject_token")?,
        subject_token_type: form.required("subject_token_type")?,
        requested_token_type: form.get("requested_token_type"),
        scope: form.get("scope"),
        resource,
    };
    oauth.exchange_token(&exchange).await
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

/// The id that a client goes by, whoever it is.
fn claimed_client(headers: &HeaderMap, form: &Form) -> Option<String> {
    let in_header = headers.get(AUTHORIZATION).and_then(basic).map(|(id, _)| id);
    in_header.or_else(|| form.get("client_id").map(str::to_owned))
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

pub(super) async fn revoke(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Posted(form): Posted,
) -> Response {
    let control = &app.control;
    let form = match form {
        Ok(form) => form,
        Err(error) => return refusal(&error),
    };
    match end(control, &headers, &resource(scheme, &headers), &form).await {
        Ok(owner) => {
            control.rights_changed().await;
            about_claimed(control, answer(StatusCode::OK, &json!({})), owner.as_deref()).await
        }
        Err(error) => refused(control, &headers, &form, &error).await,
    }
}

async fn end(
    control: &Control,
    headers: &HeaderMap,
    tools: &str,
    form: &Form,
) -> Result<Option<String>, Error> {
    let client = authenticate(&control.oauth, headers, form).await?;
    control.oauth.revoke(&client, form.required("token")?, tools, &control.credentials).await
}

/// A GET puts secrets into logs.
pub(super) async fn only_post() -> Response {
    let body = json!({ "error": "invalid_request", "error_description": "Use POST." });
    let mut response = answer(StatusCode::METHOD_NOT_ALLOWED, &body);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

fn refusal(error: &Error) -> Response {
    let status = match error.code() {
        Code::InvalidClient => StatusCode::UNAUTHORIZED,
        Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        Code::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    };
    let description = match error {
        Error::Refused { description, .. } | Error::Unavailable(description) => description.clone(),
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
