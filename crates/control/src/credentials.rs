//! Database credentials.

use lakeport_api::{DatabaseCredential, GenerateCredentialRequest};
use lakeport_identity::CredentialRequest;
use lakeport_store::Principal;
use uuid::Uuid;

use crate::{Capability, Control, Error, Result};

/// More names than any client has a use for.
const MAX_INSTANCES: usize = 100;

impl Control {
    /// A token with which the caller can log in to the named instances, or read the named tables. It ends
    /// with `origin`, what the caller has shown to get it.
    pub async fn generate_credential(
        &self,
        caller: &Principal,
        origin: Uuid,
        request: &GenerateCredentialRequest,
    ) -> Result<DatabaseCredential> {
        let mut instances = self.named_instances(caller, request).await?;
        let claims = request.claims.as_deref().unwrap_or_default();
        let mut role = None;
        if !claims.is_empty() {
            let reader = self.reader_for(caller, claims, self.credentials.expiry()).await?;
            let opened: Vec<_> = reader.instances.iter().map(|i| i.uid.to_string()).collect();
            if instances.iter().any(|uid| !opened.contains(uid)) {
                return Err(Error::invalid(
                    "instance_names",
                    "with claims, name the instances of their tables, or none",
                ));
            }
            instances = opened;
            role = Some(reader.role);
        }
        if instances.is_empty() {
            return Err(Error::invalid(
                "instance_names",
                "name at least one instance that the token is for",
            ));
        }
        let request = CredentialRequest { owner: caller, instances, origin: Some(origin), role };
        let (token, expires_at) = self.credentials.issue(request)?;
        Ok(DatabaseCredential { token, expiration_time: expires_at.to_string() })
    }

    async fn named_instances(
        &self,
        caller: &Principal,
        request: &GenerateCredentialRequest,
    ) -> Result<Vec<String>> {
        let names = request.instance_names.as_deref().unwrap_or_default();
        if names.len() > MAX_INSTANCES {
            return Err(Error::invalid("instance_names", "at most 100 are accepted"));
        }
        let mut uids = Vec::with_capacity(names.len());
        for name in names {
            let instance = self.authorize_instance(caller, name, Capability::CanUse).await?;
            let uid = instance.uid.to_string();
            if !uids.contains(&uid) {
                uids.push(uid);
            }
        }
        Ok(uids)
    }
}
