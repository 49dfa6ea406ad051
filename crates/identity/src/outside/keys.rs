//! The public keys of an issuer: a JWK set, of which only what can verify signatures is kept.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;

/// More than any issuer publishes.
const MAX_KEYS: usize = 64;

pub(super) struct Keys(Vec<Key>);

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    verifying: DecodingKey,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

impl Keys {
    /// A key that is not understood is left out: issuers publish new kinds beside the old.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let set: Set = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if set.keys.len() > MAX_KEYS {
            return Err(format!("it has more than {MAX_KEYS} keys"));
        }
        let keys =
            set.keys.into_iter().filter_map(|key| Key::read(serde_json::from_value(key).ok()?));
        Ok(Self(keys.collect()))
    }

    /// Whether a key of this id is there; a token without one may be any key's.
    pub(super) fn knows(&self, id: Option<&str>) -> bool {
        id.is_none_or(|id| self.0.iter().any(|key| key.id.as_deref() == Some(id)))
    }

    /// The one key that can have made a signature: by its id, or the only one of its kind.
    pub(super) fn of(&self, header: &Header) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.algorithms.contains(&header.alg) && (header.kid.is_none() || header.kid == key.id)
        });
        let key = fitting.next()?;
        fitting.next().is_none().then_some(&key.verifying)
    }
}

impl Key {
    fn read(jwk: Jwk) -> Option<Self> {
        let signs = jwk
            .common
            .public_key_use
            .as_ref()
            .is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let mut algorithms = algorithms_of(&jwk.algorithm);
        if let Some(only) = jwk.common.key_algorithm {
            algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
        }
        if !signs || algorithms.is_empty() {
            return None;
        }
        let verifying = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, algorithms, verifying })
    }
}

/// Never a shared secret: whoever can verify by one can sign by it.
fn algorithms_of(key: &AlgorithmParameters) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match key {
        AlgorithmParameters::RSA(_) => vec![RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![ES256],
            EllipticCurve::P384 => vec![ES384],
            _ => vec![],
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![EdDSA]
        }
        _ => vec![],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"a","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    fn keys(json: &str) -> Keys {
        Keys::parse(format!(r#"{{"keys":[{json}]}}"#).as_bytes()).unwrap_or_else(|e| panic!("{e}"))
    }

    fn header(algorithm: Algorithm, kid: Option<&str>) -> Header {
        Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) }
    }

    #[test]
    fn a_key_is_found_by_its_id_or_because_it_is_the_only_one() {
        let one = keys(EC);
        assert!(one.of(&header(Algorithm::ES256, Some("a"))).is_some());
        assert!(one.of(&header(Algorithm::ES256, None)).is_some());
        assert!(one.of(&header(Algorithm::ES256, Some("b"))).is_none());
        assert!(one.of(&header(Algorithm::HS256, Some("a"))).is_none());
        assert!(one.of(&header(Algorithm::ES384, Some("a"))).is_none());
        let two = keys(&format!("{EC},{}", EC.replace("\"a\"", "\"b\"")));
        assert!(two.of(&header(Algorithm::ES256, None)).is_none());
        assert!(two.knows(Some("b")) && !two.knows(Some("c")) && two.knows(None));
    }

    #[test]
    fn what_cannot_verify_is_left_out() {
        for odd in [
            r#"{"kty":"oct","kid":"a","k":"c2VjcmV0"}"#,
            r#"{"kty":"new","kid":"a"}"#,
            r#"{"kid":"a"}"#,
            "7",
            &EC.replace("\"kid\"", "\"use\":\"enc\",\"kid\""),
            &EC.replace("\"kid\"", "\"alg\":\"ES384\",\"kid\""),
            &EC.replace("f83OJ3D2x", "!"),
        ] {
            assert!(!keys(odd).knows(Some("a")), "{odd}");
            assert!(
                keys(&format!("{odd},{}", EC.replace("\"a\"", "\"b\""))).knows(Some("b")),
                "{odd}"
            );
        }
        assert!(Keys::parse(b"[]").is_err());
        let many = vec![EC; MAX_KEYS + 1].join(",");
        assert!(Keys::parse(format!(r#"{{"keys":[{many}]}}"#).as_bytes()).is_err());
    }
}
