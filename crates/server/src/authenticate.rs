//! The gateway's question who a token speaks for, answered by `identity` and the authorizer.

use std::sync::Arc;

use async_trait::async_trait;
use lakeport_control::Control;
use lakeport_gateway::{AuthFailure, Authenticate, Identity};
use lakeport_identity::CredentialError;

pub(crate) struct Tokens(pub(crate) Arc<Control>);

#[async_trait]
impl Authenticate for Tokens {
    /// What was true when the token was made is asked again: its subject must still be there, and may
    /// log in only where it still may.
    async fn authenticate(&self, token: &str) -> Result<Identity, AuthFailure> {
        let control = &self.0;
        let claims = control.credentials.verify(token).map_err(|error| match error {
            CredentialError::NotAToken => AuthFailure::NotAToken,
            CredentialError::Expired { seconds_ago } => AuthFailure::Expired { seconds_ago },
            CredentialError::Invalid => AuthFailure::Invalid,
        })?;
        let principal = control.store.principal(&claims.sub).await.map_err(unavailable)?;
        let principal = principal.ok_or(AuthFailure::Invalid)?;
        let usable = control.usable_instances(&principal).await.map_err(unavailable)?;
        let usable: Vec<_> = usable.iter().map(ToString::to_string).collect();
        let mut instances = claims.instances;
        instances.retain(|uid| usable.contains(uid));
        if instances.is_empty() {
            return Err(AuthFailure::Invalid);
        }
        let subjects = control.subjects_of(&principal).await.map_err(unavailable)?;
        Ok(Identity {
            roles: subjects.into_iter().map(|subject| subject.name).collect(),
            subject: claims.sub,
            instances,
            token_id: claims.jti,
        })
    }
}

fn unavailable(error: impl std::fmt::Display) -> AuthFailure {
    tracing::error!(%error, "a token cannot be checked");
    AuthFailure::Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    #[tokio::test]
    async fn a_token_opens_only_what_its_subject_may_use_now() {
        let world = World::new().await;
        let tokens = Tokens(Arc::clone(&world.control));
        let uid = world.instance.uid.to_string();
        let issue = |subject: &str| world.control.credentials.issue(subject, vec![uid.clone()]);
        let (user, _) = issue("user@x.y").unwrap();
        let identity = tokens.authenticate(&user).await.unwrap();
        assert_eq!(identity.roles, ["user@x.y"]);
        assert_eq!(identity.instances, [uid.clone()]);
        for subject in ["stranger@x.y", "nobody@x.y"] {
            let (token, _) = issue(subject).unwrap();
            assert_eq!(tokens.authenticate(&token).await.unwrap_err(), AuthFailure::Invalid);
        }
        let instance = world.instance.uid;
        assert!(world.control.store.set_permissions(instance, &[], true).await.unwrap());
        assert_eq!(tokens.authenticate(&user).await.unwrap_err(), AuthFailure::Invalid);
        world.end().await;
    }
}
