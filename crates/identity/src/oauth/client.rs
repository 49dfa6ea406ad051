//! Who asks for tokens: the public client of every official tool, or a service principal with a secret.

use lakeport_store::Principal;
use uuid::Uuid;

use super::{Code, Error, OAuth};
use crate::opaque::digest_of;

/// The client id that the official CLI and SDKs use for logins by browser.
pub const CLI_CLIENT: &str = "databricks-cli";

/// A client that has shown who it is, as far as it can.
pub enum Client {
    /// Runs on its user's machine and keeps no secret.
    Public,
    Service {
        principal: Principal,
        secret: Uuid,
    },
}

impl Client {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Public => CLI_CLIENT,
            Self::Service { principal, .. } => &principal.user_name,
        }
    }
}

impl OAuth {
    pub async fn client(&self, id: &str, secret: Option<&str>) -> Result<Client, Error> {
        if id == CLI_CLIENT {
            return match secret.filter(|secret| !secret.is_empty()) {
                None => Ok(Client::Public),
                Some(_) => Err(Error::refused(
                    Code::InvalidClient,
                    "client_secret: the client databricks-cli has none; leave it out",
                )),
            };
        }
        // One text for an unknown id and for a wrong secret: neither is told from the other.
        let refused = || {
            Error::refused(
                Code::InvalidClient,
                "Client authentication failed: the client id is not known, or the secret is wrong, \
                 deleted or expired.",
            )
        };
        let application = Uuid::parse_str(id).map_err(|_| refused())?;
        let secret = secret.ok_or_else(refused)?;
        let found = self.store.principal_by_secret(application, &digest_of(secret)).await?;
        let (principal, secret) = found.ok_or_else(refused)?;
        Ok(Client::Service { principal, secret })
    }
}
