//! The authorizer: what a principal may do with an instance and with what hangs on it.
//!
//! Owns: every answer to "may it?". The REST API, the gateway and whatever else serves callers ask here
//! and nowhere else. What a caller may not see is answered like what does not exist.

use lakeport_api::IdentityType;
use lakeport_store::{App, Instance, Principal, PrincipalKind, Subject};
use uuid::Uuid;

use crate::{Control, Error, Result};

/// Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    None,
    /// See the instance, log in, register databases, create synced tables, add a role for oneself.
    CanUse,
    /// Everything.
    CanManage,
}

impl Capability {
    /// As on the wire and in the metadata.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::CanUse => "CAN_USE",
            Self::CanManage => "CAN_MANAGE",
        }
    }

    pub(crate) fn of_level(level: &str) -> Self {
        match level {
            "CAN_MANAGE" => Self::CanManage,
            "CAN_USE" => Self::CanUse,
            _ => Self::None,
        }
    }
}

/// Who has it, directly or through a group, may create instances.
const CREATE_INSTANCES: &str = "allow-cluster-create";

/// What a principal is.
pub(crate) fn kind_of(principal: &Principal) -> IdentityType {
    match principal.kind {
        PrincipalKind::User => IdentityType::User,
        PrincipalKind::ServicePrincipal => IdentityType::ServicePrincipal,
        PrincipalKind::Group => IdentityType::Group,
    }
}

pub(crate) fn require_admin(caller: &Principal) -> Result<()> {
    if caller.is_admin {
        return Ok(());
    }
    Err(Error::denied("only members of the group \"admins\" may do this"))
}

impl Control {
    pub async fn capability(&self, principal: &Principal, instance: Uuid) -> Result<Capability> {
        if !principal.active {
            return Ok(Capability::None);
        }
        if principal.is_admin {
            return Ok(Capability::CanManage);
        }
        let levels = self.store.levels_on(instance, &self.subject_ids(principal).await?).await?;
        let best = levels.iter().map(|level| Capability::of_level(level)).max();
        Ok(best.unwrap_or(Capability::None))
    }

    pub(crate) async fn subject_ids(&self, principal: &Principal) -> Result<Vec<i64>> {
        Ok(self.store.subjects_of(principal.id).await?.iter().map(|subject| subject.id).collect())
    }

    /// The uids of the instances that one may use who is these subjects.
    pub(crate) async fn instances_open_to(
        &self,
        principal: &Principal,
        subjects: &[Subject],
    ) -> Result<Vec<Uuid>> {
        if principal.is_admin {
            return Ok(self.store.instance_uids().await?);
        }
        let ids: Vec<_> = subjects.iter().map(|subject| subject.id).collect();
        Ok(self.store.instances_open_to(&ids).await?)
    }

    /// Making an instance takes memory and disk of the whole installation.
    pub async fn authorize_create_instance(&self, caller: &Principal) -> Result<()> {
        let entitled =
            |subject: &Subject| subject.entitlements.iter().any(|e| e == CREATE_INSTANCES);
        if caller.is_admin || self.store.subjects_of(caller.id).await?.iter().any(entitled) {
            return Ok(());
        }
        Err(Error::denied(format!(
            "creating a database instance needs the entitlement \"{CREATE_INSTANCES}\"; ask an \
             administrator for it"
        )))
    }

    /// What belongs to the whole installation: the catalogs of the lakehouse, whose tables name files
    /// that the server reads with its own rights.
    pub fn authorize_admin(&self, caller: &Principal) -> Result<()> {
        require_admin(caller)
    }

    /// The instance of this name, if the caller has the capability on it.
    pub async fn authorize_instance(
        &self,
        caller: &Principal,
        name: &str,
        needed: Capability,
    ) -> Result<Instance> {
        let instance = self.find_instance(name).await?;
        let hidden = || Error::not_found("database instance", name);
        self.require(caller, &instance, needed, hidden).await?;
        Ok(instance)
    }

    pub async fn authorize_instance_uid(&self, caller: &Principal, uid: &str) -> Result<Instance> {
        let hidden = || Error::not_found("database instance with uid", uid);
        let id = Uuid::parse_str(uid).map_err(|_| hidden())?;
        let instance = self.store.instance(id).await?.ok_or_else(hidden)?;
        self.require(caller, &instance, Capability::CanUse, hidden).await?;
        Ok(instance)
    }

