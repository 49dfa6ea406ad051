//! Logins with a password that PostgreSQL itself keeps for a role (`enable_pg_native_login`).
//!
//! Such a role is nobody's here: no token, permission or group speaks for it, so only roles that are no
//! identity's have this way in. Otherwise a password that somebody once chose would outlive its owner's
//! rights.

use lakeport_api::IdentityType;
use lakeport_engine::MAINTENANCE_DATABASE;
use lakeport_pg::scram_matches;
use lakeport_store::Instance;
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::instance_roles::kind_in;
use crate::instances::spec_of;
use crate::roles::is_reserved;
use crate::{Control, Error, Result};

/// Each takes a connection to the instance and some milliseconds, and strangers can cause them.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// What PostgreSQL would ask of the role, too.
const VERIFIER: &str = "select a.rolpassword, pg_catalog.shobj_description(a.oid, 'pg_authid')
    from pg_catalog.pg_authid a
    where a.rolname = $1 and a.rolcanlogin and not a.rolsuper
      and coalesce(a.rolvaliduntil > pg_catalog.now(), true)";

impl Control {
    /// Whether this is the role's password on this instance, and one may log in with it there.
    pub async fn native_login(&self, uid: &str, role: &str, password: String) -> Result<bool> {
        let Some(instance) = self.instance_with_native_logins(uid).await? else { return Ok(false) };
        if !self.is_nobodys(&instance, role).await? {
            return Ok(false);
        }
        let _turn = AT_ONCE.acquire().await;
        let session = self.admin_session(&instance, MAINTENANCE_DATABASE).await?;
        let row = session.query_opt(VERIFIER, &[&role]).await.map_err(|error| {
            Error::internal("reading a role's verifier", lakeport_pg::describe(&error))
        })?;
        // Made by the API or in SQL: its comment would say that it is an identity's.
        let own = row.filter(|row| {
            let comment: Option<String> = row.get(1);
            comment.as_deref().and_then(kind_in).is_none_or(|kind| kind == IdentityType::PgOnly)
        });
        let verifier: Option<String> = own.and_then(|row| row.get(0));
        let compared = move || scram_matches(verifier.as_deref(), &password);
        let compared = tokio::task::spawn_blocking(compared).await;
        compared.map_err(|error| Error::internal("checking a password", error))
    }

    /// Whether a session that a native password has opened could be opened now.
    pub(crate) async fn has_native_logins(&self, uid: Uuid) -> Result<bool> {
        Ok(self.instance_with_native_logins(&uid.to_string()).await?.is_some())
    }

    async fn instance_with_native_logins(&self, uid: &str) -> Result<Option<Instance>> {
        let Ok(uid) = Uuid::parse_str(uid) else { return Ok(None) };
        let Some(instance) = self.store.instance(uid).await? else { return Ok(None) };
        let native = spec_of(&instance)?.native_login();
        Ok(native.then_some(instance))
    }

    async fn is_nobodys(&self, instance: &Instance, role: &str) -> Result<bool> {
        let taken = is_reserved(role) || looks_like_identity(role) || role == instance.creator;
        Ok(!taken && self.store.principal(role).await?.is_none())
    }
}

/// User names are mail addresses, and service principals go by a UUID. A role that is named like one is
/// taken for an identity's even when that identity is gone.
pub(crate) fn looks_like_identity(role: &str) -> bool {
    role.contains('@') || Uuid::parse_str(role).is_ok()
}

#[cfg(test)]
mod tests {
    use super::looks_like_identity;

    #[test]
    fn addresses_and_uuids_are_identities() {
        for name in ["bob@example.com", "8d9c2e4f-0000-4000-8000-00000000abcd"] {
            assert!(looks_like_identity(name), "{name}");
        }
        for name in ["app", "metabase_reader", "8d9c"] {
            assert!(!looks_like_identity(name), "{name}");
        }
    }
}
