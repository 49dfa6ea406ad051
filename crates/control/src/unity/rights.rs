//! Who may see and do what in the embedded catalog.
//!
//! An administrator may do everything. An owner may do everything with what is owned and with what is
//! below it. Anybody else needs privileges, which are inherited downwards. What somebody may not know of is
//! answered like what is not there.

use std::collections::BTreeSet;

use lakeport_catalog::{TableName, join_name};
use lakeport_store::{DatabaseCatalogRow, EVERYBODY, GrantPlace, Principal, UnityTable};
use uuid::Uuid;

use crate::roles::is_reserved;
use crate::{Control, Error, Kind, Result};

pub(super) const ALL: &str = "ALL_PRIVILEGES";
pub(super) const MANAGE: &str = "MANAGE";
pub(super) const SELECT: &str = "SELECT";
pub(super) const MODIFY: &str = "MODIFY";
pub(super) const USE_CATALOG: &str = "USE_CATALOG";
pub(super) const USE_SCHEMA: &str = "USE_SCHEMA";
pub(super) const CREATE_SCHEMA: &str = "CREATE_SCHEMA";
pub(super) const CREATE_TABLE: &str = "CREATE_TABLE";
/// To register files at a location: whoever has it reads what this server reads.
pub(super) const CREATE_EXTERNAL_TABLE: &str = "CREATE_EXTERNAL_TABLE";

/// Privileges that tell of a table, wherever they were given.
const OF_TABLES: &[&str] = &[SELECT, MODIFY, MANAGE, ALL, "BROWSE", "APPLY_TAG"];

/// A caller, with every name that something may have been given to.
pub(crate) struct Who {
    pub(super) name: String,
    pub(super) admin: bool,
    pub(super) names: Vec<String>,
    instances: Vec<Uuid>,
}

impl Who {
    /// For lists: an administrator sees all.
    pub(super) fn filter(&self) -> Option<&[String]> {
        (!self.admin).then_some(self.names.as_slice())
    }

    /// The roles that may be the caller's on an instance; none of the system's, whoever is called so.
    pub(super) fn roles(&self) -> Option<Vec<&str>> {
        let own = self.names.iter().map(String::as_str).filter(|name| !is_system(name));
        (!self.admin).then(|| own.collect())
    }

    /// Whether one of the caller's roles owns what this role owns.
    pub(super) fn is_role(&self, owner: &str) -> bool {
        !is_system(owner) && self.names.iter().any(|name| name == owner)
    }

    pub(super) fn owns(&self, owner: &str) -> bool {
        self.admin || self.names.iter().any(|name| name == owner)
    }

    /// Whether the caller is one of those who may read an outside catalog.
    pub(super) fn is_among(&self, readers: &[String]) -> bool {
        self.admin || self.names.iter().any(|name| readers.contains(name))
    }

    /// Whether the instance that a catalog shows a database of is open to the caller.
    pub(super) fn reaches(&self, catalog: &DatabaseCatalogRow) -> bool {
        self.owns(&catalog.owner) || self.instances.contains(&catalog.instance_uid)
    }

    pub(super) fn instances(&self) -> &[Uuid] {
        &self.instances
    }
}

/// Roles that are nobody's.
pub(super) fn is_system(role: &str) -> bool {
    role == "postgres" || is_reserved(role)
}

/// What a caller holds on a table, a schema or a catalog.
#[derive(Debug, Default)]
pub(super) struct Held {
    everything: bool,
    owns_schema: bool,
    owns_table: bool,
    catalog: BTreeSet<String>,
    schema: BTreeSet<String>,
    table: BTreeSet<String>,
}

impl Held {
    pub(super) fn has(&self, privilege: &str) -> bool {
        let given = [&self.catalog, &self.schema, &self.table];
        self.everything
            || self.owns_schema
            || self.owns_table
            || given.iter().any(|set| set.contains(privilege) || set.contains(ALL))
    }

