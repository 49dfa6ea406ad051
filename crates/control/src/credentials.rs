//! Database credentials.

use lakeport_api::{DatabaseCredential, GenerateCredentialRequest};

use crate::{Control, Error, Result};

/// More names than any client has a use for.
const MAX_INSTANCES: usize = 100;

impl Control {
    /// A token with which the caller can log in to the named instances for one hour.
    pub async fn generate_credential(
        &self,
        caller: &str,
        request: &GenerateCredentialRequest,
    ) -> Result<DatabaseCredential> {
        if request.claims.as_ref().is_some_and(|claims| !claims.is_empty()) {
            return Err(Error::unsupported(
                "claims: tokens limited to tables are not supported; leave claims out to get a \
                 token with the rights of your role",
            ));
        }
        let names = request.instance_names.as_deref().unwrap_or_default();
        if names.is_empty() {
            return Err(Error::invalid(
                "instance_names",
                "name at least one instance that the token is for",
            ));
        }
        if names.len() > MAX_INSTANCES {
            return Err(Error::invalid("instance_names", "at most 100 are accepted"));
        }
        let mut uids = Vec::with_capacity(names.len());
        for name in names {
            let uid = self.find_instance(name).await?.uid.to_string();
            if !uids.contains(&uid) {
                uids.push(uid);
            }
        }
        let (token, expires_at) = self.credentials.issue(caller, uids)?;
        Ok(DatabaseCredential { token, expiration_time: expires_at.to_string() })
    }
}
