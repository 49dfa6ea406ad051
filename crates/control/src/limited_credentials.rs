//! Credentials that read a few tables only: the roles behind them, made before the token and dropped
//! after it.
//!
//! A role is named after its owner and its tables, so that asking again uses it again. It has no right of
//! its owner's but SELECT on those tables; what everybody may read stays readable.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use lakeport_api::RequestedClaims;
use lakeport_engine::MAINTENANCE_DATABASE;
use lakeport_pg::{QualifiedName, QuotedIdent, Session, quote_literal};
use lakeport_store::{Instance, Principal};
use tokio::sync::Mutex;
use tokio_postgres::error::SqlState;

use crate::target::refused;
use crate::{Capability, Control, Error, Result};

const READ_ONLY: &str = "READ_ONLY";
/// Of the reserved names: nobody else makes it, and nobody's token may ask for it.
const PREFIX: &str = "lb_reader_";
/// More than any client has a use for.
const MAX_TABLES: usize = 100;

/// Held while a role is made or dropped.
#[derive(Debug, Default)]
pub struct Readers(Mutex<()>);

/// What a limited token opens, and as which role.
pub(crate) struct Reader {
    pub(crate) role: String,
    pub(crate) instances: Vec<Instance>,
}

/// A table that a token shall read.
#[derive(Debug)]
struct Table {
    instance: Instance,
    database: String,
    name: QualifiedName,
    /// As it was asked for.
    asked: String,
}

impl Control {
    /// The role that may read just the tables of the claims, made where it is not there.
    pub(crate) async fn reader_for(
        &self,
        caller: &Principal,
        claims: &[RequestedClaims],
        expires_at: Timestamp,
    ) -> Result<Reader> {
        let names = table_names(claims)?;
        let mut tables = Vec::with_capacity(names.len());
        for name in &names {
            tables.push(self.readable_table(caller, name).await?);
        }
        let role = role_name(&caller.user_name, &names);
        // A role that is asked for again is not dropped meanwhile.
        let _one_at_a_time = self.readers.0.lock().await;
        let mut instances: Vec<Instance> = Vec::new();
        for table in &tables {
            if instances.iter().all(|instance| instance.uid != table.instance.uid) {
                instances.push(table.instance.clone());
            }
        }
        for instance in &instances {
            // Known before it is made: what a crash leaves behind is dropped in its time.
            self.store.keep_reader(instance.uid, &role, expires_at).await?;
            let here = tables.iter().filter(|table| table.instance.uid == instance.uid);
            self.make_reader(instance, &role, &here.collect::<Vec<_>>()).await?;
        }
        Ok(Reader { role, instances })
    }

    /// A three-part name of a registered database's table or of a synced table, which the caller must be
    /// able to read itself.
    async fn readable_table(&self, caller: &Principal, asked: &str) -> Result<Table> {
        let hidden = || Error::not_found("table", asked);
        let [catalog, schema, table] = asked.split('.').collect::<Vec<_>>()[..] else {
            return Err(Error::invalid(
                "claims.resources.table_name",
                format!("\"{asked}\" is not a name of the form catalog.schema.table"),
            ));
        };
        let place = match self.store.database_catalog(catalog).await? {
            Some(found) => Some((found.instance_uid, found.database_name)),
            None => {
                let synced = self.store.synced_table(asked).await?;
                synced.map(|synced| (synced.instance_uid, synced.database_name))
            }
        };
        let (uid, database) = place.ok_or_else(hidden)?;
        let instance = self.store.instance(uid).await?.ok_or_else(hidden)?;
        if self.capability(caller, instance.uid).await? < Capability::CanUse {
            return Err(hidden());
        }
        self.require_available(&instance)?;
        let standing = self.standing(&caller.user_name).await?.ok_or_else(hidden)?;
        let session = self.admin_session(&instance, &database).await?;
        let readable = session
            .query_opt(
                "select from pg_catalog.pg_class c
                 join pg_catalog.pg_namespace n on n.oid = c.relnamespace
                 where n.nspname = $1 and c.relname = $2 and exists (
                     select from pg_catalog.pg_roles r
                     where r.rolname = any ($3::text[])
                       and pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
                       and pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT'))",
                &[&schema, &table, &standing.roles],
            )
            .await
            .map_err(refused("looking at a table"))?;
        if readable.is_none() {
            return Err(hidden());
        }
        let name = QualifiedName::new(schema, table)
            .map_err(|error| Error::invalid("claims.resources.table_name", error))?;
        Ok(Table { instance, database, name, asked: asked.to_owned() })
    }

    async fn make_reader(&self, instance: &Instance, role: &str, tables: &[&Table]) -> Result<()> {
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        let made = session.batch_execute(&role_sql(role)?).await;
        made.map_err(refused("making a role that reads"))?;
        for table in tables {
            let session = self.admin_session(instance, &table.database).await?;
            grant(&session, role, table).await?;
        }
        Ok(())
    }

    /// Drops the roles of this server's instances whose last token has expired.
    pub(crate) async fn drop_idle_readers(&self) -> Result<()> {
        for (uid, role) in self.store.expired_readers(self.node).await? {
            let Some(instance) = self.store.instance(uid).await? else { continue };
            if self.require_available(&instance).is_err() {
                continue;
            }
            if let Err(error) = self.drop_reader(&instance, &role).await {
                tracing::warn!(%error, instance = instance.name, role, "an expired role stays");
            }
        }
        Ok(())
    }

    async fn drop_reader(&self, instance: &Instance, role: &str) -> Result<()> {
        let _one_at_a_time = self.readers.0.lock().await;
        if !self.store.reader_expired(instance.uid, role).await? {
            return Ok(());
        }
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        let in_use = session
            .query_opt("select from pg_catalog.pg_stat_activity where usename = $1", &[&role])
            .await
            .map_err(refused("looking for sessions"))?;
        if in_use.is_some() {
            return Ok(());
        }
        self.drop_everywhere(instance, &session, role, Some(&instance.creator)).await?;
        Ok(self.store.forget_reader(instance.uid, role).await?)
    }
}

/// Whether a role was made for a token.
pub(crate) fn is_reader(role: &str) -> bool {
    role.starts_with(PREFIX)
}

fn table_names(claims: &[RequestedClaims]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        let set = claim.permission_set.as_deref().unwrap_or_default();
        if set != READ_ONLY {
            return Err(Error::invalid(
                &format!("claims[{index}].permission_set"),
                format!("\"{set}\" is not READ_ONLY, which is the only one"),
            ));
        }
        for resource in claim.resources.iter().flatten() {
            match (&resource.table_name, &resource.unspecified_resource_name) {
                (Some(name), None) => names.push(name.clone()),
                _ => {
                    return Err(Error::invalid(
                        &format!("claims[{index}].resources"),
                        "each names one table, in table_name",
                    ));
                }
            }
        }
    }
    names.sort();
    names.dedup();
    match names.len() {
        0 => Err(Error::invalid("claims", "name at least one table in resources")),
        1..=MAX_TABLES => Ok(names),
        _ => Err(Error::invalid("claims", format!("at most {MAX_TABLES} tables are accepted"))),
    }
}

