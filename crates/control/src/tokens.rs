//! Personal access tokens, and the secrets of service principals.

use jiff::{SignedDuration, Timestamp};
use lakeport_identity::{OpaqueToken, oauth};
use lakeport_store::{Principal, PrincipalKind, TokenInfo};
use uuid::Uuid;

use crate::access::require_admin;
use crate::{Control, Error, Result};

const MAX_COMMENT_BYTES: usize = 256;
/// Two years, as the service has it.
const MAX_LIFETIME: SignedDuration = SignedDuration::from_hours(730 * 24);

impl Control {
    pub async fn create_token(
        &self,
        caller: &Principal,
        comment: &str,
        lifetime_seconds: Option<i64>,
    ) -> Result<(OpaqueToken, TokenInfo)> {
        if comment.len() > MAX_COMMENT_BYTES {
            return Err(Error::invalid("comment", "it is longer than 256 bytes"));
        }
        let expires_at = expiry("lifetime_seconds", lifetime_seconds)?;
        Ok(lakeport_identity::issue(&self.store, caller, comment, expires_at).await?)
    }

    pub async fn list_tokens(&self, caller: &Principal) -> Result<Vec<TokenInfo>> {
        Ok(self.store.access_tokens(caller.id).await?)
    }

    pub async fn delete_token(&self, caller: &Principal, id: &str) -> Result<()> {
        let not_found = || Error::not_found("token", id);
        let uuid = Uuid::parse_str(id).map_err(|_| not_found())?;
        let ended = self.store.revoke_access_token(caller.id, uuid).await?;
        self.rights_changed().await;
        if ended { Ok(()) } else { Err(not_found()) }
    }

    pub async fn create_secret(
        &self,
        caller: &Principal,
        service_principal: &str,
        lifetime_seconds: Option<i64>,
    ) -> Result<(OpaqueToken, TokenInfo)> {
        require_admin(caller)?;
        let owner = self.service_principal(caller, service_principal).await?;
        let default = Timestamp::now() + MAX_LIFETIME;
        let expires_at = expiry("lifetime", lifetime_seconds)?.unwrap_or(default);
        Ok(oauth::make_secret(&self.store, &owner, Some(expires_at)).await?)
    }

    pub async fn list_secrets(
        &self,
        caller: &Principal,
        service_principal: &str,
    ) -> Result<Vec<TokenInfo>> {
        let owner = self.service_principal(caller, service_principal).await?;
        Ok(self.store.service_secrets(owner.id).await?)
    }

    pub async fn delete_secret(
        &self,
        caller: &Principal,
        service_principal: &str,
        id: &str,
    ) -> Result<()> {
        require_admin(caller)?;
        let owner = self.service_principal(caller, service_principal).await?;
        let not_found = || Error::not_found("secret", id);
        let uuid = Uuid::parse_str(id).map_err(|_| not_found())?;
        let ended = self.store.delete_service_secret(owner.id, uuid).await?;
        self.rights_changed().await;
        if ended { Ok(()) } else { Err(not_found()) }
    }

    async fn service_principal(&self, caller: &Principal, id: &str) -> Result<Principal> {
        self.get_principal(caller, PrincipalKind::ServicePrincipal, id).await
    }
}

fn expiry(field: &str, seconds: Option<i64>) -> Result<Option<Timestamp>> {
    let Some(seconds) = seconds else { return Ok(None) };
    let lifetime = SignedDuration::from_secs(seconds);
    if seconds < 1 || lifetime > MAX_LIFETIME {
        return Err(Error::invalid(field, "it must be between 1 second and 730 days"));
    }
    Ok(Some(Timestamp::now() + lifetime))
}
