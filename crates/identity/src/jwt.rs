//! JSON web tokens of this installation: signed by its newest key, checked strictly.
//!
//! The algorithm is the key's, never the header's; `kid` known; `iss`, `aud`, `exp`, `iat` and `sub`
//! present and right; a life of at most [`MAX_LIFETIME`].

use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation, decode, decode_header, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::keys::KeySet;
use crate::verified::Verified;
use crate::{CredentialError, Result, SigningKeys};

/// What Lakebase gives, and the most that is accepted.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);

/// Nobody issues longer ones; refused before any parsing.
pub(crate) const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// Clocks of several servers may differ by this much.
const LEEWAY_SECONDS: u64 = 5;

/// When a token was made and when it ends.
pub(crate) trait Lifetime {
    fn issued(&self) -> u64;
    fn expires(&self) -> u64;
}

pub(crate) fn sign(keys: &SigningKeys, claims: &impl Serialize) -> Result<String> {
    let keys = keys.current();
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some(keys.signing_kid.clone());
    Ok(encode(&header, claims, &keys.signing)?)
}

pub(crate) fn verify<C: DeserializeOwned + Lifetime + Clone>(
    keys: &SigningKeys,
    issuer: &str,
    audience: &str,
    verified: &Verified<C>,
    token: &str,
) -> std::result::Result<C, CredentialError> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(CredentialError::Invalid);
    }
    let current = keys.current();
    let known = verified.recall(token, |kid| current.verifying(kid).is_some());
    let claims = match known {
        Some(claims) => claims,
        None => check_signature(&current, issuer, audience, verified, token)?,
    };
    check_times(&claims)?;
    Ok(claims)
}

fn check_signature<C: DeserializeOwned + Clone>(
    keys: &KeySet,
    issuer: &str,
    audience: &str,
    verified: &Verified<C>,
    token: &str,
) -> std::result::Result<C, CredentialError> {
    let header = decode_header(token).map_err(|_| CredentialError::NotAToken)?;
    let kid = header.kid.ok_or(CredentialError::Invalid)?;
    let key = keys.verifying(&kid).ok_or(CredentialError::Invalid)?;
    let claims = decode::<C>(token, key, &validation(issuer, audience))
        .map_err(|_| CredentialError::Invalid)?
        .claims;
    verified.remember(token, kid, &claims);
    Ok(claims)
}

/// Expiry is checked by [`check_times`], which can say how long ago it was.
fn validation(issuer: &str, audience: &str) -> Validation {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    validation.validate_exp = false;
    validation.validate_nbf = true;
    validation.leeway = LEEWAY_SECONDS;
    validation
}

fn check_times(claims: &impl Lifetime) -> std::result::Result<(), CredentialError> {
    let now = jsonwebtoken::get_current_timestamp();
    let (issued, expires) = (claims.issued(), claims.expires());
    let lifetime = expires.checked_sub(issued).ok_or(CredentialError::Invalid)?;
    if lifetime > MAX_LIFETIME.as_secs() || issued > now + LEEWAY_SECONDS {
        return Err(CredentialError::Invalid);
    }
    if now >= expires + LEEWAY_SECONDS {
        return Err(CredentialError::Expired { seconds_ago: now - expires });
    }
    Ok(())
}
