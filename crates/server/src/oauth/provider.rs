//! Logging in at the outside provider: the way there, and the way back.
//!
//! What must be remembered in between is sealed into a cookie, so that every server of the installation
//! understands it, and so that an answer counts only in the browser that has asked.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lakeport_control::{Control, Kind};
use lakeport_identity::oauth::Error;
use lakeport_identity::outside::{Pending, Provider, ProviderError};

use super::account::{answer, failed_page};
use super::browser::Browser;
use super::form::{Form, invalid};
use super::page::Page;
use super::{about, send_to};
use crate::rest::App;
use crate::rest::discovery::{Scheme, base_url};

pub(super) const START: &str = "/oidc/provider";
pub(crate) const CALLBACK: &str = "/oidc/provider/callback";

const SEAL: &str = "login at the provider";
/// With the rest of the cookie, below what browsers keep.
const MAX_QUERY: usize = 2000;

/// The page's link to the provider, which brings the browser back to a client's request, if there is one.
pub(super) fn link(control: &Control, page: Page, request: Option<&str>) -> Page {
    let Some(provider) = &control.provider else { return page };
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    if let Some(request) = request {
        query.append_pair("request", request);
    }
    let href = format!("{START}?{}", query.finish());
    page.link(&format!("Sign in with {}", provider.title), &href)
}

pub(super) async fn start(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let browser = Browser::of(scheme, &headers);
    let base = base_url(scheme, &headers);
    let query = query.unwrap_or_default();
    answer(leave(&app.control, &browser, &base, &query).await, &browser)
}

async fn leave(
    control: &Control,
    browser: &Browser,
    base: &str,
    query: &str,
) -> Result<Response, Error> {
    let provider = configured(control)?;
    let form = Form::parse(query.as_bytes())?;
    let then = match form.get("request") {
        Some(request) if !is_query(request) => {
            return Err(invalid(format!("request: it is no query of at most {MAX_QUERY} bytes")));
        }
        Some(request) => format!("/oidc/v1/authorize?{request}"),
        None => String::from("/oidc/account"),
    };
    let callback = provider.redirect_uri.as_ref();
    let callback = callback.map_or_else(|| format!("{base}{CALLBACK}"), ToString::to_string);
    match provider.begin(callback, then).await {
        Ok((url, pending)) => {
            let mut response = send_to(url.as_str());
            browser.remember_login(&sealed(control, &pending)?, &mut response);
            Ok(response)
        }
        Err(error) => told(provider, error),
    }
}

pub(super) async fn callback(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let browser = Browser::of(scheme, &headers);
    let came = arrive(&app.control, &browser, query.as_deref().unwrap_or_default()).await;
    let mut response = answer(came, &browser);
    browser.forget_login(&mut response);
    response
}

async fn arrive(control: &Control, browser: &Browser, query: &str) -> Result<Response, Error> {
    let provider = configured(control)?;
    let form = Form::parse(query.as_bytes())?;
    let Some(pending) = browser.login().and_then(|sealed| opened(control, sealed)) else {
        return Ok(again("This login was begun in another browser, or too long ago."));
    };
    // RFC 9207: another issuer's answer, mixed up with this login.
    if form.get("iss").is_some_and(|issuer| issuer != provider.issuer.name()) {
        return Ok(again("The answer came from another provider."));
    }
    if let Some(refusal) = form.get("error") {
        tracing::info!(issuer = provider.issuer.name(), refusal, "the provider refused a login");
        return Ok(again(&format!("{} has not let you in.", provider.title)));
    }
    let (state, code) = (form.required("state")?, form.required("code")?);
    let person = match provider.finish(&pending, state, code).await {
        Ok(person) => person,
        Err(error) => return told(provider, error),
    };
    let user = match control.user_of_person(&person, provider.create_users).await {
        Ok(user) => user,
        Err(error) if matches!(error.kind(), Kind::PermissionDenied | Kind::InvalidArgument) => {
            tracing::info!(person.subject, reason = error.message(), "a person is no user here");
            return Ok(Page::new("You cannot sign in")
                .alert(Some(error.message()))
                .response(StatusCode::FORBIDDEN));
        }
        Err(error) => {
            tracing::error!(error = error.message(), "a person could not be looked up");
            return Ok(failed_page());
        }
    };
    let mut response = send_to(&pending.then);
    browser.sign_in(control, &user, &mut response).await?;
    Ok(about(response, &user))
}

/// As it stands in a URL, and so may stand in a header.
fn is_query(text: &str) -> bool {
    text.len() <= MAX_QUERY && text.bytes().all(|b| b.is_ascii_graphic())
}

fn configured(control: &Control) -> Result<&Provider, Error> {
    let none = || invalid("This server has no outside login provider.");
    control.provider.as_ref().ok_or_else(none)
}

fn told(provider: &Provider, error: ProviderError) -> Result<Response, Error> {
    match error {
        ProviderError::Failed(error) => Err(error.into()),
        ProviderError::Browser(problem) => {
            Ok(again(&format!("This login cannot go on: {problem}.")))
        }
        ProviderError::Answer(_) | ProviderError::Unreachable(_) => {
            tracing::warn!(issuer = provider.issuer.name(), %error, "a login at the provider failed");
            Ok(Page::new("The provider does not answer")
                .alert(Some(&format!("{} cannot be used at the moment.", provider.title)))
                .text("Try again, or sign in another way. The server's log says more.")
                .response(StatusCode::BAD_GATEWAY))
        }
    }
}

fn again(problem: &str) -> Response {
    Page::new("Sign in again")
        .alert(Some(problem))
        .text("Start the login again from the program or the page that you came from.")
        .response(StatusCode::BAD_REQUEST)
}

fn sealed(control: &Control, pending: &Pending) -> Result<String, Error> {
    let json = serde_json::to_vec(pending)
        .map_err(|_| lakeport_identity::Error::Crypto("writing down a login"))?;
    Ok(URL_SAFE_NO_PAD.encode(control.vault.seal(SEAL, &json)?))
}

fn opened(control: &Control, sealed: &str) -> Option<Pending> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    serde_json::from_slice(&control.vault.unseal(SEAL, &sealed).ok()?).ok()
}
