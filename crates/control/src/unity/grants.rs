//! Permissions on catalogs, schemas and tables: the service behind `/permissions` and
//! `/effective-permissions`.
//!
//! On the embedded catalog they are rows of ours; on a registered database they are PostgreSQL's grants, read
//! and written where they are.

use std::collections::BTreeMap;

use lakeport_api::unity_grants::{
    EffectiveAssignment, EffectivePermissionsList, EffectivePrivilege, PermissionsList,
    PrivilegeAssignment, UpdatePermissions,
};
use lakeport_catalog::split_name;
use lakeport_store::{EVERYBODY, GrantPlace, Principal, UnityGrant};

use super::Behind;
use super::database_grants::Change;
use super::rights::{
    ALL, CREATE_EXTERNAL_TABLE, CREATE_SCHEMA, CREATE_TABLE, MANAGE, MODIFY, SELECT, USE_CATALOG,
    USE_SCHEMA, Who, full_name, lacking,
};
use crate::{Capability, Control, Error, Kind, Result};

const ON_TABLES: &[&str] = &[ALL, "APPLY_TAG", "BROWSE", MANAGE, MODIFY, SELECT];
const ON_SCHEMAS: &[&str] = &[CREATE_EXTERNAL_TABLE, CREATE_TABLE, USE_SCHEMA];
const ON_CATALOGS: &[&str] = &[CREATE_SCHEMA, USE_CATALOG];

impl Control {
    pub async fn get_permissions(
        &self,
        caller: &Principal,
        kind: &str,
        name: &str,
        principal: Option<&str>,
    ) -> Result<PermissionsList> {
        let place = place_of(kind, name)?;
        let grants = self.grants_shown(caller, &place, principal).await?;
        Ok(PermissionsList {
            privilege_assignments: direct(&grants, &place),
            next_page_token: None,
        })
    }

    pub async fn get_effective_permissions(
        &self,
        caller: &Principal,
        kind: &str,
        name: &str,
        principal: Option<&str>,
    ) -> Result<EffectivePermissionsList> {
        let place = place_of(kind, name)?;
        let grants = self.grants_shown(caller, &place, principal).await?;
        Ok(EffectivePermissionsList {
            privilege_assignments: effective(&grants, &place),
            next_page_token: None,
        })
    }

    /// The grants on a place and above it: all of them for whoever manages it, else the caller's own.
    async fn grants_shown(
        &self,
        caller: &Principal,
        place: &GrantPlace,
        principal: Option<&str>,
    ) -> Result<Vec<UnityGrant>> {
        let who = self.who(caller).await?;
        let (behind, manages) = self.place_behind(caller, &who, place).await?;
        let mut grants = match &behind {
            Behind::Embedded(_) => self.store.unity_grants(place, None).await?,
            Behind::Database(row) => self.mirror(row).await?.grants(place).await?,
        };
        let own = |grant: &UnityGrant| manages || who.names.contains(&grant.principal);
        let asked = |grant: &UnityGrant| principal.is_none_or(|name| name == grant.principal);
        grants.retain(|grant| own(grant) && asked(grant));
        Ok(grants)
    }

    /// All changes, or none.
    pub async fn update_permissions(
        &self,
        caller: &Principal,
        kind: &str,
        name: &str,
        request: &UpdatePermissions,
    ) -> Result<PermissionsList> {
        let place = place_of(kind, name)?;
        let who = self.who(caller).await?;
        let (behind, manages) = self.place_behind(caller, &who, &place).await?;
        if !manages {
            return Err(lacking("ownership or MANAGE", &full_name(&place)));
        }
        let change = self.checked_change(&place, request).await?;
        match &behind {
            Behind::Embedded(_) => {
                let changed =
                    self.store.change_unity_grants(&place, &change.remove, &change.add).await;
                match changed {
                    Err(lakeport_store::Error::Constraint(_)) => {
                        return Err(Error::conflict(
                            "an object or a principal went away: try again",
                        ));
                    }
                    changed => changed?,
                }
            }
            Behind::Database(row) => self.mirror(row).await?.change(&place, &change).await?,
        }
        self.get_permissions(caller, kind, name, None).await
    }

