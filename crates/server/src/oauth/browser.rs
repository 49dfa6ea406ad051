//! What a browser carries: the session's cookie, and the proof that a form is our own.
//!
//! The form's proof is a keyed digest of a random cookie: another site can neither read the cookie nor
//! make the digest.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use lakeport_control::Control;
use lakeport_identity::login;
use lakeport_store::Principal;
use uuid::Uuid;

use super::form::Form;
use crate::rest::discovery::Scheme;

const SESSION: &str = "lakeport_session";
const CSRF: &str = "lakeport_csrf";
const LOGIN: &str = "lakeport_login";

pub(super) struct Browser {
    scheme: Scheme,
    session: Option<String>,
    login: Option<String>,
    csrf: String,
    csrf_is_new: bool,
}

impl Browser {
    pub(super) fn of(scheme: Scheme, headers: &HeaderMap) -> Self {
        let csrf = cookie(headers, CSRF);
        Self {
            scheme,
            session: cookie(headers, SESSION),
            login: cookie(headers, LOGIN),
            csrf_is_new: csrf.is_none(),
            csrf: csrf.unwrap_or_else(|| Uuid::new_v4().simple().to_string()),
        }
    }

    pub(super) async fn user(
        &self,
        control: &Control,
    ) -> lakeport_identity::Result<Option<Principal>> {
        match &self.session {
            Some(session) => login::session_user(&control.store, session).await,
            None => Ok(None),
        }
    }

    /// The hidden field of a form of ours.
    pub(super) fn proof(&self, control: &Control) -> String {
        let tag = control.vault.tag("form", &self.csrf);
        tag.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn is_our_form(&self, control: &Control, form: &Form) -> bool {
        let sent = form.get("proof").unwrap_or_default();
        let right = self.proof(control);
        !self.csrf_is_new && verify_slices_are_equal(sent.as_bytes(), right.as_bytes()).is_ok()
    }

    /// Remembers the cookie that this browser's forms are proved by.
    pub(super) fn keep(&self, response: &mut Response) {
        if self.csrf_is_new {
            self.set(response, CSRF, &self.csrf, "");
        }
    }

    pub(super) async fn sign_in(
        &self,
        control: &Control,
        user: &Principal,
        response: &mut Response,
    ) -> lakeport_identity::Result<()> {
        let session = login::start_session(&control.store, user).await?;
        self.set(response, SESSION, session.expose(), "");
        tracing::info!(user = user.user_name, "signed in with a browser");
        Ok(())
    }

    pub(super) async fn sign_out(
        &self,
        control: &Control,
        response: &mut Response,
    ) -> lakeport_identity::Result<()> {
        if let Some(session) = &self.session {
            login::end_session(&control.store, session).await?;
        }
        self.set(response, SESSION, "", "; Max-Age=0");
        Ok(())
    }

    /// A login at the outside provider that has begun.
    pub(super) fn login(&self) -> Option<&str> {
        self.login.as_deref()
    }

    pub(super) fn remember_login(&self, sealed: &str, response: &mut Response) {
        self.set(response, LOGIN, sealed, "");
    }

    pub(super) fn forget_login(&self, response: &mut Response) {
        self.set(response, LOGIN, "", "; Max-Age=0");
    }

    /// The path keeps them from other servers of this host, such as a client's own listener.
    fn set(&self, response: &mut Response, name: &str, value: &str, more: &str) {
        let secure = if self.scheme.0 == "https" { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path=/oidc; HttpOnly; SameSite=Lax{secure}{more}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, value)| *found == name && !value.is_empty())
        .map(|(_, value)| value.to_owned())
}
