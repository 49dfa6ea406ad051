//! Secrets of service principals.

use jiff::Timestamp;
use lakeport_store::{Principal, Store, TokenInfo};
use uuid::Uuid;

use crate::Result;
use crate::opaque::OpaqueToken;

/// Makes and stores a secret with which the service principal gets access tokens.
pub async fn make_secret(
    store: &Store,
    owner: &Principal,
    expires_at: Option<Timestamp>,
) -> Result<(OpaqueToken, TokenInfo)> {
    let secret = OpaqueToken::draw("lkpc_")?;
    let info =
        store.add_service_secret(Uuid::new_v4(), owner.id, &secret.digest(), expires_at).await?;
    Ok((secret, info))
}
