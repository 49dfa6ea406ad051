//! Access tokens: JWTs for the REST API, which are also PostgreSQL passwords of their owner.
//!
//! Their audience is another than that of database credentials, so that neither passes for the other.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use lakeport_store::Principal;

use crate::jwt::{self, Lifetime, MAX_LIFETIME};
use crate::verified::Verified;
use crate::{CredentialError, Result, SigningKeys};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AccessClaims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    pub(super) exp: u64,
    pub(super) jti: String,
    pub(super) client_id: String,
    scope: String,
    /// The owner: a name may be given again, an id never.
    pub(super) principal: i64,
    /// The grant or the secret that it came of, and with which it ends.
    pub(super) origin: Uuid,
}

impl Lifetime for AccessClaims {
    fn issued(&self) -> u64 {
        self.iat
    }

    fn expires(&self) -> u64 {
        self.exp
    }
}

pub(super) struct AccessTokens {
    keys: Arc<SigningKeys>,
    issuer: String,
    audience: String,
    pub(super) lifetime: Duration,
    verified: Verified<AccessClaims>,
}

impl AccessTokens {
    pub(super) fn new(keys: Arc<SigningKeys>, workspace_id: &str) -> Self {
        let issuer = format!("urn:lakeport:{workspace_id}");
        Self {
            keys,
            audience: format!("{issuer}:api"),
            issuer,
            lifetime: MAX_LIFETIME,
            verified: Verified::default(),
        }
    }

    /// A token, and for how many seconds it is good.
    pub(super) fn issue(
        &self,
        owner: &Principal,
        client_id: &str,
        scope: &str,
        origin: Uuid,
    ) -> Result<(String, u64)> {
        let now = jsonwebtoken::get_current_timestamp();
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: owner.user_name.clone(),
            iat: now,
            exp: now + self.lifetime.as_secs(),
            jti: Uuid::new_v4().to_string(),
            client_id: client_id.to_owned(),
            scope: scope.to_owned(),
            principal: owner.id,
            origin,
        };
        Ok((jwt::sign(&self.keys, &claims)?, self.lifetime.as_secs()))
    }

    pub(super) fn verify(&self, token: &str) -> std::result::Result<AccessClaims, CredentialError> {
        jwt::verify(&self.keys, &self.issuer, &self.audience, &self.verified, token)
    }
}

#[cfg(test)]
pub(crate) fn principal_for_tests(name: &str) -> Principal {
    Principal {
        id: 7,
        kind: lakeport_store::PrincipalKind::User,
        user_name: name.to_owned(),
        display_name: String::new(),
        application_id: None,
        external_id: None,
        entitlements: Vec::new(),
        active: true,
        is_admin: false,
        built_in: false,
        generation: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CredentialRequest, Credentials, keys};

    #[test]
    fn credentials_and_access_tokens_do_not_pass_for_each_other() {
        let keys = keys::for_tests();
        let access = AccessTokens::new(Arc::clone(&keys), "42");
        let credentials = Credentials::new(keys, "42");
        let owner = principal_for_tests("a@b.c");
        let (token, _) = access.issue(&owner, "c", "all-apis", Uuid::nil()).unwrap();
        let claims = access.verify(&token).unwrap();
        assert_eq!((claims.principal, claims.sub.as_str()), (7, "a@b.c"));
        assert_eq!(credentials.verify(&token), Err(CredentialError::Invalid));
        let (credential, _) = credentials
            .issue(CredentialRequest {
                owner: &owner,
                instances: Vec::new(),
                origin: None,
                role: None,
            })
            .unwrap();
        assert!(access.verify(&credential).is_err());
    }
}