    /// Whether the place is there for the caller, and whether its grants are the caller's to change.
    async fn place_behind(
        &self,
        caller: &Principal,
        who: &Who,
        place: &GrantPlace,
    ) -> Result<(Behind, bool)> {
        let name = full_name(place);
        let what = match place {
            GrantPlace { table: Some(_), .. } => "table",
            GrantPlace { schema: Some(_), .. } => "schema",
            _ => "catalog",
        };
        let hidden = |error: Error| match error.kind() {
            Kind::NotFound => Error::not_found(what, &name),
            _ => error,
        };
        let behind = self.catalog_behind(who, &place.catalog).await.map_err(hidden)?;
        if let Behind::Database(row) = &behind {
            let owner = self.mirror(row).await?.owner_of(who, place).await?;
            let owner = owner.ok_or_else(|| Error::not_found(what, &name))?;
            // Grants are made with rights of ours, so an owner's word counts for the table alone: who owns
            // a schema, or has registered the database, may not read what is in it.
            let own = place.table.is_some() && who.is_role(&owner);
            let capability = self.capability(caller, row.instance_uid).await?;
            return Ok((behind, own || capability == Capability::CanManage));
        }
        let held = match (&place.schema, &place.table) {
            (Some(_), Some(_)) => self.known_table(who, &name).await?.1,
            (Some(schema), None) => self.known_schema(who, &place.catalog, schema).await?.1,
            _ => self.held(who, place).await?,
        };
        Ok((behind, held.manages()))
    }

    async fn checked_change(
        &self,
        place: &GrantPlace,
        request: &UpdatePermissions,
    ) -> Result<Change> {
        let mut change = Change::default();
        for wanted in &request.changes {
            let principal = wanted.principal.as_str();
            // A right of somebody who is gone can still be taken away.
            if !wanted.add.is_empty() && principal != EVERYBODY {
                let known = self.store.principal(principal).await?.ok_or_else(|| {
                    let problem = format!("\"{principal}\" is no user, service principal or group");
                    Error::invalid("changes.principal", problem)
                })?;
                if !change.principals.contains(&known) {
                    change.principals.push(known);
                }
            }
            for (given, into) in
                [(&wanted.remove, &mut change.remove), (&wanted.add, &mut change.add)]
            {
                for privilege in given {
                    into.push((principal.to_owned(), checked_privilege(place, privilege)?));
                }
            }
        }
        Ok(change)
    }
}

fn place_of(kind: &str, name: &str) -> Result<GrantPlace> {
    let bad = |form: &str| Error::invalid("full_name", format!("\"{name}\" is not {form}"));
    match kind.to_ascii_lowercase().as_str() {
        "catalog" => {
            let [catalog] = split_name(name).ok_or_else(|| bad("a catalog's name"))?;
            Ok(GrantPlace { catalog, schema: None, table: None })
        }
        "schema" => {
            let [catalog, schema] = split_name(name).ok_or_else(|| bad("catalog.schema"))?;
            Ok(GrantPlace { catalog, schema: Some(schema), table: None })
        }
        "table" => {
            let parts = split_name(name).ok_or_else(|| bad("catalog.schema.table"))?;
            let [catalog, schema, table] = parts;
            Ok(GrantPlace { catalog, schema: Some(schema), table: Some(table) })
        }
        other => Err(Error::invalid(
            "securable_type",
            format!("\"{other}\" is none of catalog, schema, table"),
        )),
    }
}

/// `USE CATALOG` is another spelling of `USE_CATALOG`.
fn checked_privilege(place: &GrantPlace, given: &str) -> Result<String> {
    let name = given.trim().to_ascii_uppercase().replace(' ', "_");
    let mut known = ON_TABLES.to_vec();
    if place.table.is_none() {
        known.extend(ON_SCHEMAS);
    }
    if place.schema.is_none() {
        known.extend(ON_CATALOGS);
    }
    if known.contains(&name.as_str()) {
        return Ok(name);
    }
    let problem = format!("\"{given}\" cannot be granted here; there are {}", known.join(", "));
    Err(Error::invalid("changes", problem))
}

