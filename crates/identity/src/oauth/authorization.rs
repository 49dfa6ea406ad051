//! What a browser brings to the authorization endpoint, and the code that it takes away.
//!
//! Only redirects to the user's own machine are accepted, so that a code never leaves it.

use jiff::Timestamp;
use lakeport_store::{NewCode, Principal};
use url::{Host, Url};

use super::{Allowed, CLI_CLIENT, CODE_LIFETIME, Code, Error, OAuth, Resource};
use crate::opaque::OpaqueToken;

/// SHA-256 in base64url, without padding.
const CHALLENGE_CHARS: usize = 43;

/// The parameters of an authorization request, as they came.
#[derive(Debug, Clone, Default)]
pub struct Parameters {
    pub response_type: Option<String>,
    pub client_id: Option<String>,
    pub redirect_uri: Option<String>,
    pub scope: Option<String>,
    pub resource: Option<String>,
    pub state: Option<String>,
    pub code_challenge: Option<String>,
    pub code_challenge_method: Option<String>,
    pub response_mode: Option<String>,
    pub prompt: Option<String>,
    /// A parameter that would change what the request means, and that is not supported.
    pub unsupported: Option<&'static str>,
}

/// Where answers go; checked, so that errors may go there too.
#[derive(Debug, Clone)]
pub struct Redirect {
    uri: String,
    url: Url,
    state: Option<String>,
}

impl Redirect {
    /// Who may not be sent anywhere gets the error on a page.
    pub fn check(parameters: &Parameters) -> Result<Self, Error> {
        let refused = |description: &str| Error::refused(Code::InvalidRequest, description);
        if parameters.client_id.as_deref() != Some(CLI_CLIENT) {
            return Err(Error::refused(
                Code::InvalidClient,
                "client_id: only the client databricks-cli may sign users in",
            ));
        }
        let uri = parameters.redirect_uri.clone().unwrap_or_default();
        let url =
            Url::parse(&uri).map_err(|_| refused("redirect_uri: it is missing, or not a URL"))?;
        if !is_loopback(&url) {
            return Err(refused(
                "redirect_uri: it must be http://localhost:PORT or http://127.0.0.1:PORT",
            ));
        }
        Ok(Self { uri, url, state: parameters.state.clone() })
    }

    /// Scheme, host and port, for a content security policy.
    #[must_use]
    pub fn origin(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    #[must_use]
    pub fn with_code(&self, code: &OpaqueToken) -> String {
        self.with(&[("code", code.expose())])
    }

    #[must_use]
    pub fn with_error(&self, error: &Error) -> String {
        let description = match error {
            Error::Refused { description, .. } => description.as_str(),
            Error::Unavailable(_) | Error::Failed(_) => "The server could not answer.",
        };
        self.with(&[("error", error.code().as_str()), ("error_description", description)])
    }

    fn with(&self, answer: &[(&str, &str)]) -> String {
        let mut url = self.url.clone();
        let mut query = url.query_pairs_mut();
        query.extend_pairs(answer);
        if let Some(state) = &self.state {
            query.append_pair("state", state);
        }
        drop(query);
        url.into()
    }
}

/// Whether answers may be sent there.
#[must_use]
pub fn is_redirect(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    let host = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.octets() == [127, 0, 0, 1],
        _ => false,
    };
    host && url.scheme() == "http"
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
}

/// A request that a user may be asked to consent to.
#[derive(Debug, Clone)]
pub struct AuthorizationRequest {
    pub redirect: Redirect,
    allowed: Allowed,
    code_challenge: String,
}

