//! The authorization endpoint: a browser comes with a client's request, a person signs in and decides,
//! and the browser takes the answer back to the client.

use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use lakeport_api::scim::Password;
use lakeport_control::Control;
use lakeport_identity::oauth::{
    AuthorizationRequest, CLI_CLIENT, Code, Error, Parameters, Redirect,
};
use lakeport_store::Principal;

use super::browser::Browser;
use super::form::{Form, Posted};
use super::page::Page;
use super::{about, about_claimed, provider, send_to};
use crate::http::Peer;
use crate::mcp::{Access, resource, scope_access};
use crate::rest::App;
use crate::rest::discovery::Scheme;

const TOO_MANY: &str =
    "Too many wrong passwords have come from your network. Wait a minute, then try again.";

/// A request that may be answered, and its query, which the form carries on.
struct Asked {
    request: AuthorizationRequest,
    query: String,
}

pub(super) async fn ask(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = match check(query, &resource(scheme, &headers)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let browser = Browser::of(scheme, &headers);
    match browser.user(&app.control).await {
        Ok(user) => show(&app.control, &browser, &asked, user.as_ref(), None),
        Err(error) => failed(&error.into()),
    }
}

pub(super) async fn decide(
    State(app): State<App>,
    Extension(scheme): Extension<Scheme>,
    Extension(peer): Extension<Peer>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Posted(form): Posted,
) -> Response {
    let asked = match check(query, &resource(scheme, &headers)) {
        Ok(asked) => asked,
        Err(response) => return *response,
    };
    let browser = Browser::of(scheme, &headers);
    match decided(&app, peer, &browser, &asked, form).await {
        Ok(response) => response,
        Err(error @ Error::Refused { .. }) => refused(&error),
        Err(error) => failed(&error),
    }
}

/// The client and the place to answer come first: without them, there is nobody to send an error to.
fn check(query: Option<String>, tools: &str) -> Result<Asked, Box<Response>> {
    let query = query.unwrap_or_default();
    let form = Form::parse(query.as_bytes()).map_err(|error| Box::new(refused(&error)))?;
    let parameters = Parameters {
        response_type: form.owned("response_type"),
        client_id: form.owned("client_id"),
        redirect_uri: form.owned("redirect_uri"),
        scope: form.owned("scope"),
        resource: form.owned("resource"),
        state: form.owned("state"),
        code_challenge: form.owned("code_challenge"),
        code_challenge_method: form.owned("code_challenge_method"),
        response_mode: form.owned("response_mode"),
        prompt: form.owned("prompt"),
        unsupported: ["request", "request_uri", "authorization_details"]
            .into_iter()
            .find(|name| form.get(name).is_some()),
    };
    let redirect = Redirect::check(&parameters).map_err(|error| Box::new(refused(&error)))?;
    match AuthorizationRequest::check(&parameters, &redirect, tools) {
        Ok(request) => Ok(Asked { request, query }),
        Err(error) => Err(Box::new(send_to(&redirect.with_error(&error)))),
    }
}

async fn decided(
    app: &App,
    peer: Peer,
    browser: &Browser,
    asked: &Asked,
    form: Result<Form, Error>,
) -> Result<Response, Error> {
    let control = &app.control;
    let form = form?;
    let signed_in = browser.user(control).await?;
    if !browser.is_our_form(control, &form) {
        let problem = "This form was out of date. Please try again.";
        return Ok(show(control, browser, asked, signed_in.as_ref(), Some(problem)));
    }
    match form.get("decision") {
        Some("allow") => {}
        Some("switch") => {
            let mut response = show(control, browser, asked, None, None);
            browser.sign_out(control, &mut response).await?;
            return Ok(about(response, signed_in.as_ref()));
        }
        _ => {
            let denied = Error::refused(Code::AccessDenied, "The user has refused.");
            let response = send_to(&asked.request.redirect.with_error(&denied));
            return Ok(about(response, signed_in.as_ref()));
        }
    }
    if let Some(user) = signed_in {
        return grant(control, asked, &user).await;
    }
    let guess = match app.guesses.begin(peer.0.ip().into()) {
        Ok(guess) => guess,
        Err(wait) => {
            return Ok(too_many(show(control, browser, asked, None, Some(TOO_MANY)), wait));
        }
    };
    let Some(user) = by_password(control, &form).await? else {
        let problem = "That name and password do not belong together.";
        let refused = show(control, browser, asked, None, Some(problem));
        return Ok(about_claimed(control, refused, form.get("username")).await);
    };
    guess.was_right();
    let mut response = grant(control, asked, &user).await?;
    browser.sign_in(control, &user, &mut response).await?;
    Ok(response)
}

/// RFC 6585, 4.
fn too_many(mut page: Response, wait: Duration) -> Response {
    *page.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    page
}

async fn by_password(control: &Control, form: &Form) -> Result<Option<Principal>, Error> {
    let (name, password) = (form.required("username")?, form.required("password")?);
    let user = control.user_by_password(name, Password(password.to_owned())).await;
    user.map_err(|error| {
        tracing::error!(error = error.message(), "a password could not be checked");
        Error::refused(Code::ServerError, "The server could not check the password.")
    })
}

async fn grant(control: &Control, asked: &Asked, user: &Principal) -> Result<Response, Error> {
    let code = control.oauth.authorize(&asked.request, user).await?;
    tracing::info!(user = user.user_name, scope = asked.request.scope(), "a client was allowed in");
    Ok(about(send_to(&asked.request.redirect.with_code(&code)), user))
}

fn show(
    control: &Control,
    browser: &Browser,
    asked: &Asked,
    user: Option<&Principal>,
    problem: Option<&str>,
) -> Response {
    let page = Page::new("Allow access")
        .alert(problem)
        .text(&who_asks(asked.request.redirect.origin()))
        .text(match asked.request.resource() {
            None => "It asks to use Lakeport in your name, with all rights that you have.",
            Some(_) => tools_consent(asked.request.scope()),
        });
    let proof = browser.proof(control);
    let action = format!("/oidc/v1/authorize?{}", asked.query);
    let page = match user {
        Some(user) => page.text(&format!("You are signed in as {}.", user.user_name)).form(
            &action,
            &proof,
            |page| {
                page.button("Allow", "allow", true).button("Deny", "deny", false).button(
                    "Use another account",
                    "switch",
                    false,
                )
            },
        ),
        None => {
            let page = page.form(&action, &proof, |page| {
                page.field("User name", "username", "text", "username")
                    .field("Password", "password", "password", "current-password")
                    .button("Sign in and allow", "allow", true)
                    .button("Deny", "deny", false)
            });
            provider::link(control, page, Some(&asked.query))
        }
    };
    let status = if problem.is_some() { StatusCode::UNAUTHORIZED } else { StatusCode::OK };
    let mut response = page.leads_to(asked.request.redirect.origin()).response(status);
    browser.keep(&mut response);
    response
}

/// What is known of the client. Every public client has the same id, so the id says nothing about who it is.
fn who_asks(origin: String) -> String {
    format!(
        "A program on this computer, which listens at {origin} and uses the client id \
         \"{CLI_CLIENT}\", wants to log in. Any program can use this id: allow it only if you have \
         just started it yourself."
    )
}

/// What an agent could do at its worst.
fn tools_consent(scope: &str) -> &'static str {
    match scope_access(scope) {
        None => "It asks who you are, and for nothing else.",
        Some(Access::Observe) => {
            "It asks to look in your name, with Lakeport's tools, at your \
             instances and at what your databases hold. It cannot change anything."
        }
        Some(Access::Manage) => {
            "It asks to use Lakeport's tools in your name: to look at your \
             databases, to make, change and delete instances and synced tables, and to get \
             passwords of databases."
        }
        Some(Access::Write) => {
            "It asks to use all of Lakeport's tools in your name: to make, \
             change and delete instances and synced tables, and to run any SQL in your databases."
        }
    }
}

pub(super) fn refused(error: &Error) -> Response {
    Page::new("This request cannot be answered")
        .alert(Some(&error.to_string()))
        .text("Start the login again from the program that has opened this page.")
        .response(StatusCode::BAD_REQUEST)
}

pub(super) fn failed(error: &Error) -> Response {
    tracing::error!(%error, "a login page failed");
    Page::new("Something went wrong")
        .text("The server could not answer; its log says why.")
        .response(StatusCode::INTERNAL_SERVER_ERROR)
}