    /// Whether it may be changed, given away and granted.
    pub(super) fn manages(&self) -> bool {
        let given = [&self.catalog, &self.schema, &self.table];
        self.everything
            || self.owns_schema
            || self.owns_table
            || given.iter().any(|set| set.contains(MANAGE))
    }

    /// Whether it may be known that a table is there.
    pub(super) fn sees_table(&self) -> bool {
        OF_TABLES.iter().any(|privilege| self.has(privilege))
    }

    /// Whether all tables of the schema may be known of.
    pub(super) fn sees_all_tables(&self) -> bool {
        let given = [&self.catalog, &self.schema];
        let of_tables = |set: &&BTreeSet<String>| OF_TABLES.iter().any(|p| set.contains(*p));
        self.everything || self.owns_schema || given.iter().any(of_tables)
    }

    /// The privilege of the way to a schema that is missing.
    pub(super) fn missing_way(&self) -> Option<&'static str> {
        let passes = |sets: &[&BTreeSet<String>], privilege: &str| {
            sets.iter().any(|set| set.contains(privilege) || set.contains(ALL))
        };
        if self.everything {
            None
        } else if !passes(&[&self.catalog], USE_CATALOG) {
            Some(USE_CATALOG)
        } else if !self.owns_schema && !passes(&[&self.catalog, &self.schema], USE_SCHEMA) {
            Some(USE_SCHEMA)
        } else {
            None
        }
    }
}

impl Control {
    pub(crate) async fn who(&self, caller: &Principal) -> Result<Who> {
        let subjects = self.store.subjects_of(caller.id).await?;
        let mut names = vec![EVERYBODY.to_owned()];
        names.extend(subjects.iter().map(|subject| subject.name.clone()));
        Ok(Who {
            name: caller.user_name.clone(),
            admin: caller.is_admin,
            names,
            instances: self.instances_open_to(caller, &subjects).await?,
        })
    }

    /// Whether the caller owns or was given anything in a catalog or schema.
    pub(super) async fn is_named_in(
        &self,
        who: &Who,
        catalog: &str,
        schema: Option<&str>,
    ) -> Result<bool> {
        match who.filter() {
            None => Ok(true),
            Some(names) => Ok(self.store.is_named_in_unity(catalog, schema, names).await?),
        }
    }

    /// What the caller holds on a place of the embedded catalog, owners included.
    pub(super) async fn held(&self, who: &Who, place: &GrantPlace) -> Result<Held> {
        if who.admin {
            return Ok(Held { everything: true, ..Held::default() });
        }
        let mut held = Held::default();
        if let Some(catalog) = self.store.unity_catalog(&place.catalog).await? {
            held.everything = who.owns(&catalog.owner);
        }
        if let Some(schema) = &place.schema
            && let Some(row) = self.store.unity_schema(&place.catalog, schema).await?
        {
            held.owns_schema = who.owns(&row.owner);
        }
        if let (Some(schema), Some(table)) = (&place.schema, &place.table)
            && let Some(row) = self.store.unity_table(&place.catalog, schema, table).await?
        {
            held.owns_table = who.owns(&row.owner);
        }
        for grant in self.store.unity_grants(place, Some(&who.names)).await? {
            let set = match (&grant.place.schema, &grant.place.table) {
                (_, Some(_)) => &mut held.table,
                (Some(_), None) => &mut held.schema,
                (None, None) => &mut held.catalog,
            };
            set.insert(grant.privilege);
        }
        Ok(held)
    }

    /// A table that the caller may know of, with what the caller holds on it.
    pub(super) async fn known_table(
        &self,
        who: &Who,
        full_name: &str,
    ) -> Result<(UnityTable, Held)> {
        let not_found = || Error::not_found("table", full_name);
        let name: TableName = full_name.parse().map_err(|_| not_found())?;
        let row = self.store.unity_table(&name.catalog, &name.schema, &name.table).await?;
        let row = row.ok_or_else(not_found)?;
        let held = self.held(who, &place_of(&name)).await?;
        if held.sees_table() { Ok((row, held)) } else { Err(not_found()) }
    }

