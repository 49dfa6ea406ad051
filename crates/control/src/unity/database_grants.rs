//! Privileges of the catalog as grants of PostgreSQL, in both directions. PostgreSQL keeps them: what was
//! granted in SQL is seen here, and what is granted here is an ordinary grant.
//!
//! A privilege on a schema or a catalog that tables inherit is granted on each table that is there, and as a
//! default privilege for those that come.

use lakeport_engine::{TABLE_OWNER_ROLE, WRITER_ROLE};
use lakeport_pg::QuotedIdent;
use lakeport_store::{EVERYBODY, GrantPlace, Principal, UnityGrant};
use tokio_postgres::Row;

use super::mirror::Mirror;
use super::rights::{
    ALL, CREATE_SCHEMA, CREATE_TABLE, MODIFY, SELECT, USE_CATALOG, USE_SCHEMA, Who, is_system,
};
use crate::instance_roles::plain_role_sql;
use crate::target::refused;
use crate::{Error, Result};

/// Principals with privileges.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) add: Vec<(String, String)>,
    /// Those among them that exist: whom a role may have to be made for.
    pub(super) principals: Vec<Principal>,
    pub(super) remove: Vec<(String, String)>,
}

/// What PostgreSQL calls a privilege of the catalog, by the kind of object.
const ON_DATABASE: &[(&str, &str)] = &[(USE_CATALOG, "CONNECT"), (CREATE_SCHEMA, "CREATE")];
const ON_SCHEMA: &[(&str, &str)] = &[(USE_SCHEMA, "USAGE"), (CREATE_TABLE, "CREATE")];
const ON_TABLE: &[(&str, &str)] = &[(SELECT, "SELECT"), (MODIFY, "INSERT, UPDATE, DELETE")];

impl Mirror {
    /// The role that owns the place, if it is there for the caller.
    pub(super) async fn owner_of(&self, who: &Who, place: &GrantPlace) -> Result<Option<String>> {
        Ok(match (&place.schema, &place.table) {
            (Some(schema), Some(table)) => {
                self.table(who, schema, table).await?.and_then(|table| table.owner)
            }
            (Some(schema), None) => self.schema(who, schema).await?.and_then(|found| found.owner),
            _ => {
                let sql = "select pg_catalog.pg_get_userbyid(datdba)::text
                           from pg_catalog.pg_database
                           where datname = pg_catalog.current_database()";
                self.query(sql, &[]).await?.first().map(|row| row.get(0))
            }
        })
    }

    /// What is granted on the place and on those above it.
    pub(super) async fn grants(&self, place: &GrantPlace) -> Result<Vec<UnityGrant>> {
        let catalog = GrantPlace { schema: None, table: None, ..place.clone() };
        let mut found = Found::new(catalog);
        found.read(ON_DATABASE, &self.query(&acl_sql(DATABASE), &[]).await?);
        found.read(ON_SCHEMA, &self.query(&acl_sql(DEFAULT_SCHEMAS), &[]).await?);
        found.read(ON_TABLE, &self.query(&acl_sql(DEFAULT_TABLES), &[]).await?);
        if let Some(schema) = &place.schema {
            found.place = GrantPlace { table: None, ..place.clone() };
            found.read(ON_SCHEMA, &self.query(&acl_sql(SCHEMA), &[schema]).await?);
            found.read(ON_TABLE, &self.query(&acl_sql(DEFAULT_IN_SCHEMA), &[schema]).await?);
            if let Some(table) = &place.table {
                found.place = place.clone();
                found.read(ON_TABLE, &self.query(&acl_sql(TABLE), &[schema, table]).await?);
            }
        }
        Ok(found.grants)
    }

    /// All of it in one transaction.
    pub(super) async fn change(&self, place: &GrantPlace, change: &Change) -> Result<()> {
        let creators = self.creators().await?;
        let schemas = self.user_schemas(place).await?;
        let scope =
            Scope { place, database: &self.database, schemas: &schemas, creators: &creators };
        let mut sql = String::from("begin;");
        for (principal, privilege) in &change.remove {
            // Whom no role stands for, nothing was granted.
            if principal == EVERYBODY || self.has_role(principal).await? {
                sql.push_str(&scope.statements(principal, privilege, Direction::Revoke)?);
            }
        }
        for principal in &change.principals {
            if !self.has_role(&principal.user_name).await? {
                sql.push_str(&plain_role_sql(&self.instance, principal)?);
            }
        }
        for (principal, privilege) in &change.add {
            sql.push_str(&scope.statements(principal, privilege, Direction::Grant)?);
        }
        sql.push_str("commit;");
        let done = self.session.batch_execute(&sql).await;
        done.map_err(refused("changing grants"))
    }

    async fn has_role(&self, name: &str) -> Result<bool> {
        let sql = "select from pg_catalog.pg_roles where rolname = $1";
        Ok(!self.query(sql, &[&name]).await?.is_empty())
    }