fn direct(grants: &[UnityGrant], place: &GrantPlace) -> Vec<PrivilegeAssignment> {
    let mut by_principal: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for grant in grants.iter().filter(|grant| grant.place == *place) {
        by_principal.entry(&grant.principal).or_default().push(grant.privilege.clone());
    }
    let assignment = |(principal, privileges): (&str, Vec<String>)| PrivilegeAssignment {
        principal: principal.to_owned(),
        privileges,
    };
    by_principal.into_iter().map(assignment).collect()
}

/// What holds on the place, with where it comes from; what was given on it itself comes from nowhere else.
fn effective(grants: &[UnityGrant], place: &GrantPlace) -> Vec<EffectiveAssignment> {
    let mut found: BTreeMap<&str, BTreeMap<&str, &GrantPlace>> = BTreeMap::new();
    for grant in grants {
        let of_principal = found.entry(&grant.principal).or_default();
        let nearest = of_principal.entry(&grant.privilege).or_insert(&grant.place);
        if depth(&grant.place) > depth(nearest) {
            *nearest = &grant.place;
        }
    }
    let privilege = |(privilege, from): (&str, &GrantPlace)| {
        let inherited = from != place;
        EffectivePrivilege {
            privilege: privilege.to_owned(),
            inherited_from_name: inherited.then(|| full_name(from)),
            inherited_from_type: inherited.then(|| String::from(kind_of(from))),
        }
    };
    let assignment =
        |(principal, privileges): (&str, BTreeMap<&str, &GrantPlace>)| EffectiveAssignment {
            principal: principal.to_owned(),
            privileges: privileges.into_iter().map(privilege).collect(),
        };
    found.into_iter().map(assignment).collect()
}

fn depth(place: &GrantPlace) -> usize {
    usize::from(place.schema.is_some()) + usize::from(place.table.is_some())
}

fn kind_of(place: &GrantPlace) -> &'static str {
    ["CATALOG", "SCHEMA", "TABLE"][depth(place)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(place: &GrantPlace, privilege: &str) -> UnityGrant {
        UnityGrant {
            place: place.clone(),
            principal: String::from("ann"),
            privilege: privilege.to_owned(),
        }
    }

    #[test]
    fn names_and_privileges_are_checked_for_their_kind() {
        assert!(place_of("TABLE", "a.b.c").is_ok() && place_of("schema", "a.`b.c`").is_ok());
        for (kind, name) in [("catalog", "a.b"), ("schema", "a"), ("table", "a.b"), ("volume", "a")]
        {
            assert!(place_of(kind, name).is_err(), "{kind} {name}");
        }
        let table = place_of("table", "a.b.c").unwrap();
        assert_eq!(checked_privilege(&table, "select").unwrap(), "SELECT");
        assert!(checked_privilege(&table, "USE_CATALOG").is_err());
        let catalog = place_of("catalog", "a").unwrap();
        assert_eq!(checked_privilege(&catalog, "USE CATALOG").unwrap(), "USE_CATALOG");
    }

    #[test]
    fn effective_privileges_name_where_they_come_from() {
        let (catalog, table) =
            (place_of("catalog", "a").unwrap(), place_of("table", "a.b.c").unwrap());
        let grants = [grant(&catalog, SELECT), grant(&catalog, MODIFY), grant(&table, SELECT)];
        let found = effective(&grants, &table);
        let privileges = &found[0].privileges;
        assert_eq!(privileges[0].inherited_from_type.as_deref(), Some("CATALOG"));
        assert_eq!(
            (privileges[1].privilege.as_str(), &privileges[1].inherited_from_name),
            (SELECT, &None)
        );
        assert_eq!(direct(&grants, &table)[0].privileges, [SELECT]);
    }
}
