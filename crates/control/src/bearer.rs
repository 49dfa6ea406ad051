//! Who a bearer token speaks for. What that one may do is the authorizer's to say (`access.rs`).

use lakeport_identity::CredentialError;
use lakeport_identity::oauth::{BearerError, Bound};
use lakeport_store::Principal;
use uuid::Uuid;

use crate::{Control, Result};

/// The verdict on a bearer token.
#[derive(Debug)]
pub enum Bearer {
    Owner {
        principal: Principal,
        token_id: String,
        /// The personal token, or the grant or secret that an access token came of.
        origin: Uuid,
    },
    Expired {
        seconds_ago: u64,
    },
    /// Neither a personal access token nor a JSON web token.
    NotAToken,
    Invalid,
}

impl Control {
    /// A personal access token or an OAuth access token.
    pub async fn bearer(&self, token: &str) -> Result<Bearer> {
        if let Some((principal, id)) = lakeport_identity::authenticate(&self.store, token).await? {
            return Ok(Bearer::Owner { principal, token_id: id.to_string(), origin: id });
        }
        self.oauth_bearer(token).await
    }

    /// What an access token is worth that is bound to `resource`. Whether it still holds,
    /// [`bearer`](Self::bearer) says of its twin.
    pub async fn bound(
        &self,
        token: &str,
        resource: &str,
    ) -> Result<std::result::Result<Bound, CredentialError>> {
        self.meet_signing_key(token).await?;
        match self.oauth.bound(token, resource) {
            Ok(bound) => Ok(Ok(bound)),
            Err(BearerError::Token(error)) => Ok(Err(error)),
            Err(BearerError::Revoked) => Ok(Err(CredentialError::Invalid)),
            Err(BearerError::Failed(error)) => Err(error.into()),
        }
    }

    /// An OAuth access token, which is also a PostgreSQL password.
    pub async fn oauth_bearer(&self, token: &str) -> Result<Bearer> {
        self.meet_signing_key(token).await?;
        match self.oauth.bearer(token).await {
            Ok((principal, token_id, origin)) => Ok(Bearer::Owner { principal, token_id, origin }),
            Err(BearerError::Token(CredentialError::Expired { seconds_ago })) => {
                Ok(Bearer::Expired { seconds_ago })
            }
            Err(BearerError::Token(CredentialError::NotAToken)) => Ok(Bearer::NotAToken),
            Err(BearerError::Token(CredentialError::Invalid) | BearerError::Revoked) => {
                Ok(Bearer::Invalid)
            }
            Err(BearerError::Failed(error)) => Err(error.into()),
        }
    }
}
