//! Database credentials: short-lived JWTs that are PostgreSQL passwords.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use lakeport_store::Principal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::jwt::{self, Lifetime, MAX_LIFETIME};
use crate::verified::Verified;
use crate::{Result, SigningKeys};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// The user name, which is also the PostgreSQL role.
    pub sub: String,
    pub iat: u64,
    pub exp: u64,
    pub jti: String,
    /// Uids of the instances that it opens.
    pub instances: Vec<String>,
    /// The subject's id: a name may be given again, an id never.
    pub principal: i64,
    /// What it was asked for with, and ends with: a personal token, a grant or a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Uuid>,
    /// The role that its sessions have, where that is another than the one they ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// What a credential is asked for.
pub struct CredentialRequest<'a> {
    pub owner: &'a Principal,
    pub instances: Vec<String>,
    pub origin: Option<Uuid>,
    pub role: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("not a JSON web token")]
    NotAToken,
    #[error("expired {seconds_ago} seconds ago")]
    Expired { seconds_ago: u64 },
    #[error("not valid")]
    Invalid,
}

/// Issues and verifies the credentials of one installation.
pub struct Credentials {
    keys: Arc<SigningKeys>,
    issuer: String,
    audience: String,
    lifetime: Duration,
    verified: Verified<Claims>,
}

impl Credentials {
    #[must_use]
    pub fn new(keys: Arc<SigningKeys>, workspace_id: &str) -> Self {
        let issuer = format!("urn:lakeport:{workspace_id}");
        Self {
            keys,
            audience: format!("{issuer}:postgresql"),
            issuer,
            lifetime: MAX_LIFETIME,
            verified: Verified::default(),
        }
    }

    /// Tokens that are issued from now on live for so long, at most for [`MAX_TOKEN_LIFETIME`].
    ///
    /// [`MAX_TOKEN_LIFETIME`]: crate::MAX_TOKEN_LIFETIME
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime: lifetime.min(MAX_LIFETIME), ..self }
    }

    /// Until when one would be good that was issued now.
    #[must_use]
    pub fn expiry(&self) -> Timestamp {
        Timestamp::now().saturating_add(self.lifetime).unwrap_or(Timestamp::MAX)
    }

    /// A token, and when it expires.
    pub fn issue(&self, request: CredentialRequest<'_>) -> Result<(String, Timestamp)> {
        self.issue_at(request, Timestamp::now())
    }

    fn issue_at(
        &self,
        request: CredentialRequest<'_>,
        now: Timestamp,
    ) -> Result<(String, Timestamp)> {
        let issued = u64::try_from(now.as_second()).unwrap_or_default();
        let expires = issued + self.lifetime.as_secs();
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: request.owner.user_name.clone(),
            iat: issued,
            exp: expires,
            jti: Uuid::new_v4().to_string(),
            instances: request.instances,
            principal: request.owner.id,
            origin: request.origin,
            role: request.role,
        };
        let token = jwt::sign(&self.keys, &claims)?;
        let expires_at = i64::try_from(expires).ok().and_then(|s| Timestamp::from_second(s).ok());
        Ok((token, expires_at.unwrap_or(now)))
    }

    pub fn verify(&self, token: &str) -> std::result::Result<Claims, CredentialError> {
        jwt::verify(&self.keys, &self.issuer, &self.audience, &self.verified, token)
    }
}

impl Lifetime for Claims {
    fn issued(&self) -> u64 {
        self.iat
    }

    fn expires(&self) -> u64 {
        self.exp
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::{Value, json};

    use super::*;
    use crate::jwt::MAX_TOKEN_BYTES;
    use crate::keys;
    use crate::oauth::principal_for_tests;

    fn credentials() -> Credentials {
        Credentials::new(keys::for_tests(), "42")
    }

    fn request(owner: &Principal) -> CredentialRequest<'_> {
        CredentialRequest { owner, instances: vec!["u".into()], origin: None, role: None }
    }