fn role_name(owner: &str, tables: &[String]) -> String {
    let whose = format!("{owner}\0{}", tables.join("\0"));
    let hash = digest(&SHA256, whose.as_bytes());
    let hex: String = hash.as_ref().iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!("{PREFIX}{hex}")
}

fn role_sql(role: &str) -> Result<String> {
    let name = ident(role)?;
    let literal = quote_literal(role);
    Ok(format!(
        "do $lakeport_reader$ begin
             if not exists (select from pg_catalog.pg_roles where rolname = {literal}) then
                 create role {name} login noinherit;
                 alter role {name} set default_transaction_read_only = on;
             end if;
         end $lakeport_reader$"
    ))
}

async fn grant(session: &Session, role: &str, table: &Table) -> Result<()> {
    let role = ident(role)?;
    let (name, schema) = (&table.name, &table.name.schema);
    let database = QuotedIdent::new(&table.database)
        .map_err(|error| Error::invalid("claims.resources.table_name", error))?;
    let sql = format!(
        "grant connect on database {database} to {role};
         grant usage on schema {schema} to {role};
         grant select on {name} to {role};"
    );
    session.batch_execute(&sql).await.map_err(|error| {
        if lakeport_pg::sqlstate(&error) == Some(&SqlState::UNDEFINED_TABLE) {
            return Error::not_found("table", &table.asked);
        }
        refused("letting a role read")(error)
    })
}

fn ident(role: &str) -> Result<QuotedIdent> {
    QuotedIdent::new(role).map_err(|error| Error::internal("naming a role", error.to_string()))
}

#[cfg(test)]
mod tests {
    use lakeport_api::RequestedResource;

    use super::*;

    fn claim(set: Option<&str>, tables: &[&str]) -> RequestedClaims {
        let resource = |name: &&str| RequestedResource {
            table_name: Some((*name).to_owned()),
            unspecified_resource_name: None,
        };
        RequestedClaims {
            permission_set: set.map(str::to_owned),
            resources: Some(tables.iter().map(resource).collect()),
        }
    }

    #[test]
    fn the_tables_of_all_claims_are_one_set() {
        let claims =
            [claim(Some(READ_ONLY), &["c.s.b", "c.s.a"]), claim(Some(READ_ONLY), &["c.s.a"])];
        assert_eq!(table_names(&claims).unwrap(), ["c.s.a", "c.s.b"]);
        for bad in [
            claim(Some("READ_WRITE"), &["c.s.a"]),
            claim(None, &["c.s.a"]),
            claim(Some(READ_ONLY), &[]),
        ] {
            assert!(table_names(&[bad]).is_err());
        }
    }

    #[test]
    fn a_role_is_one_owners_and_one_set_of_tables() {
        let of = |owner: &str, tables: &[&str]| {
            role_name(owner, &tables.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>())
        };
        let name = of("a@b.c", &["c.s.t"]);
        assert_eq!(name, of("a@b.c", &["c.s.t"]));
        assert_ne!(name, of("b@b.c", &["c.s.t"]));
        assert_ne!(name, of("a@b.c", &["c.s.t", "c.s.u"]));
        assert!(crate::roles::is_reserved(&name) && name.len() <= 63);
    }
}