    /// Refuses whoever may not read the table; those who may not know of it are told that it is not there.
    pub(crate) async fn require_select(&self, caller: &Principal, name: &TableName) -> Result<()> {
        let who = self.who(caller).await?;
        if let Some(readers) = self.catalog.readers(&name.catalog).await? {
            // Of a catalog that is not ours, the configuration says who reads it.
            return match who.is_among(&readers) {
                true => Ok(()),
                false => Err(lakeport_catalog::Error::NoSuchTable(name.clone()).into()),
            };
        }
        match self.known_table(&who, &name.to_string()).await {
            Ok((_, held)) => require(&held, SELECT, &name.to_string()),
            Err(error) if error.kind() == Kind::NotFound => {
                Err(lakeport_catalog::Error::NoSuchTable(name.clone()).into())
            }
            Err(error) => Err(error),
        }
    }

    /// The same for somebody who is not here now: the creator of a synced table, at each of its runs.
    pub(crate) async fn require_select_of(&self, user_name: &str, name: &TableName) -> Result<()> {
        match self.store.principal(user_name).await? {
            Some(principal) => self.require_select(&principal, name).await,
            None => Err(Error::precondition(format!(
                "\"{user_name}\", who has made this synced table, no longer exists, so nobody reads {name} \
                 for it; make it again as somebody else"
            ))),
        }
    }
}

pub(super) fn place_of(name: &TableName) -> GrantPlace {
    GrantPlace {
        catalog: name.catalog.clone(),
        schema: Some(name.schema.clone()),
        table: Some(name.table.clone()),
    }
}

/// The privilege, and the way to where it counts.
pub(super) fn require(held: &Held, privilege: &str, object: &str) -> Result<()> {
    if let Some(missing) = held.missing_way() {
        return Err(lacking(missing, object));
    }
    if held.has(privilege) { Ok(()) } else { Err(lacking(privilege, object)) }
}

pub(super) fn require_manager(held: &Held, object: &str) -> Result<()> {
    if held.manages() { Ok(()) } else { Err(lacking("ownership or MANAGE", object)) }
}

pub(super) fn lacking(privilege: &str, object: &str) -> Error {
    Error::denied(format!("{privilege} on \"{object}\" is needed: ask its owner to grant it"))
}

pub(super) fn full_name(place: &GrantPlace) -> String {
    let parts = [Some(&place.catalog), place.schema.as_ref(), place.table.as_ref()];
    let parts: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    join_name(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(privileges: &[&str]) -> BTreeSet<String> {
        privileges.iter().map(|privilege| (*privilege).to_owned()).collect()
    }

    #[test]
    fn privileges_are_inherited_downwards_and_need_a_way() {
        let held = Held {
            catalog: set(&[USE_CATALOG, SELECT]),
            schema: set(&[USE_SCHEMA]),
            ..Held::default()
        };
        assert!(require(&held, SELECT, "a.b.c").is_ok());
        assert!(require(&held, MODIFY, "a.b.c").is_err());
        let no_way = Held { table: set(&[SELECT]), ..Held::default() };
        assert_eq!(no_way.missing_way(), Some(USE_CATALOG));
        let half = Held { catalog: set(&[USE_CATALOG]), table: set(&[SELECT]), ..Held::default() };
        assert_eq!(half.missing_way(), Some(USE_SCHEMA));
    }

    #[test]
    fn the_way_alone_shows_no_table() {
        let held = Held { catalog: set(&[USE_CATALOG, USE_SCHEMA]), ..Held::default() };
        assert!(!held.sees_table() && !held.sees_all_tables());
        let one = Held { table: set(&[SELECT]), ..Held::default() };
        assert!(one.sees_table() && !one.sees_all_tables());
    }

    #[test]
    fn all_privileges_are_no_right_to_give_them_on() {
        let held = Held { table: set(&[ALL]), ..Held::default() };
        assert!(held.has(SELECT) && !held.manages());
        assert!(Held { owns_table: true, ..Held::default() }.manages());
    }
}
