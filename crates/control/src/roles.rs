//! The SQL side of an instance's owner: role, rights, and the databases that are its own.

use lakeport_engine::{
    ADMIN_ROLE, ClusterId, DEFAULT_DATABASE, MAINTENANCE_DATABASE, RESERVED_ROLE_PREFIXES,
    SUPERUSER_GROUP,
};
use lakeport_pg::{QuotedIdent, Session, connect, pinned, quote_literal};
use lakeport_store::Instance;

use crate::{Control, Error, Result};

/// From here on, a role that may create roles cannot give itself the rights of others.
pub(crate) const SAFE_CREATEROLE_SINCE: i32 = 16;

impl Control {
    /// A session of the control plane's own superuser, with nothing steered by what users have set.
    pub(crate) async fn admin_session(
        &self,
        instance: &Instance,
        database: &str,
    ) -> Result<Session> {
        let id = ClusterId::from(instance.uid);
        let config = pinned(self.engine.connection(&id, ADMIN_ROLE, database), "lakeport control");
        connect(&config).await.map_err(|error| {
            Error::unavailable(format!(
                "database \"{database}\" of instance \"{}\" does not answer: {}",
                instance.name,
                lakeport_pg::describe(&error)
            ))
        })
    }

    /// Makes the creator's role with its rights; repeating it changes nothing.
    pub(crate) async fn ensure_owner(&self, instance: &Instance) -> Result<()> {
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        let sql = owner_sql(&instance.creator, instance.pg_version)?;
        session.batch_execute(&sql).await.map_err(|error| {
            Error::internal("making the owner's role", lakeport_pg::describe(&error))
        })
    }
}

/// Whether a principal's name may be a role of its own.
pub(crate) fn is_reserved(role: &str) -> bool {
    RESERVED_ROLE_PREFIXES.iter().any(|prefix| role.starts_with(prefix))
}

fn owner_sql(owner: &str, major: i32) -> Result<String> {
    if is_reserved(owner) {
        return Err(Error::precondition(format!(
            "the user name \"{owner}\" begins like a role of the system; create the instance as \
             another user"
        )));
    }
    let role = QuotedIdent::new(owner).map_err(|error| Error::invalid("creator", error))?;
    let literal = quote_literal(owner);
    let createrole = if major >= SAFE_CREATEROLE_SINCE { "createrole" } else { "nocreaterole" };
    // A database that its owner has dropped is not made again.
    let own = |database: &str| {
        format!(
            "if exists (select from pg_catalog.pg_database d
                        where d.datname = '{database}'
                          and pg_catalog.pg_get_userbyid(d.datdba) = '{ADMIN_ROLE}') then
                 alter database {database} owner to {role};
             end if;"
        )
    };
    Ok(format!(
        "do $lakeport_owner$ begin
             if not exists (select from pg_catalog.pg_roles where rolname = {literal}) then
                 create role {role} login createdb {createrole} bypassrls;
             end if;
             grant {SUPERUSER_GROUP} to {role};
             {} {}
         end $lakeport_owner$",
        own(DEFAULT_DATABASE),
        own("postgres"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_unquotable_names_are_refused() {
        for bad in ["lakeport_admin", "lb_writer", "pg_monitor", "databricks_superuser", "", "a\0"]
        {
            assert!(owner_sql(bad, 16).is_err(), "{bad}");
        }
    }

    #[test]
    fn quotes_in_a_name_stay_inside_the_name() {
        let sql = owner_sql("o'brien\"@x.y", 16).unwrap();
        assert!(sql.contains("rolname = 'o''brien\"@x.y'"));
        assert!(sql.contains("create role \"o'brien\"\"@x.y\" login createdb createrole"));
        assert!(owner_sql("a@b.c", 15).unwrap().contains("nocreaterole"));
    }
}
