//! Whether a token is an issuer's, and what it says.
//!
//! Its signature, issuer and times are checked here; whom it is meant for and whom it speaks for is the
//! caller's to judge.

use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};

use super::issuer::Issuer;
use super::web::WebError;
use crate::jwt::MAX_TOKEN_BYTES;

/// Clocks of other servers may differ by this much.
const LEEWAY_SECONDS: u64 = 60;

/// What a verified token says.
#[derive(Debug, Clone)]
pub struct Claims(Map<String, Value>);

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error("{0}")]
    Invalid(&'static str),
    #[error(transparent)]
    Unreachable(#[from] WebError),
}

impl Issuer {
    pub async fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid("it is too long"));
        }
        let header =
            decode_header(token).map_err(|_| TokenError::Invalid("it is not a JSON web token"))?;
        // Extensions that must be understood (RFC 7515, 4.1.11), and none is.
        if header.crit.is_some() {
            return Err(TokenError::Invalid("its header asks for an extension"));
        }
        let document = self.document(header.kid.as_deref()).await?;
        let key = document.keys.of(&header);
        let key = key.ok_or(TokenError::Invalid("its key is not among those of the issuer"))?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[self.name()]);
        validation.set_required_spec_claims(&["iss", "aud", "exp"]);
        validation.validate_aud = false;
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_SECONDS;
        let claims = decode(token, key, &validation).map(|data| Claims(data.claims));
        let claims = claims.map_err(|error| TokenError::Invalid(reason(error.kind())))?;
        if claims.seconds("iat").is_some_and(|at| at > now() + LEEWAY_SECONDS) {
            return Err(TokenError::Invalid("it was issued in the future"));
        }
        Ok(claims)
    }
}

fn reason(kind: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    match kind {
        ErrorKind::ExpiredSignature => "it has expired",
        ErrorKind::ImmatureSignature => "it is not valid yet",
        ErrorKind::InvalidIssuer => "it is of another issuer",
        ErrorKind::MissingRequiredClaim(_) => "it lacks one of the claims iss, aud, exp",
        _ => "its signature or its form is wrong",
    }
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

/// Who says that it has issued a token, before anything is checked.
pub(crate) fn claimed_issuer(token: &str) -> Option<String> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    if token.len() > MAX_TOKEN_BYTES {
        return None;
    }
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&claims).ok()?;
    claims.get("iss")?.as_str().map(str::to_owned)
}

impl Claims {
    /// Claims that came over a connection that is trusted.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok().map(Self)
    }

    /// A claim that is a text and not empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Some issuers write booleans as texts.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| *value == Value::Bool(true) || *value == "true")
    }

    /// One audience is a text, several are a list.
    #[must_use]
    pub fn audiences(&self) -> Vec<&str> {
        match self.0.get("aud") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => vec![],
        }
    }

    fn seconds(&self, name: &str) -> Option<u64> {
        self.0.get(name).and_then(Value::as_u64)
    }
}
