//! Logging in at an outside OpenID provider: code flow with PKCE, state and nonce.
//!
//! Owns: the requests to the provider and the checks of its answers. Never: which user here a person is.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use super::issuer::{Endpoints, Issuer};
use super::token::{Claims, TokenError};
use super::web::{WebError, fetchable};
use crate::oauth::challenge_of;
use crate::opaque::OpaqueToken;

/// A person who has gone for a coffee at the provider's page starts anew.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// This server as a client of a provider. Not `Debug`: it holds a secret.
pub struct Provider {
    pub issuer: Issuer,
    /// What people call it.
    pub title: String,
    pub client_id: String,
    pub client_secret: Option<String>,
    pub scopes: Vec<String>,
    /// The claim that is a user's name here.
    pub user_claim: String,
    /// Whether a person whose name is no user's becomes one.
    pub create_users: bool,
    /// Of our callback, as the provider knows it; none: as the browser has reached this server.
    pub redirect_uri: Option<Url>,
}

/// A login that has begun; the browser keeps it, sealed. Not `Debug`: it holds secrets.
#[derive(Serialize, Deserialize)]
pub struct Pending {
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    begun: Timestamp,
    /// Where the browser goes afterwards.
    pub then: String,
}

/// Who has logged in.
#[derive(Debug, Clone)]
pub struct Person {
    pub issuer: String,
    /// The same for as long as the person is at the provider.
    pub subject: String,
    /// None: the provider does not say it, or does not vouch for it.
    pub user_name: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The browser's part: it may begin anew.
    #[error("{0}")]
    Browser(&'static str),
    /// The provider's part.
    #[error("the provider's answer: {0}")]
    Answer(String),
    #[error(transparent)]
    Unreachable(#[from] WebError),
    #[error(transparent)]
    Failed(#[from] crate::Error),
}

type Result<T> = std::result::Result<T, ProviderError>;

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
    access_token: Option<String>,
}

impl Provider {
    /// Where the browser is sent, and what must be remembered until it comes back.
    pub async fn begin(&self, redirect_uri: String, then: String) -> Result<(Url, Pending)> {
        let endpoints = self.issuer.endpoints().await?;
        let mut url = endpoint("authorization_endpoint", endpoints.authorization_endpoint)?;
        let draw = || OpaqueToken::draw("").map(|token| token.expose().to_owned());
        let pending = Pending {
            state: draw()?,
            nonce: draw()?,
            verifier: draw()?,
            redirect_uri,
            begun: Timestamp::now(),
            then,
        };
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &pending.redirect_uri)
            .append_pair("scope", &self.scopes.join(" "))
            .append_pair("state", &pending.state)
            .append_pair("nonce", &pending.nonce)
            .append_pair("code_challenge", &challenge_of(&pending.verifier))
            .append_pair("code_challenge_method", "S256");
        Ok((url, pending))
    }

    /// The browser is back with a code.
    pub async fn finish(&self, pending: &Pending, state: &str, code: &str) -> Result<Person> {
        pending.check(state)?;
        let endpoints = self.issuer.endpoints().await?;
        let answer = self.redeem(&endpoints, pending, code).await?;
        let claims = self.issuer.verify(&answer.id_token).await.map_err(|error| match error {
            TokenError::Invalid(reason) => ProviderError::Answer(format!("its id_token: {reason}")),
            TokenError::Unreachable(error) => error.into(),
        })?;
        self.check(&claims, pending)?;
        let subject = claims.text("sub").ok_or_else(|| wrong("its id_token lacks sub"))?;
        let user_name = match self.name_in(&claims) {
            Some(name) => Some(name),
            None => {
                self.name_by_userinfo(endpoints, answer.access_token.as_deref(), subject).await?
            }
        };
        Ok(Person { issuer: self.issuer.name().to_owned(), subject: subject.to_owned(), user_name })
    }

    async fn redeem(
        &self,
        endpoints: &Endpoints,
        pending: &Pending,
        code: &str,
    ) -> Result<TokenAnswer> {
        let url = endpoint("token_endpoint", endpoints.token_endpoint.clone())?;
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", pending.redirect_uri.as_str()),
            ("code_verifier", pending.verifier.as_str()),
        ];
        let mut basic = None;
        match &self.client_secret {
            Some(secret) if endpoints.takes_basic() => basic = Some((&*self.client_id, &**secret)),
            Some(secret) => form.extend([
                ("client_id", self.client_id.as_str()),
                ("client_secret", secret.as_str()),
            ]),
            None => form.push(("client_id", &self.client_id)),
        }
        let answer = self.issuer.web().post(&url, &form, basic).await?;
        if answer.status != 200 {
            return Err(wrong(format!("{url} answered {}", answer.status)));
        }
        serde_json::from_slice(&answer.body)
            .map_err(|_| wrong("it is not what OpenID Connect says"))
    }

    /// OpenID Connect Core 1.0, 3.1.3.7; signature, issuer and times were checked before.
    fn check(&self, claims: &Claims, pending: &Pending) -> Result<()> {
        let audiences = claims.audiences();
        let for_us = audiences.contains(&self.client_id.as_str());
        let by_us = match claims.text("azp") {
            Some(party) => party == self.client_id,
            None => audiences.len() == 1,
        };
        if !for_us || !by_us {
            return Err(wrong("its id_token is for another client"));
        }
        let nonce = claims.text("nonce").unwrap_or_default();
        if verify_slices_are_equal(nonce.as_bytes(), pending.nonce.as_bytes()).is_err() {
            return Err(wrong("its id_token is of another login"));
        }
        Ok(())
    }

    /// An address that the provider has not verified may be anybody's.
    fn name_in(&self, claims: &Claims) -> Option<String> {
        let vouched = self.user_claim != "email" || claims.is_true("email_verified");
        claims.text(&self.user_claim).filter(|_| vouched).map(str::to_owned)
    }

    /// Many providers leave names out of the id_token.
    async fn name_by_userinfo(
        &self,
        endpoints: Endpoints,
        access_token: Option<&str>,
        subject: &str,
    ) -> Result<Option<String>> {
        let (Some(url), Some(token)) = (endpoints.userinfo_endpoint, access_token) else {
            return Ok(None);
        };
        let url = endpoint("userinfo_endpoint", Some(url))?;
        let answer = self.issuer.web().get(&url, Some(token)).await?;
        if answer.status != 200 {
            return Err(wrong(format!("{url} answered {}", answer.status)));
        }
        let claims = Claims::read(&answer.body)
            .filter(|claims| claims.text("sub") == Some(subject))
            .ok_or_else(|| wrong(format!("{url} answered for somebody else")))?;
        Ok(self.name_in(&claims))
    }
}

impl Pending {
    fn check(&self, state: &str) -> Result<()> {
        let age = Timestamp::now().duration_since(self.begun);
        if verify_slices_are_equal(state.as_bytes(), self.state.as_bytes()).is_err()
            || age.is_negative()
            || age.unsigned_abs() > PATIENCE
        {
            return Err(ProviderError::Browser("it was begun in another window, or too long ago"));
        }
        Ok(())
    }
}

fn endpoint(field: &str, url: Option<String>) -> Result<Url> {
    let url = url.ok_or_else(|| wrong(format!("its configuration lacks {field}")))?;
    fetchable(&url).map_err(|problem| wrong(format!("its {field}: {problem}")))
}

fn wrong(problem: impl Into<String>) -> ProviderError {
    ProviderError::Answer(problem.into())
}