    /// The schema of the place, or all of users'.
    async fn user_schemas(&self, place: &GrantPlace) -> Result<Vec<String>> {
        if let Some(schema) = &place.schema {
            return Ok(vec![schema.clone()]);
        }
        let sql = "select nspname::text from pg_catalog.pg_namespace
                   where nspname !~ '^(pg_|lakeport_)' and nspname <> 'information_schema'
                   order by 1";
        Ok(self.query(sql, &[]).await?.iter().map(|row| row.get(0)).collect())
    }

    /// Roles whose future tables and schemas default privileges are set for: all that own something in this
    /// database, and those of synced tables.
    async fn creators(&self) -> Result<Vec<String>> {
        let sql = "select distinct pg_catalog.pg_get_userbyid(owner)::text from (
                       select datdba from pg_catalog.pg_database
                       where datname = pg_catalog.current_database()
                       union select nspowner from pg_catalog.pg_namespace
                       union select relowner from pg_catalog.pg_class) o (owner)";
        let rows = self.query(sql, &[]).await?;
        let owners = rows.iter().map(|row| row.get::<_, String>(0));
        let mut creators: Vec<String> = owners.filter(|name| !is_system(name)).collect();
        creators.extend([WRITER_ROLE.to_owned(), TABLE_OWNER_ROLE.to_owned()]);
        if !creators.contains(&self.instance.creator)
            && self.has_role(&self.instance.creator).await?
        {
            creators.push(self.instance.creator.clone());
        }
        Ok(creators)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Grant,
    Revoke,
}

/// What statements are written for.
struct Scope<'a> {
    place: &'a GrantPlace,
    database: &'a str,
    schemas: &'a [String],
    creators: &'a [String],
}

impl Scope<'_> {
    fn statements(&self, principal: &str, privilege: &str, direction: Direction) -> Result<String> {
        let role = match principal {
            EVERYBODY => String::from("public"),
            name if is_system(name) => {
                let problem = format!("\"{name}\" is called like a role of the system");
                return Err(Error::invalid("changes.principal", problem));
            }
            name => ident(name)?.to_string(),
        };
        let granting = Writer { direction, role };
        let wanted = |(name, _): &&(&str, &str)| privilege == ALL || privilege == *name;
        let mut sql = String::new();
        if self.place.table.is_none() && self.place.schema.is_none() {
            let database = ident(self.database)?;
            for (_, right) in ON_DATABASE.iter().filter(wanted) {
                sql.push_str(&granting.write(right, &format!("database {database}")));
            }
        }
        if self.place.table.is_none() {
            for (_, right) in ON_SCHEMA.iter().filter(wanted) {
                sql.push_str(&self.on_schemas(&granting, right)?);
            }
        }
        for (_, right) in ON_TABLE.iter().filter(wanted) {
            sql.push_str(&self.on_tables(&granting, right)?);
        }
        if sql.is_empty() {
            return Err(Error::invalid(
                "changes",
                format!("PostgreSQL has no counterpart of {privilege} on a registered database"),
            ));
        }
        Ok(sql)
    }

    fn on_schemas(&self, granting: &Writer, right: &str) -> Result<String> {
        let mut sql = String::new();
        for schema in self.schemas {
            sql.push_str(&granting.write(right, &format!("schema {}", ident(schema)?)));
        }
        if self.place.schema.is_none() {
            for creator in self.creators {
                let of = format!("alter default privileges for role {}", ident(creator)?);
                sql.push_str(&format!("{of} {}", granting.write(right, "schemas")));
            }
        }
        Ok(sql)
    }

    fn on_tables(&self, granting: &Writer, right: &str) -> Result<String> {
        if let (Some(schema), Some(table)) = (&self.place.schema, &self.place.table) {
            let name = format!("{}.{}", ident(schema)?, ident(table)?);
            return Ok(granting.write(right, &format!("table {name}")));
        }
        let mut sql = String::new();
        for schema in self.schemas {
            let all = format!("all tables in schema {}", ident(schema)?);
            sql.push_str(&granting.write(right, &all));
        }
        let within = match &self.place.schema {
            Some(schema) => format!(" in schema {}", ident(schema)?),
            None => String::new(),
        };
        for creator in self.creators {
            let of = format!("alter default privileges for role {}{within}", ident(creator)?);
            sql.push_str(&format!("{of} {}", granting.write(right, "tables")));
        }
        Ok(sql)
    }
}

struct Writer {
    direction: Direction,
    /// Quoted.
    role: String,
}

impl Writer {
    fn write(&self, right: &str, object: &str) -> String {
        let role = &self.role;
        match self.direction {
            Direction::Grant => format!("grant {right} on {object} to {role};"),
            Direction::Revoke => format!("revoke {right} on {object} from {role};"),
        }
    }
}

