//! Token-signing keys: ES256, sealed in the metadata database, published as a JWK set.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use lakeport_store::{SigningKeyRow, Store};
use rcgen::KeyPair;
use serde::Serialize;
use uuid::Uuid;

use crate::{Error, Result, Vault};

/// RFC 7517, as far as a P-256 signing key goes.
#[derive(Debug, Clone, Serialize)]
pub struct Jwk {
    pub kty: &'static str,
    pub crv: &'static str,
    #[serde(rename = "use")]
    pub usage: &'static str,
    pub alg: &'static str,
    pub kid: String,
    pub x: String,
    pub y: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct JwkSet {
    pub keys: Vec<Jwk>,
}

/// The key that signs and all that verify.
pub struct SigningKeys {
    pub(crate) signing_kid: String,
    pub(crate) signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
    jwks: Vec<Jwk>,
}

impl SigningKeys {
    /// Loads the keys; makes the first one on a new installation.
    pub async fn load(store: &Store, vault: &Vault) -> Result<Arc<Self>> {
        let mut rows = store.signing_keys().await?;
        if !rows.iter().any(|row| row.retires_at.is_none()) {
            store.add_signing_key(&generate(vault)?).await?;
            rows = store.signing_keys().await?;
        }
        Self::from_rows(&rows, vault).map(Arc::new)
    }

    fn from_rows(rows: &[SigningKeyRow], vault: &Vault) -> Result<Self> {
        let newest = rows.first().ok_or(Error::Crypto("looking for a signing key"))?;
        let private = vault.unseal(&secret_name(&newest.kid), &newest.sealed)?;
        let jwks = rows.iter().map(jwk).collect::<Result<Vec<_>>>()?;
        let verifying = jwks
            .iter()
            .map(|jwk| Ok((jwk.kid.clone(), DecodingKey::from_ec_components(&jwk.x, &jwk.y)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            signing_kid: newest.kid.clone(),
            signing: EncodingKey::from_ec_der(&private),
            verifying,
            jwks,
        })
    }

    pub(crate) fn verifying(&self, kid: &str) -> Option<&DecodingKey> {
        self.verifying.get(kid)
    }

    #[must_use]
    pub fn jwk_set(&self) -> JwkSet {
        JwkSet { keys: self.jwks.clone() }
    }
}

fn generate(vault: &Vault) -> Result<SigningKeyRow> {
    let pair = KeyPair::generate()?;
    let kid = Uuid::new_v4().to_string();
    Ok(SigningKeyRow {
        public_key: pair.public_key_raw().to_vec(),
        sealed: vault.seal(&secret_name(&kid), pair.serialized_der())?,
        kid,
        retires_at: None,
    })
}

fn secret_name(kid: &str) -> String {
    format!("signing key {kid}")
}

/// An uncompressed point is 0x04, x, y.
fn jwk(row: &SigningKeyRow) -> Result<Jwk> {
    let [4, point @ ..] = row.public_key.as_slice() else {
        return Err(Error::Crypto("reading a public key"));
    };
    let (x, y) = point.split_at_checked(32).ok_or(Error::Crypto("reading a public key"))?;
    Ok(Jwk {
        kty: "EC",
        crv: "P-256",
        usage: "sig",
        alg: "ES256",
        kid: row.kid.clone(),
        x: URL_SAFE_NO_PAD.encode(x),
        y: URL_SAFE_NO_PAD.encode(y),
    })
}

#[cfg(test)]
pub(crate) fn for_tests() -> Arc<SigningKeys> {
    let directory = tempfile::tempdir().unwrap();
    let vault = Vault::open(None, &directory.path().join("key")).unwrap();
    let row = generate(&vault).unwrap();
    Arc::new(SigningKeys::from_rows(&[row], &vault).unwrap())
}
