//! One-time login links, and what a signed-in person may do here: choose a password, sign out.

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lakeport_api::scim::Password;
use lakeport_control::{Control, Kind};
use lakeport_identity::login;
use lakeport_identity::oauth::Error;
use lakeport_store::Principal;

use super::authorize::{failed, refused};
use super::browser::Browser;
use super::form::{Form, Posted, invalid};
use super::page::Page;
use super::{about, provider, send_to};
use crate::rest::App;
use crate::rest::discovery::Scheme;

/// Shows whose link it is. Only the button uses it up: programs follow links too.
pub(super) async fn follow_link(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let browser = Browser::of(scheme, &headers);
    answer(offer(&app.control, &browser, query.as_deref().unwrap_or_default()).await, &browser)
}

async fn offer(control: &Control, browser: &Browser, query: &str) -> Result<Response, Error> {
    let form = Form::parse(query.as_bytes())?;
    let link = form.required("link")?;
    let Some(user) = login::owner_of_link(&control.store, link).await? else {
        return Ok(dead_link());
    };
    let page = Page::new("Sign in").text(&format!("This link signs you in as {}.", user.user_name));
    let page = page.form("/oidc/login", &browser.proof(control), |page| {
        page.hidden("link", link).button("Sign in", "allow", true)
    });
    Ok(page.response(StatusCode::OK))
}

fn dead_link() -> Response {
    Page::new("This link does not work")
        .text("It was used before, or it is older than 15 minutes. Make a new one with: lakeport auth login-link USER")
        .response(StatusCode::GONE)
}

pub(super) async fn use_link(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Posted(form): Posted,
) -> Response {
    let browser = Browser::of(scheme, &headers);
    answer(redeem(&app.control, &browser, form).await, &browser)
}

async fn redeem(
    control: &Control,
    browser: &Browser,
    form: Result<Form, Error>,
) -> Result<Response, Error> {
    let form = our_form(control, browser, form)?;
    let Some(user) = login::use_link(&control.store, form.required("link")?).await? else {
        return Ok(dead_link());
    };
    let mut response = send_to("/oidc/account");
    browser.sign_in(control, &user, &mut response).await?;
    Ok(about(response, &user))
}

pub(super) async fn show(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
) -> Response {
    let browser = Browser::of(scheme, &headers);
    let shown = browser.user(&app.control).await.map(|user| match user {
        Some(user) => account(&app.control, &browser, &user, None, StatusCode::OK),
        None => signed_out(&app.control),
    });
    answer(shown.map_err(Error::from), &browser)
}

pub(super) async fn choose_password(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Posted(form): Posted,
) -> Response {
    let browser = Browser::of(scheme, &headers);
    answer(set_password(&app.control, &browser, form).await, &browser)
}

async fn set_password(
    control: &Control,
    browser: &Browser,
    form: Result<Form, Error>,
) -> Result<Response, Error> {
    let form = our_form(control, browser, form)?;
    let Some(user) = browser.user(control).await? else { return Ok(signed_out(control)) };
    let password = Password(form.required("password")?.to_owned());
    let (said, status) = match control.choose_password(&user, password).await {
        Ok(()) => (String::from("Your password is set."), StatusCode::OK),
        Err(error) if error.kind() == Kind::InvalidArgument => {
            (error.message().to_owned(), StatusCode::BAD_REQUEST)
        }
        Err(error) => {
            tracing::error!(error = error.message(), "a password could not be set");
            return Ok(failed_page());
        }
    };
    Ok(about(account(control, browser, &user, Some(&said), status), &user))
}

pub(super) async fn sign_out(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Posted(form): Posted,
) -> Response {
    let browser = Browser::of(scheme, &headers);
    answer(leave(&app.control, &browser, form).await, &browser)
}

async fn leave(
    control: &Control,
    browser: &Browser,
    form: Result<Form, Error>,
) -> Result<Response, Error> {
    our_form(control, browser, form)?;
    let user = browser.user(control).await?;
    let mut response = Page::new("You are signed out").response(StatusCode::OK);
    browser.sign_out(control, &mut response).await?;
    Ok(about(response, user.as_ref()))
}

fn our_form(
    control: &Control,
    browser: &Browser,
    form: Result<Form, Error>,
) -> Result<Form, Error> {
    let form = form?;
    if browser.is_our_form(control, &form) {
        return Ok(form);
    }
    Err(invalid("The form was out of date, or not from this server. Open the page again."))
}

fn account(
    control: &Control,
    browser: &Browser,
    user: &Principal,
    said: Option<&str>,
    status: StatusCode,
) -> Response {
    let proof = browser.proof(control);
    Page::new("Your account")
        .alert(said)
        .text(&format!("You are signed in as {}.", user.user_name))
        .text("Programs that ask for a login in this browser need only your consent now.")
        .form("/oidc/password", &proof, |page| {
            page.field("New password", "password", "password", "new-password").button(
                "Set password",
                "set",
                true,
            )
        })
        .form("/oidc/logout", &proof, |page| page.button("Sign out", "leave", false))
        .response(status)
}

fn signed_out(control: &Control) -> Response {
    let page = Page::new("You are not signed in")
        .text("Open a login link. An administrator makes one with: lakeport auth login-link USER");
    provider::link(control, page, None).response(StatusCode::UNAUTHORIZED)
}

pub(super) fn failed_page() -> Response {
    Page::new("Something went wrong")
        .text("The server could not answer; its log says why.")
        .response(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(super) fn answer(result: Result<Response, Error>, browser: &Browser) -> Response {
    let mut response = match result {
        Ok(response) => response,
        Err(error @ Error::Refused { .. }) => refused(&error),
        Err(error) => failed(&error),
    };
    browser.keep(&mut response);
    response
}
