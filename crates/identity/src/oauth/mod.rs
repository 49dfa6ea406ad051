//! OAuth 2.0 for the official clients: what a grant is, and what it is exchanged for.
//!
//! Owns: clients, codes, refresh tokens, access tokens. Never: HTTP, pages, who a browser's user is.

mod access;
mod authorization;
mod client;
mod error;
mod exchange;
mod federation;
mod secret;

use std::sync::Arc;
use std::time::Duration;

use lakeport_store::{Principal, Store};
use uuid::Uuid;

use crate::{CredentialError, Result, SigningKeys};
use access::AccessTokens;
#[cfg(test)]
pub(crate) use access::principal_for_tests;

pub use authorization::{AuthorizationRequest, Parameters, Redirect};
pub use client::{CLI_CLIENT, Client};
pub use error::{Code, Error};
pub use exchange::Tokens;
pub(crate) use exchange::challenge_of;
pub use federation::{Exchange, TOKEN_EXCHANGE, TrustedIssuer, TrustedIssuers};
pub use secret::make_secret;

/// What a client may ask for.
pub const SCOPES: &[&str] = &["all-apis", "offline_access"];

/// Asks for a refresh token.
const OFFLINE: &str = "offline_access";
const CODE_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Counted anew at each use.
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// The authorization server of one installation.
pub struct OAuth {
    store: Store,
    access: AccessTokens,
    issuers: TrustedIssuers,
}

/// Why a bearer token is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum BearerError {
    #[error("the access token is {0}")]
    Token(#[from] CredentialError),
    /// Well made, but revoked, or its owner is gone.
    #[error("the access token is not valid any more")]
    Revoked,
    #[error(transparent)]
    Failed(#[from] crate::Error),
}

impl OAuth {
    #[must_use]
    pub fn new(
        store: Store,
        keys: Arc<SigningKeys>,
        workspace_id: &str,
        issuers: TrustedIssuers,
    ) -> Self {
        Self { store, access: AccessTokens::new(keys, workspace_id), issuers }
    }

    /// Access tokens that are issued from now on live for so long, at most for [`MAX_TOKEN_LIFETIME`].
    ///
    /// [`MAX_TOKEN_LIFETIME`]: crate::MAX_TOKEN_LIFETIME
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.access.lifetime = lifetime.min(crate::MAX_TOKEN_LIFETIME);
        self
    }

    /// The owner of an access token that is good at this moment, the token's id, and what it came of.
    pub async fn bearer(
        &self,
        token: &str,
    ) -> std::result::Result<(Principal, String, Uuid), BearerError> {
        let claims = self.access.verify(token)?;
        let owner = self
            .store
            .principal_of_access_token(claims.principal, &claims.jti, claims.origin)
            .await
            .map_err(crate::Error::from)?;
        owner.map(|owner| (owner, claims.jti, claims.origin)).ok_or(BearerError::Revoked)
    }
}

/// The scope that is granted: what was asked for, if all of it is known; everything if nothing was.
fn granted_scope(asked: Option<&str>) -> std::result::Result<String, Error> {
    let asked: Vec<_> = asked.unwrap_or_default().split_ascii_whitespace().collect();
    if let Some(unknown) = asked.iter().find(|scope| !SCOPES.contains(scope)) {
        return Err(Error::refused(
            Code::InvalidScope,
            format!("scope: \"{unknown}\" is not known; use one of: {}", SCOPES.join(" ")),
        ));
    }
    Ok(if asked.is_empty() { String::from(SCOPES[0]) } else { asked.join(" ") })
}

fn has_offline(scope: &str) -> bool {
    scope.split(' ').any(|scope| scope == OFFLINE)
}

/// How [`Result`] of this crate becomes this module's.
fn failed<T>(result: Result<T>) -> std::result::Result<T, Error> {
    result.map_err(Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_scopes_are_refused_by_name() {
        assert_eq!(granted_scope(None).unwrap(), "all-apis");
        assert_eq!(
            granted_scope(Some("all-apis  offline_access")).unwrap(),
            "all-apis offline_access"
        );
        let error = granted_scope(Some("all-apis everything")).unwrap_err();
        assert!(error.to_string().contains("everything"));
    }
}
