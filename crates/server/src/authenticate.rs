//! The gateway's question who a token speaks for, answered by `identity`.

use std::sync::Arc;

use async_trait::async_trait;
use lakeport_control::Control;
use lakeport_gateway::{AuthFailure, Authenticate, Identity};
use lakeport_identity::CredentialError;

pub(crate) struct Tokens(pub(crate) Arc<Control>);

#[async_trait]
impl Authenticate for Tokens {
    async fn authenticate(&self, token: &str) -> Result<Identity, AuthFailure> {
        let claims = self.0.credentials.verify(token).map_err(|error| match error {
            CredentialError::NotAToken => AuthFailure::NotAToken,
            CredentialError::Expired { seconds_ago } => AuthFailure::Expired { seconds_ago },
            CredentialError::Invalid => AuthFailure::Invalid,
        })?;
        Ok(Identity {
            roles: vec![claims.sub.clone()],
            subject: claims.sub,
            instances: claims.instances,
            token_id: claims.jti,
        })
    }
}
