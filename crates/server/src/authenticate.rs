//! The gateway's question who a token speaks for, answered by `identity` and the authorizer.

use std::sync::Arc;

use async_trait::async_trait;
use lakeport_control::{Bearer, Control, NATIVE_PASSWORD, Standing};
use lakeport_gateway::{AuthFailure, Authenticate, Identity, Instance};
use lakeport_identity::{Claims, CredentialError};
use uuid::Uuid;

pub(crate) struct Tokens(pub(crate) Arc<Control>);

#[async_trait]
impl Authenticate for Tokens {
    /// What was true when the token was made is asked again: its subject must still be there, and may
    /// log in only where it still may.
    async fn authenticate(&self, token: &str) -> Result<Identity, AuthFailure> {
        self.0.meet_signing_key(token).await.map_err(unavailable)?;
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

    async fn authenticate_natively(
        &self,
        instance: &Instance,
        role: &str,
        password: &str,
    ) -> Result<Identity, AuthFailure> {
        let right = self.0.native_login(&instance.uid, role, password.to_owned()).await;
        if !right.map_err(unavailable)? {
            return Err(AuthFailure::NotAToken);
        }
        Ok(Identity {
            subject: role.to_owned(),
            roles: vec![role.to_owned()],
            instances: vec![instance.uid.clone()],
            token_id: NATIVE_PASSWORD.to_owned(),
            origin: None,
            session_role: None,
        })
    }
}

impl Tokens {
    /// A database credential opens those of its instances that its subject may still use.
    async fn credential(&self, claims: Claims) -> Result<Identity, AuthFailure> {
        let standing = self.standing(&claims.sub).await?;
        let holds = self.0.token_holds(&claims.jti, claims.origin).await.map_err(unavailable)?;
        if standing.principal != claims.principal || !holds {
            return Err(AuthFailure::Invalid);
        }
        let mut instances = claims.instances;
        instances.retain(|uid| standing.instances.contains(uid));
        if instances.is_empty() {
            return Err(AuthFailure::Invalid);
        }
        Ok(Identity {
            roles: standing.roles.clone(),
            subject: claims.sub,
            instances,
            token_id: claims.jti,
            origin: claims.origin.as_ref().map(Uuid::to_string),
            session_role: claims.role,
        })
    }

    /// An OAuth access token opens whatever its owner may use.
    async fn access_token(&self, token: &str) -> Result<Identity, AuthFailure> {
        let verdict = self.0.oauth_bearer(token).await.map_err(unavailable)?;
        let (principal, token_id, origin) = match verdict {
            Bearer::Owner { principal, token_id, origin } => (principal, token_id, origin),
            Bearer::Expired { seconds_ago } => return Err(AuthFailure::Expired { seconds_ago }),
            Bearer::NotAToken | Bearer::Invalid => return Err(AuthFailure::Invalid),
        };
        let standing = self.standing(&principal.user_name).await?;
        Ok(Identity {
            roles: standing.roles.clone(),
            subject: principal.user_name,
            instances: standing.instances.clone(),
            token_id,
            origin: Some(origin.to_string()),
            session_role: None,
        })
    }

    async fn standing(&self, subject: &str) -> Result<Arc<Standing>, AuthFailure> {
        let found = self.0.standing(subject).await.map_err(unavailable)?;
        found.ok_or(AuthFailure::Invalid)
    }
}

fn unavailable(error: impl std::fmt::Display) -> AuthFailure {
    tracing::error!(%error, "a token cannot be checked");
    AuthFailure::Unavailable
}

#[cfg(test)]
mod tests {
    use lakeport_api::permission::AccessControlChange;
    use lakeport_identity::CredentialRequest;
    use lakeport_store::Principal;

    use super::*;
    use crate::world::World;

    #[tokio::test]
    async fn a_token_opens_only_what_its_subject_may_use_now() {
        let world = World::new().await;
        let tokens = Tokens(Arc::clone(&world.control));
        let uid = world.instance.uid.to_string();
        let issue = |owner: &Principal, role: Option<&str>| {
            let (instances, role) = (vec![uid.clone()], role.map(str::to_owned));
            let request = CredentialRequest { owner, instances, origin: None, role };
            world.control.credentials.issue(request).unwrap().0
        };
        let user = issue(&world.user, None);
        let identity = tokens.authenticate(&user).await.unwrap();
        assert_eq!(identity.roles, ["users", "user@x.y"]);
        assert_eq!((identity.instances, identity.session_role), (vec![uid.clone()], None));
        let reader = tokens.authenticate(&issue(&world.user, Some("lb_reader_x"))).await.unwrap();
        assert_eq!(reader.session_role.as_deref(), Some("lb_reader_x"));
        let namesake = Principal { id: -1, ..world.user.clone() };
        let nobody = Principal { user_name: String::from("nobody@x.y"), ..world.user.clone() };
        for owner in [&world.stranger, &namesake, &nobody] {
            let token = issue(owner, None);
            assert_eq!(tokens.authenticate(&token).await.unwrap_err(), AuthFailure::Invalid);
        }
        let nobody = AccessControlChange { access_control_list: Vec::new() };
        let taken = world.control.change_instance_permissions(&world.instance, &nobody, true);
        taken.await.unwrap();
        assert_eq!(tokens.authenticate(&user).await.unwrap_err(), AuthFailure::Invalid);
        world.end().await;
    }
}
