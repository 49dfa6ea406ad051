//! Personal access tokens: random, shown once, stored as digests.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use lakeport_store::{Principal, Store};

use crate::{Error, Result};

/// Lets secret scanners recognise a token.
const PREFIX: &str = "lkpt_";

/// A token's text, which only its owner ever sees.
pub struct AccessToken(String);

impl AccessToken {
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(***)")
    }
}

/// Makes and stores a token.
pub async fn issue(
    store: &Store,
    principal: &Principal,
    comment: &str,
    expires_at: Option<Timestamp>,
) -> Result<AccessToken> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| Error::Crypto("drawing an access token"))?;
    let token = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
    store.add_access_token(principal.id, &digest_of(&token), comment, expires_at).await?;
    Ok(AccessToken(token))
}

/// The principal whose token this is.
pub async fn authenticate(store: &Store, token: &str) -> Result<Option<Principal>> {
    if !token.starts_with(PREFIX) {
        return Ok(None);
    }
    Ok(store.principal_by_token(&digest_of(token)).await?)
}

fn digest_of(token: &str) -> Vec<u8> {
    digest(&SHA256, token.as_bytes()).as_ref().to_vec()
}
