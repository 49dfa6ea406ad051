//! OAuth 2.0 for the official clients: what a grant is, and what it is exchanged for.
//!
//! Owns: clients, codes, refresh tokens, access tokens. Never: HTTP, pages, who a browser's user is.

mod access;
mod authorization;
mod client;
mod error;
mod exchange;
mod federation;
mod scope;
mod secret;

use std::sync::Arc;
use std::time::Duration;

use lakeport_store::{Principal, Store};
use uuid::Uuid;

use crate::{CredentialError, Result, SigningKeys};
use access::AccessTokens;
#[cfg(test)]
pub(crate) use access::principal_for_tests;
use scope::{Allowed, has_offline};

pub use authorization::{AuthorizationRequest, Parameters, Redirect, is_redirect};
pub use client::{CLI_CLIENT, Client};
pub use error::{Code, Error};
pub use exchange::Tokens;
pub(crate) use exchange::challenge_of;
pub use federation::{Exchange, TOKEN_EXCHANGE, TrustedIssuer, TrustedIssuers};
pub use scope::{ALL_APIS, Resource, SCOPES, TOOLS};
pub use secret::make_secret;

const CODE_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// Counted anew at each use.
const REFRESH_LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);
/// Official clients refresh one login from several processes at once, without a lock between them. They are
/// apart by the start of a process and a slow request; a thief has no longer than that.
const REFRESH_GRACE: Duration = Duration::from_secs(10);

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

/// Not `Debug`: it holds a token.
pub struct Bound {
    pub scope: String,
    /// The same token for the API: with the same id and origin it ends when that one does. It never leaves
    /// this process.
    pub api_token: String,
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

    /// What a token that is bound to `resource` is worth. Whether it still holds is for
    /// [`bearer`](Self::bearer) to say of its twin.
    pub fn bound(&self, token: &str, resource: &str) -> std::result::Result<Bound, BearerError> {
        let claims = self.access.verify_for(token, resource)?;
        Ok(Bound { scope: claims.scope.clone(), api_token: self.access.twin(claims)? })
    }
}

/// How [`Result`] of this crate becomes this module's.
fn failed<T>(result: Result<T>) -> std::result::Result<T, Error> {
    result.map_err(Error::from)
}
