//! Access tokens: JWTs for the REST API, which are also PostgreSQL passwords of their owner.
//!
//! Their audience is another than that of database credentials, so that neither passes for the other.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use lakeport_store::Principal;

use super::scope::Allowed;
use crate::jwt::{self, Lifetime, MAX_LIFETIME};
use crate::verified::Verified;
use crate::{CredentialError, Result, SigningKeys};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AccessClaims {
    iss: String,
    aud: String,
    pub(super) sub: String,
    iat: u64,
    pub(super) exp: u64,
    pub(super) jti: String,
    pub(super) client_id: String,
    pub(super) scope: String,
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
        allowed: &Allowed,
        origin: Uuid,
    ) -> Result<(String, u64)> {
        let now = jsonwebtoken::get_current_timestamp();
        let claims = AccessClaims {
            iss: self.issuer.clone(),
            aud: allowed.resource.clone().unwrap_or_else(|| self.audience.clone()),
            sub: owner.user_name.clone(),
            iat: now,
            exp: now + self.lifetime.as_secs(),
            jti: Uuid::new_v4().to_string(),
            client_id: client_id.to_owned(),
            scope: allowed.scope.clone(),
            principal: owner.id,
            origin,
        };
        Ok((jwt::sign(&self.keys, &claims)?, self.lifetime.as_secs()))
    }

    pub(super) fn verify(&self, token: &str) -> std::result::Result<AccessClaims, CredentialError> {
        self.verify_for(token, &self.audience)
    }

    /// A token that is bound to a resource is for nothing else.
    pub(super) fn verify_for(
        &self,
        token: &str,
        audience: &str,
    ) -> std::result::Result<AccessClaims, CredentialError> {
        let claims = jwt::verify(&self.keys, &self.issuer, audience, &self.verified, token)?;
        // What is remembered of a token was perhaps asked for another audience.
        if claims.aud == audience { Ok(claims) } else { Err(CredentialError::Invalid) }
    }

    /// The same token, with the API as its audience.
    pub(super) fn twin(&self, claims: AccessClaims) -> Result<String> {
        jwt::sign(&self.keys, &AccessClaims { aud: self.audience.clone(), ..claims })
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
        let allowed = |resource: Option<&str>| Allowed {
            scope: String::from("all-apis"),
            resource: resource.map(str::to_owned),
        };
        let (token, _) = access.issue(&owner, "c", &allowed(None), Uuid::nil()).unwrap();
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
        let resource = "http://127.0.0.1/mcp";
        assert!(access.verify_for(&token, resource).is_err());
        let (bound, _) = access.issue(&owner, "c", &allowed(Some(resource)), Uuid::nil()).unwrap();
        assert!(access.verify(&bound).is_err());
        assert!(access.verify_for(&bound, "http://localhost/mcp").is_err());
        let claims = access.verify_for(&bound, resource).unwrap();
        // Remembered now, it is for nothing else still.
        assert!(access.verify(&bound).is_err());
        assert!(access.verify_for(&bound, "http://localhost/mcp").is_err());
        assert!(access.verify_for(&token, resource).is_err());
        let (id, ends) = (claims.jti.clone(), claims.exp);
        let twin = access.verify(&access.twin(claims).unwrap()).unwrap();
        assert_eq!((twin.jti, twin.exp), (id, ends));
    }
}