    /// Seeing a registered database needs CAN_USE; changing it, CAN_MANAGE or having registered it.
    pub async fn authorize_database_catalog(
        &self,
        caller: &Principal,
        name: &str,
        needed: Capability,
    ) -> Result<()> {
        let hidden = || Error::not_found("database catalog", name);
        let catalog = self.store.database_catalog(name).await?.ok_or_else(hidden)?;
        let instance = self.store.instance(catalog.instance_uid).await?.ok_or_else(hidden)?;
        let needed = as_creator(caller, &catalog.creator, needed);
        self.require(caller, &instance, needed, hidden).await
    }

    /// An app is its maker's and the administrators'; for others it does not exist.
    pub(crate) async fn authorize_app(&self, caller: &Principal, name: &str) -> Result<App> {
        let app = self.store.app(name).await?;
        app.filter(|app| caller.is_admin || app.creator == caller.user_name)
            .ok_or_else(|| Error::not_found("app", name))
    }

    /// As for a registered database.
    pub async fn authorize_synced_table(
        &self,
        caller: &Principal,
        name: &str,
        needed: Capability,
    ) -> Result<()> {
        let hidden = || Error::not_found("synced table", name);
        let table = self.store.synced_table(name).await?.ok_or_else(hidden)?;
        let instance = self.store.instance(table.instance_uid).await?.ok_or_else(hidden)?;
        let needed = as_creator(caller, &table.creator, needed);
        self.require(caller, &instance, needed, hidden).await
    }

    /// As for a registered database: who has made a pipeline may do with it what those who share it let
    /// be done with their tables.
    pub async fn authorize_pipeline(
        &self,
        caller: &Principal,
        id: &str,
        needed: Capability,
    ) -> Result<()> {
        let hidden = || Error::not_found("pipeline", id);
        let uuid = Uuid::parse_str(id).map_err(|_| hidden())?;
        let pipeline = self.store.pipeline(uuid).await?.ok_or_else(hidden)?;
        let instance = self.store.instance(pipeline.instance_uid).await?.ok_or_else(hidden)?;
        let needed = as_creator(caller, &pipeline.creator, needed);
        self.require(caller, &instance, needed, hidden).await
    }

    /// Whether a new synced table may be written where its name or its fields say.
    pub async fn authorize_synced_table_target(
        &self,
        caller: &Principal,
        name: &str,
        instance_name: Option<&str>,
    ) -> Result<()> {
        let catalog = name.split('.').next().unwrap_or_default();
        let registered = self.store.database_catalog(catalog).await?;
        let targets = registered.map(|catalog| catalog.instance_name);
        let given = instance_name.filter(|name| !name.is_empty()).map(str::to_owned);
        // Names that lead nowhere are the service's to explain.
        for target in targets.into_iter().chain(given) {
            self.authorize_instance(caller, &target, Capability::CanUse).await?;
        }
        Ok(())
    }

    async fn require(
        &self,
        caller: &Principal,
        instance: &Instance,
        needed: Capability,
        hidden: impl Fn() -> Error,
    ) -> Result<()> {
        match self.capability(caller, instance.uid).await? {
            Capability::None => Err(hidden()),
            has if has >= needed => Ok(()),
            has => Err(Error::denied(format!(
                "this needs {} on database instance \"{}\", and you have {}; ask who manages it",
                needed.as_str(),
                instance.name,
                has.as_str()
            ))),
        }
    }
}

/// Who has made a thing may change it for as long as it may use the instance.
fn as_creator(caller: &Principal, creator: &str, needed: Capability) -> Capability {
    if caller.user_name == creator { needed.min(Capability::CanUse) } else { needed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_ordered_and_named() {
        assert!(
            Capability::None < Capability::CanUse && Capability::CanUse < Capability::CanManage
        );
        for capability in [Capability::CanUse, Capability::CanManage] {
            assert_eq!(Capability::of_level(capability.as_str()), capability);
        }
        assert_eq!(Capability::of_level("CAN_CREATE"), Capability::None);
    }
}