impl AuthorizationRequest {
    /// `tools` is the URL of the tools for agents.
    pub fn check(parameters: &Parameters, redirect: &Redirect, tools: &str) -> Result<Self, Error> {
        if parameters.response_type.as_deref() != Some("code") {
            return Err(Error::refused(
                Code::UnsupportedResponseType,
                "response_type: only \"code\" is supported",
            ));
        }
        if let Some(name) = parameters.unsupported {
            return Err(Error::refused(
                Code::InvalidRequest,
                format!("{name}: it is not supported; leave it out"),
            ));
        }
        if parameters.response_mode.as_deref().is_some_and(|mode| mode != "query") {
            return Err(Error::refused(
                Code::InvalidRequest,
                "response_mode: only \"query\" is supported",
            ));
        }
        // Nobody is let in without a person who agrees.
        if parameters.prompt.as_deref() == Some("none") {
            return Err(Error::refused(
                Code::InteractionRequired,
                "prompt: a person must consent, so it cannot be \"none\"",
            ));
        }
        // An absent method means "plain" (RFC 7636), which protects nothing.
        if parameters.code_challenge_method.as_deref() != Some("S256") {
            return Err(Error::refused(
                Code::InvalidRequest,
                "code_challenge_method: only S256 is supported",
            ));
        }
        let challenge = parameters.code_challenge.clone().unwrap_or_default();
        let url_safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if challenge.len() != CHALLENGE_CHARS || !challenge.bytes().all(url_safe) {
            return Err(Error::refused(
                Code::InvalidRequest,
                "code_challenge: it must be a SHA-256 digest in base64url without padding",
            ));
        }
        let resource = Resource { asked: parameters.resource.as_deref(), tools };
        Ok(Self {
            redirect: redirect.clone(),
            allowed: Allowed::check(parameters.scope.as_deref(), &resource)?,
            code_challenge: challenge,
        })
    }

    #[must_use]
    pub fn scope(&self) -> &str {
        &self.allowed.scope
    }

    /// What tokens will be bound to; none: the API.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.allowed.resource.as_deref()
    }
}

impl OAuth {
    /// The user has consented: the code that the client exchanges.
    pub async fn authorize(
        &self,
        request: &AuthorizationRequest,
        user: &Principal,
    ) -> Result<OpaqueToken, Error> {
        let code = OpaqueToken::draw("lkpa_")?;
        let new = NewCode {
            digest: &code.digest(),
            principal_id: user.id,
            client_id: CLI_CLIENT,
            scope: request.scope(),
            resource: request.resource(),
            redirect_uri: &request.redirect.uri,
            code_challenge: &request.code_challenge,
            expires_at: Timestamp::now() + CODE_LIFETIME,
        };
        self.store.add_code(&new).await?;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: &str = "http://127.0.0.1:8080/mcp";

    fn parameters() -> Parameters {
        let some = |text: &str| Some(text.to_owned());
        Parameters {
            response_type: some("code"),
            client_id: some(CLI_CLIENT),
            redirect_uri: some("http://localhost:8020"),
            scope: some("all-apis offline_access"),
            state: some("s&t"),
            code_challenge: Some("x".repeat(43)),
            code_challenge_method: some("S256"),
            ..Parameters::default()
        }
    }

    #[test]
    fn codes_go_to_this_machine_only() {
        for good in ["http://localhost:8020", "http://127.0.0.1:1/x?y=z", "http://localhost"] {
            let ok = Parameters { redirect_uri: Some(good.to_owned()), ..parameters() };
            assert!(Redirect::check(&ok).is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost:8020",
            "https://localhost:8020",
            "http://localhost.evil.example:8020",
            "http://localhost:8020@evil.example",
            "http://evil@localhost:8020",
            "http://127.0.0.2:8020",
            "http://localhost:8020/#fragment",
            "javascript:alert(1)",
        ] {
            let evil = Parameters { redirect_uri: Some(bad.to_owned()), ..parameters() };
            assert!(Redirect::check(&evil).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_state_comes_back_escaped() {
        let redirect = Redirect::check(&parameters()).unwrap();
        let error = Error::refused(Code::AccessDenied, "no");
        let url = redirect.with_error(&error);
        assert_eq!(
            url,
            "http://localhost:8020/?error=access_denied&error_description=no&state=s%26t"
        );
    }

    #[test]
    fn plain_challenges_and_other_flows_are_refused() {
        let redirect = Redirect::check(&parameters()).unwrap();
        assert!(AuthorizationRequest::check(&parameters(), &redirect, TOOLS).is_ok());
        for bad in [
            Parameters { code_challenge_method: Some("plain".into()), ..parameters() },
            Parameters { code_challenge_method: None, ..parameters() },
            Parameters { code_challenge: None, ..parameters() },
            Parameters { code_challenge: Some("x".repeat(44)), ..parameters() },
            Parameters { response_type: Some("token".into()), ..parameters() },
            Parameters { scope: Some("root".into()), ..parameters() },
            Parameters { resource: Some("http://x.y/mcp".into()), ..parameters() },
            Parameters { response_mode: Some("fragment".into()), ..parameters() },
            Parameters { prompt: Some("none".into()), ..parameters() },
            Parameters { unsupported: Some("request_uri"), ..parameters() },
        ] {
            assert!(AuthorizationRequest::check(&bad, &redirect, TOOLS).is_err(), "{bad:?}");
        }
    }
}
