//! Who may do what on an instance: the service behind `/api/2.0/permissions/database-instances`.

use lakeport_api::IdentityType;
use lakeport_api::permission::{
    AccessControlChange, AccessControlEntry, AccessControlRequest, ObjectPermissions, Permission,
    PermissionLevel, PermissionLevels,
};
use lakeport_store::{Instance, Principal};

use crate::access::kind_of;
use crate::{Capability, Control, Error, Result};

const OBJECT_TYPE: &str = "database-instances";
/// Its members manage everything, by inheritance and not by entry.
const ADMINS: &str = "admins";
/// More entries than any list needs.
const MAX_ENTRIES: usize = 1000;

impl Control {
    #[must_use]
    pub fn permission_levels(&self) -> PermissionLevels {
        let level = |capability: Capability, description: &str| PermissionLevel {
            permission_level: capability.as_str().to_owned(),
            description: description.to_owned(),
        };
        PermissionLevels {
            permission_levels: vec![
                level(
                    Capability::CanUse,
                    "Can see the instance and log in, register databases, create synced tables, and \
                     add a PostgreSQL role for oneself",
                ),
                level(
                    Capability::CanManage,
                    "Can change, stop and delete the instance, and manage roles and permissions",
                ),
            ],
        }
    }

    pub async fn instance_permissions(&self, instance: &Instance) -> Result<ObjectPermissions> {
        let given = self.store.permissions(instance.uid).await?;
        let direct = given.iter().map(|given| {
            let permission =
                Permission { permission_level: given.level.clone(), ..Permission::default() };
            entry(&given.principal, permission)
        });
        let admins = AccessControlEntry {
            group_name: Some(ADMINS.to_owned()),
            all_permissions: vec![Permission {
                permission_level: Capability::CanManage.as_str().to_owned(),
                inherited: true,
                inherited_from_object: vec![format!("/{OBJECT_TYPE}/")],
            }],
            ..AccessControlEntry::default()
        };
        Ok(ObjectPermissions {
            object_id: format!("/{OBJECT_TYPE}/{}", instance.name),
            object_type: OBJECT_TYPE.to_owned(),
            access_control_list: direct.chain([admins]).collect(),
        })
    }

    /// All of the request is checked before any of it is done. Taking a permission away refuses new
    /// logins at once.
    pub async fn change_instance_permissions(
        &self,
        instance: &Instance,
        change: &AccessControlChange,
        replace: bool,
    ) -> Result<ObjectPermissions> {
        if change.access_control_list.len() > MAX_ENTRIES {
            return Err(Error::invalid(
                "access_control_list",
                format!("at most {MAX_ENTRIES} entries are accepted"),
            ));
        }
        let mut levels: Vec<(i64, Capability)> = Vec::new();
        for (index, request) in change.access_control_list.iter().enumerate() {
            let Some((principal, level)) = self.grant_of(index, request).await? else { continue };
            match levels.iter_mut().find(|(id, _)| *id == principal.id) {
                Some((_, known)) => *known = level.max(*known),
                None => levels.push((principal.id, level)),
            }
        }
        let rows: Vec<_> = levels.iter().map(|(id, level)| (*id, level.as_str())).collect();
        if !self.store.set_permissions(instance.uid, &rows, replace).await? {
            return Err(Error::not_found("database instance", &instance.name));
        }
        self.rights_changed().await;
        self.instance_permissions(instance).await
    }

    /// None for the administrators' own entry, which clients send back as they have read it.
    async fn grant_of(
        &self,
        index: usize,
        request: &AccessControlRequest,
    ) -> Result<Option<(Principal, Capability)>> {
        let field = format!("access_control_list[{index}]");
        let (kind, name) = named(&field, request)?;
        let text = request.permission_level.as_deref().unwrap_or_default();
        let level = Capability::of_level(text);
        if level == Capability::None {
            return Err(Error::invalid(
                &format!("{field}.permission_level"),
                format!("\"{text}\" is not one of CAN_USE, CAN_MANAGE"),
            ));
        }
        if kind == IdentityType::Group && name == ADMINS {
            return match level {
                Capability::CanManage => Ok(None),
                _ => Err(Error::invalid(
                    &field,
                    "administrators always have CAN_MANAGE; leave their entry out",
                )),
            };
        }
        let principal = self.store.principal(name).await?;
        match principal.filter(|principal| kind_of(principal) == kind) {
            Some(principal) => Ok(Some((principal, level))),
            None => Err(Error::invalid(
                &field,
                format!(
                    "there is no {} \"{name}\"; check the name, or create it first",
                    noun(kind)
                ),
            )),
        }
    }
}

fn named<'a>(field: &str, request: &'a AccessControlRequest) -> Result<(IdentityType, &'a str)> {
    let names = [
        (IdentityType::User, request.user_name.as_deref()),
        (IdentityType::Group, request.group_name.as_deref()),
        (IdentityType::ServicePrincipal, request.service_principal_name.as_deref()),
    ];
    let mut given =
        names.into_iter().filter_map(|(kind, name)| Some((kind, name.filter(|n| !n.is_empty())?)));
    match (given.next(), given.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(Error::invalid(
            field,
            "name exactly one of user_name, group_name, service_principal_name",
        )),
    }
}

fn noun(kind: IdentityType) -> &'static str {
    match kind {
        IdentityType::User => "user",
        IdentityType::Group => "group",
        IdentityType::ServicePrincipal => "service principal",
        IdentityType::PgOnly => "role",
    }
}

fn entry(principal: &Principal, permission: Permission) -> AccessControlEntry {
    let name = Some(principal.user_name.clone());
    let mut entry = AccessControlEntry {
        display_name: Some(principal.display_name.clone()),
        all_permissions: vec![permission],
        ..AccessControlEntry::default()
    };
    match kind_of(principal) {
        IdentityType::Group => {
            entry.group_name = name;
            entry.display_name = None;
        }
        IdentityType::ServicePrincipal => entry.service_principal_name = name,
        IdentityType::User | IdentityType::PgOnly => entry.user_name = name,
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_one_principal() {
        let of = |user: Option<&str>, group: Option<&str>| AccessControlRequest {
            user_name: user.map(str::to_owned),
            group_name: group.map(str::to_owned),
            ..AccessControlRequest::default()
        };
        assert_eq!(named("f", &of(Some("a"), None)).unwrap(), (IdentityType::User, "a"));
        assert_eq!(named("f", &of(Some(""), Some("g"))).unwrap(), (IdentityType::Group, "g"));
        for (user, group) in [(None, None), (Some(""), None), (Some("a"), Some("g"))] {
            assert!(named("f", &of(user, group)).unwrap_err().message().starts_with("f: "));
        }
    }
}
