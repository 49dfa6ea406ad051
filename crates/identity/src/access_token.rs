//! Personal access tokens: what a caller sends who has made one for itself.

use jiff::Timestamp;
use lakeport_store::{Principal, Store, TokenInfo};
use uuid::Uuid;

use crate::Result;
use crate::opaque::{OpaqueToken, digest_of};

const PREFIX: &str = "lkpt_";

/// Makes and stores a token.
pub async fn issue(
    store: &Store,
    principal: &Principal,
    comment: &str,
    expires_at: Option<Timestamp>,
) -> Result<(OpaqueToken, TokenInfo)> {
    let token = OpaqueToken::draw(PREFIX)?;
    let info = store.add_access_token(principal.id, &token.digest(), comment, expires_at).await?;
    Ok((token, info))
}

/// The principal whose token this is, and the token's id.
pub async fn authenticate(store: &Store, token: &str) -> Result<Option<(Principal, Uuid)>> {
    if !token.starts_with(PREFIX) {
        return Ok(None);
    }
    Ok(store.principal_by_token(&digest_of(token)).await?)
}
