//! Token-signing keys: ES256, sealed in the metadata database, published as a JWK set.
//!
//! One signs; those that it has replaced verify until the last token that they signed has expired. Several
//! servers share them, so each learns of a new one when it meets it, and looks from time to time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{DecodingKey, EncodingKey, decode_header};
use lakeport_store::{SigningKeyRow, Store};
use rcgen::KeyPair;
use serde::Serialize;
use uuid::Uuid;

use crate::jwt::MAX_LIFETIME;
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

/// How much longer than its tokens a key lives: another server may sign with it until it looks again.
const RETIREMENT_MARGIN: Duration = Duration::from_secs(10 * 60);
/// How often unknown key ids make a server look: strangers can send them.
const LOOK_AT_MOST_EVERY: Duration = Duration::from_secs(1);

/// The keys of an installation, as this server knows them.
pub struct SigningKeys {
    current: RwLock<Arc<KeySet>>,
    looked: Mutex<Instant>,
}

/// The key that signs and all that verify.
pub(crate) struct KeySet {
    pub(crate) signing_kid: String,
    pub(crate) signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
    jwks: Vec<Jwk>,
}

impl SigningKeys {
    /// Loads the keys; makes the first one on a new installation.
    pub async fn load(store: &Store, vault: &Vault) -> Result<Arc<Self>> {
        let rows = store.signing_keys().await?;
        if !rows.iter().any(|row| row.retires_at.is_none()) {
            store.first_signing_key(&generate(vault)?).await?;
        }
        Ok(Arc::new(Self::of(read(store, vault).await?)))
    }

    fn of(keys: KeySet) -> Self {
        Self { current: RwLock::new(Arc::new(keys)), looked: Mutex::new(Instant::now()) }
    }

    /// A new key signs from now on. Returns its id.
    pub async fn rotate(&self, store: &Store, vault: &Vault) -> Result<String> {
        let new = generate(vault)?;
        let retires_at = Timestamp::now() + MAX_LIFETIME + RETIREMENT_MARGIN;
        store.replace_signing_key(&new, retires_at).await?;
        self.reload(store, vault).await?;
        tracing::info!(new.kid, "the token-signing key was rotated");
        Ok(new.kid)
    }

    /// Takes what is stored, which other servers may have changed.
    pub async fn reload(&self, store: &Store, vault: &Vault) -> Result<()> {
        let keys = Arc::new(read(store, vault).await?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Looks for the key of a token if it is not known: another server may have made it just now.
    pub async fn meet(&self, token: &str, store: &Store, vault: &Vault) -> Result<()> {
        let kid = decode_header(token).ok().and_then(|header| header.kid);
        match kid {
            Some(kid) if !self.current().verifying.contains_key(&kid) && self.may_look() => {
                self.reload(store, vault).await
            }
            _ => Ok(()),
        }
    }

    fn may_look(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let may = looked.elapsed() >= LOOK_AT_MOST_EVERY;
        if may {
            *looked = Instant::now();
        }
        may
    }

    /// A panic elsewhere cannot leave it half written, so a poisoned lock is as good as any.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    #[must_use]
    pub fn jwk_set(&self) -> JwkSet {
        JwkSet { keys: self.current().jwks.clone() }
    }
}

async fn read(store: &Store, vault: &Vault) -> Result<KeySet> {
    KeySet::from_rows(&store.signing_keys().await?, vault)
}

impl KeySet {
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
    Arc::new(SigningKeys::of(KeySet::from_rows(&[row], &vault).unwrap()))
}
