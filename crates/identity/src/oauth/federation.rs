//! Token exchange (RFC 8693): a workload's token of a trusted issuer becomes an access token of ours.
//!
//! The operator says which issuers are trusted; a policy says for whom a token of one stands. A token
//! without a policy is worth nothing.

use lakeport_store::FederationPolicy;
use uuid::Uuid;

use super::{Allowed, Code, Error, OAuth, Resource, Tokens, failed};
use crate::outside::{Claims, Issuer, TokenError, claimed_issuer};

/// The grant type, as clients write it.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

const SUBJECT_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Under which client id tokens go that were not asked for by a service principal.
const NO_CLIENT: &str = "token-federation";

/// What a client wants to exchange. Not `Debug`: it holds a token.
pub struct Exchange<'a> {
    /// The application id of the service principal to become; none for whoever the token names.
    pub client_id: Option<&'a str>,
    pub subject_token: &'a str,
    pub subject_token_type: &'a str,
    pub requested_token_type: Option<&'a str>,
    pub scope: Option<&'a str>,
    pub resource: Resource<'a>,
}

/// The issuers that the operator trusts.
pub struct TrustedIssuers(Vec<TrustedIssuer>);

pub struct TrustedIssuer {
    pub issuer: Issuer,
    /// Whom tokens must be meant for, where a policy says nothing of it.
    pub audiences: Vec<String>,
}

impl TrustedIssuers {
    #[must_use]
    pub fn new(issuers: Vec<TrustedIssuer>) -> Self {
        Self(issuers)
    }

    #[must_use]
    pub fn trusts(&self, issuer: &str) -> bool {
        self.find(issuer).is_some()
    }

    fn find(&self, issuer: &str) -> Option<&TrustedIssuer> {
        self.0.iter().find(|trusted| trusted.issuer.name() == issuer)
    }
}

impl OAuth {
    /// Whether policies may name this issuer.
    #[must_use]
    pub fn trusts(&self, issuer: &str) -> bool {
        self.issuers.trusts(issuer)
    }

    pub async fn exchange_token(&self, exchange: &Exchange<'_>) -> Result<Tokens, Error> {
        check_types(exchange)?;
        let allowed = Allowed::check(exchange.scope, &exchange.resource)?;
        let trusted = claimed_issuer(exchange.subject_token);
        let trusted = trusted.as_deref().and_then(|issuer| self.issuers.find(issuer));
        let trusted = trusted.ok_or_else(|| {
            refused(
                "subject_token: it is not a JSON web token of an issuer that this server trusts",
            )
        })?;
        let claims = trusted.issuer.verify(exchange.subject_token).await.map_err(unverified)?;
        let (policy, name) = self.policy(exchange, trusted, &claims).await?;
        let owner = self.store.federated_principal(&policy, &name).await?;
        let owner = owner.ok_or_else(|| no_policy(trusted, &claims))?;
        let client = exchange.client_id.unwrap_or(NO_CLIENT);
        let (access_token, expires_in) =
            failed(self.access.issue(&owner, client, &allowed, policy.origin))?;
        tracing::info!(
            issuer = trusted.issuer.name(),
            subject = name,
            policy = policy.policy_id,
            principal = owner.user_name,
            "an outside token was exchanged"
        );
        let scope = allowed.scope;
        Ok(Tokens { owner, access_token, refresh_token: None, expires_in, scope })
    }

    /// The first policy that the token meets, and the subject by which it does.
    async fn policy(
        &self,
        exchange: &Exchange<'_>,
        trusted: &TrustedIssuer,
        claims: &Claims,
    ) -> Result<(FederationPolicy, String), Error> {
        let none = || no_policy(trusted, claims);
        let application =
            exchange.client_id.map(Uuid::parse_str).transpose().map_err(|_| none())?;
        let issuer = trusted.issuer.name();
        let policies = self.store.federation_policies_for(issuer, application).await?;
        let met = policies.into_iter().find_map(|policy| {
            let subject = subject_by(&policy, &trusted.audiences, claims)?.to_owned();
            Some((policy, subject))
        });
        met.ok_or_else(none)
    }
}

fn check_types(exchange: &Exchange<'_>) -> Result<(), Error> {
    if !SUBJECT_TYPES.contains(&exchange.subject_token_type) {
        return Err(refused(format!("subject_token_type: use {}", SUBJECT_TYPES[0])));
    }
    match exchange.requested_token_type {
        None | Some(ACCESS_TOKEN) => Ok(()),
        Some(_) => Err(refused(format!("requested_token_type: only {ACCESS_TOKEN} is issued"))),
    }
}

/// Whom the token names, if it is meant for us and the policy allows it.
fn subject_by<'a>(
    policy: &FederationPolicy,
    default_audiences: &[String],
    claims: &'a Claims,
) -> Option<&'a str> {
    let spec = &policy.spec;
    let wanted = if spec.audiences().is_empty() { default_audiences } else { spec.audiences() };
    let for_us = claims.audiences().iter().any(|audience| wanted.iter().any(|w| w == audience));
    let subject = claims.text(spec.subject_claim())?;
    let allowed = spec.subject.as_deref().is_none_or(|wanted| wanted == subject);
    (for_us && allowed).then_some(subject)
}

fn unverified(error: TokenError) -> Error {
    match error {
        TokenError::Invalid(reason) => refused(format!("subject_token: {reason}")),
        TokenError::Unreachable(error) => Error::Unavailable(error.to_string()),
    }
}

/// It repeats what the token says, which its sender knows; never what the policies ask for.
fn no_policy(trusted: &TrustedIssuer, claims: &Claims) -> Error {
    refused(format!(
        "subject_token: no federation policy of this client accepts it, or nobody active is behind the \
         policy; the token has iss \"{}\", sub \"{}\", aud \"{}\"",
        trusted.issuer.name(),
        claims.text("sub").unwrap_or_default(),
        claims.audiences().join(" "),
    ))
}

/// RFC 8693, 2.2.2: a token that is not acceptable makes the request invalid.
fn refused(description: impl Into<String>) -> Error {
    Error::refused(Code::InvalidRequest, description)
}