fn ident(name: &str) -> Result<QuotedIdent> {
    QuotedIdent::new(name).map_err(|error| Error::invalid("name", error))
}

/// Access lists with their owners; each is one row of (owner, list).
const DATABASE: &str = "select datdba, coalesce(datacl, pg_catalog.acldefault('d', datdba))
    from pg_catalog.pg_database where datname = pg_catalog.current_database()";
const SCHEMA: &str = "select nspowner, coalesce(nspacl, pg_catalog.acldefault('n', nspowner))
    from pg_catalog.pg_namespace where nspname = $1";
const TABLE: &str = "select c.relowner, coalesce(c.relacl, pg_catalog.acldefault('r', c.relowner))
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname = $2";
const DEFAULT_TABLES: &str = "select defaclrole, defaclacl from pg_catalog.pg_default_acl
    where defaclnamespace = 0 and defaclobjtype = 'r'";
const DEFAULT_SCHEMAS: &str = "select defaclrole, defaclacl from pg_catalog.pg_default_acl
    where defaclnamespace = 0 and defaclobjtype = 'n'";
const DEFAULT_IN_SCHEMA: &str = "select d.defaclrole, d.defaclacl from pg_catalog.pg_default_acl d
    join pg_catalog.pg_namespace n on n.oid = d.defaclnamespace
    where n.nspname = $1 and d.defaclobjtype = 'r'";

/// Grantees with their rights; an owner's own are no grants.
fn acl_sql(lists: &str) -> String {
    format!(
        "select case when a.grantee = 0 then '{EVERYBODY}'
                     else pg_catalog.pg_get_userbyid(a.grantee)::text end,
                array_agg(distinct a.privilege_type::text)
         from ({lists}) l (owner, list), lateral pg_catalog.aclexplode(l.list) a
         where a.grantee <> l.owner
         group by 1 order by 1"
    )
}

/// Grants that were read, for a place.
struct Found {
    place: GrantPlace,
    grants: Vec<UnityGrant>,
}

impl Found {
    fn new(place: GrantPlace) -> Self {
        Self { place, grants: Vec::new() }
    }

    fn read(&mut self, map: &[(&str, &str)], rows: &[Row]) {
        for row in rows {
            let (principal, rights): (String, Vec<String>) = (row.get(0), row.get(1));
            if is_system(&principal) {
                continue;
            }
            for privilege in privileges(map, &rights) {
                let (place, principal) = (self.place.clone(), principal.clone());
                self.grants.push(UnityGrant { place, principal, privilege: privilege.to_owned() });
            }
        }
    }
}

/// The catalog's privileges whose rights are all there.
fn privileges<'a>(map: &[(&'a str, &str)], rights: &[String]) -> Vec<&'a str> {
    let has = |right: &str| rights.iter().any(|known| known == right);
    let whole = map.iter().filter(|(_, needs)| needs.split(", ").all(has));
    whole.map(|(privilege, _)| *privilege).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(schema: Option<&str>, table: Option<&str>) -> GrantPlace {
        let owned = |name: Option<&str>| name.map(str::to_owned);
        GrantPlace { catalog: String::from("c"), schema: owned(schema), table: owned(table) }
    }

    fn written(place: &GrantPlace, principal: &str, privilege: &str) -> Result<String> {
        let scope = Scope {
            place,
            database: "d",
            schemas: &[String::from("s\"x")],
            creators: &[String::from("ann")],
        };
        scope.statements(principal, privilege, Direction::Grant)
    }

    #[test]
    fn grants_are_written_for_what_is_there_and_for_what_comes() {
        let table = place(Some("s"), Some("t"));
        assert_eq!(
            written(&table, "o\"b", SELECT).unwrap(),
            "grant SELECT on table \"s\".\"t\" to \"o\"\"b\";"
        );
        let schema = place(Some("s"), None);
        assert_eq!(
            written(&schema, EVERYBODY, MODIFY).unwrap(),
            "grant INSERT, UPDATE, DELETE on all tables in schema \"s\"\"x\" to public;\
             alter default privileges for role \"ann\" in schema \"s\" \
             grant INSERT, UPDATE, DELETE on tables to public;"
        );
        let all = written(&place(None, None), "b", ALL).unwrap();
        for part in ["CONNECT on database \"d\"", "USAGE on schemas", "SELECT on tables"] {
            assert!(all.contains(part), "{all}");
        }
        assert!(written(&table, "b", "BROWSE").is_err());
    }

    #[test]
    fn a_privilege_holds_when_all_its_rights_do() {
        let rights = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(privileges(ON_TABLE, &rights(&["SELECT", "INSERT"])), [SELECT]);
        assert_eq!(privileges(ON_TABLE, &rights(&["DELETE", "INSERT", "UPDATE"])), [MODIFY]);
    }
}
