//! The gateway's question who a token speaks for, answered by `identity`.

use std::sync::Arc;

use async_trait::async_trait;
use lakeport_control::{Bearer, Control};
use lakeport_gateway::{AuthFailure, Authenticate, Identity};
use lakeport_identity::{Claims, CredentialError};

pub(crate) struct Tokens(pub(crate) Arc<Control>);

#[async_trait]
impl Authenticate for Tokens {
    async fn authenticate(&self, token: &str) -> Result<Identity, AuthFailure> {
        self.0.meet_signing_key(token).await.map_err(|_| AuthFailure::Unavailable)?;
        match self.0.credentials.verify(token) {
            Ok(claims) => self.credential(claims).await,
            Err(CredentialError::NotAToken) => Err(AuthFailure::NotAToken),
            Err(CredentialError::Expired { seconds_ago }) => {
                Err(AuthFailure::Expired { seconds_ago })
            }
            // It may be for another audience: the REST API.
            Err(CredentialError::Invalid) => self.access_token(token).await,
        }
    }
}

impl Tokens {
    /// A database credential speaks for its subject for as long as that may log in at all.
    async fn credential(&self, claims: Claims) -> Result<Identity, AuthFailure> {
        let may = self.0.may_log_in(&claims.sub).await;
        if !may.map_err(|_| AuthFailure::Unavailable)? {
            return Err(AuthFailure::Invalid);
        }
        Ok(Identity {
            roles: vec![claims.sub.clone()],
            subject: claims.sub,
            instances: claims.instances,
            token_id: claims.jti,
        })
    }

    /// An OAuth access token opens whatever its owner may use.
    async fn access_token(&self, token: &str) -> Result<Identity, AuthFailure> {
        let verdict = self.0.oauth_bearer(token).await.map_err(|_| AuthFailure::Unavailable)?;
        let (principal, token_id) = match verdict {
            Bearer::Owner { principal, token_id } => (principal, token_id),
            Bearer::Expired { seconds_ago } => return Err(AuthFailure::Expired { seconds_ago }),
            Bearer::NotAToken | Bearer::Invalid => return Err(AuthFailure::Invalid),
        };
        let open = self.0.instances_open_to(&principal).await;
        Ok(Identity {
            roles: vec![principal.user_name.clone()],
            subject: principal.user_name,
            instances: open.map_err(|_| AuthFailure::Unavailable)?,
            token_id,
        })
    }
}
