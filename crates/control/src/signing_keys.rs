//! The token-signing keys: rotating them, and keeping up with other servers that do.

use lakeport_store::Principal;

use crate::access::require_admin;
use crate::{Control, Result};

impl Control {
    /// A new key signs from now on; what the old one has signed stays good until it expires.
    pub async fn rotate_signing_key(&self, caller: &Principal) -> Result<String> {
        require_admin(caller)?;
        Ok(self.keys.rotate(&self.store, &self.vault).await?)
    }

    /// Makes sure that the key of a token is known here, if it is anywhere.
    pub async fn meet_signing_key(&self, token: &str) -> Result<()> {
        Ok(self.keys.meet(token, &self.store, &self.vault).await?)
    }

    pub async fn reload_signing_keys(&self) -> Result<()> {
        Ok(self.keys.reload(&self.store, &self.vault).await?)
    }
}