    fn claims(credentials: &Credentials) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({
            "iss": credentials.issuer, "aud": credentials.audience, "sub": "a@b.c",
            "iat": now, "exp": now + 60, "jti": "j", "instances": ["u"], "principal": 7,
        })
    }

    fn sign(credentials: &Credentials, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(credentials.keys.current().signing_kid.clone());
        encode(&header, claims, &credentials.keys.current().signing).unwrap()
    }

    #[test]
    fn a_fresh_token_verifies_and_uses_url_safe_characters_only() {
        let credentials = credentials();
        let (token, expires) = credentials.issue(request(&principal_for_tests("a@b.c"))).unwrap();
        assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)));
        let claims = credentials.verify(&token).unwrap();
        assert_eq!(claims.sub, "a@b.c");
        assert_eq!(i64::try_from(claims.exp).unwrap(), expires.as_second());
        assert_eq!(claims.exp - claims.iat, 3600);
        assert_eq!((claims.principal, claims.role, claims.origin), (7, None, None));
    }

    #[test]
    fn an_expired_token_says_since_when() {
        let credentials = credentials();
        let past = Timestamp::now() - jiff::SignedDuration::from_secs(3700);
        let (token, _) =
            credentials.issue_at(request(&principal_for_tests("a@b.c")), past).unwrap();
        match credentials.verify(&token) {
            Err(CredentialError::Expired { seconds_ago }) => {
                assert!((100..160).contains(&seconds_ago))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_missing_or_wrong_claim_is_refused() {
        let credentials = credentials();
        assert!(credentials.verify(&sign(&credentials, &claims(&credentials))).is_ok());
        for name in ["iss", "aud", "sub", "iat", "exp", "jti", "instances", "principal"] {
            let mut broken = claims(&credentials);
            broken.as_object_mut().unwrap().remove(name);
            let verdict = credentials.verify(&sign(&credentials, &broken));
            assert_eq!(verdict, Err(CredentialError::Invalid), "without {name}");
        }
        let now = jsonwebtoken::get_current_timestamp();
        for (name, value) in [
            ("iss", json!("urn:lakeport:43")),
            ("aud", json!("urn:lakeport:42:other")),
            ("exp", json!(now + 7200)),
            ("iat", json!(now + 60)),
            ("nbf", json!(now + 60)),
            ("instances", json!("u")),
        ] {
            let mut broken = claims(&credentials);
            broken[name] = value;
            let verdict = credentials.verify(&sign(&credentials, &broken));
            assert_eq!(verdict, Err(CredentialError::Invalid), "wrong {name}");
        }
    }

    #[test]
    fn a_foreign_key_or_algorithm_is_refused() {
        let ours = credentials();
        let theirs = credentials();
        let foreign = sign(&theirs, &claims(&ours));
        assert_eq!(ours.verify(&foreign), Err(CredentialError::Invalid), "unknown kid");

        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(ours.keys.current().signing_kid.clone());
        let forged = encode(&header, &claims(&ours), &theirs.keys.current().signing).unwrap();
        assert_eq!(ours.verify(&forged), Err(CredentialError::Invalid), "foreign signature");

        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(ours.keys.current().signing_kid.clone());
        let public = ours.keys.jwk_set().keys[0].x.clone();
        let confused =
            encode(&header, &claims(&ours), &EncodingKey::from_secret(public.as_bytes())).unwrap();
        assert_eq!(ours.verify(&confused), Err(CredentialError::Invalid), "HS256");

        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({"alg": "none", "typ": "JWT", "kid": ours.keys.current().signing_kid});
        let none = format!("{}.{}.", part(&head), part(&claims(&ours)));
        assert!(ours.verify(&none).is_err(), "alg none");
    }

    #[test]
    fn what_is_no_token_is_told_apart() {
        let credentials = credentials();
        for text in ["", "hunter2", "lkpt_abc", "a.b.c"] {
            assert_eq!(credentials.verify(text), Err(CredentialError::NotAToken), "{text}");
        }
        let huge = "x".repeat(MAX_TOKEN_BYTES + 1);
        assert_eq!(credentials.verify(&huge), Err(CredentialError::Invalid));
    }
}
