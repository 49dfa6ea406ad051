//! Dropping a role: what it owns goes to another, what it was granted is revoked, in every database.
//!
//! Never drops what the role owns. Each database is a transaction; an interrupted drop is finished by
//! repeating it.

use std::collections::BTreeMap;

use lakeport_engine::MAINTENANCE_DATABASE;
use lakeport_pg::{QuotedIdent, Session};
use lakeport_store::Instance;
use tokio_postgres::error::SqlState;

use crate::instance_roles::check_name;
use crate::roles::is_reserved;
use crate::{Control, Error, Result};

/// How much a role owns in each database in which anything hangs on it.
type Holdings = BTreeMap<String, i64>;

impl Control {
    pub async fn delete_instance_role(
        &self,
        instance: &Instance,
        name: &str,
        allow_missing: bool,
        reassign_owned_to: Option<&str>,
    ) -> Result<()> {
        let heir = reassign_owned_to.filter(|heir| !heir.is_empty());
        self.require_available(instance)?;
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        if is_reserved(name) || !has_role(&session, name).await? {
            return match allow_missing {
                true => Ok(()),
                false => Err(Error::not_found("role", name)),
            };
        }
        if name == instance.creator {
            return Err(Error::precondition(format!(
                "role \"{name}\" is the owner's of instance \"{}\", which cannot be without it",
                instance.name
            )));
        }
        self.check_heir(&session, name, heir).await?;
        self.drop_everywhere(instance, &session, name, heir).await?;
        self.role_dropped(instance.uid, name);
        Ok(())
    }

    /// `session` is one with the maintenance database.
    pub(crate) async fn drop_everywhere(
        &self,
        instance: &Instance,
        session: &Session,
        name: &str,
        heir: Option<&str>,
    ) -> Result<()> {
        let holdings = holdings(session, name).await?;
        check_owned(name, heir, &holdings)?;
        for database in holdings.keys().filter(|database| *database != MAINTENANCE_DATABASE) {
            let session = self.admin_session(instance, database).await?;
            empty(&session, name, heir).await?;
        }
        // Databases themselves, and rights on them, are everybody's: any database will do.
        empty(session, name, heir).await?;
        drop_role(session, name).await
    }

    /// Leaves nothing of the role in one database, and none of its rights on databases.
    pub(crate) async fn empty_role(
        &self,
        instance: &Instance,
        database: &str,
        name: &str,
        heir: &str,
    ) -> Result<()> {
        let session = self.admin_session(instance, database).await?;
        empty(&session, name, Some(heir)).await
    }

    async fn check_heir(&self, session: &Session, name: &str, heir: Option<&str>) -> Result<()> {
        let Some(heir) = heir else { return Ok(()) };
        let problem = if heir == name {
            String::from("it is the role that is being deleted; name another")
        } else if check_name(heir).is_err() || !has_role(session, heir).await? {
            format!("there is no role \"{heir}\"; create it, or name another")
        } else {
            return Ok(());
        };
        Err(Error::invalid("reassign_owned_to", problem))
    }
}

async fn has_role(session: &Session, name: &str) -> Result<bool> {
    let found = session
        .query_opt("select from pg_catalog.pg_roles where rolname = $1", &[&name])
        .await
        .map_err(failed)?;
    Ok(found.is_some())
}

/// The databases in which something hangs on the role, and how much it owns there. What is shared by all
/// databases counts for the maintenance database.
async fn holdings(session: &Session, name: &str) -> Result<Holdings> {
    let rows = session
        .query(
            "select coalesce(d.datname, pg_catalog.current_database())::text,
                    count(*) filter (where s.deptype = 'o')
             from pg_catalog.pg_shdepend s
             join pg_catalog.pg_roles r on r.oid = s.refobjid
             left join pg_catalog.pg_database d on d.oid = s.dbid
             where s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and r.rolname = $1
             group by 1",
            &[&name],
        )
        .await
        .map_err(failed)?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

fn check_owned(name: &str, heir: Option<&str>, holdings: &Holdings) -> Result<()> {
    let owned: Vec<_> = holdings
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(database, count)| match database.as_str() {
            MAINTENANCE_DATABASE => format!("{count} whole databases"),
            database => format!("{count} in database \"{database}\""),
        })
        .collect();
    if owned.is_empty() || heir.is_some() {
        return Ok(());
    }
    Err(Error::precondition(format!(
        "role \"{name}\" owns objects ({}): name in reassign_owned_to the role that gets them",
        owned.join(", ")
    )))
}

/// Leaves nothing of the role in the session's database.
async fn empty(session: &Session, name: &str, heir: Option<&str>) -> Result<()> {
    let role = ident(name)?;
    let reassign = match heir {
        Some(heir) => format!("reassign owned by {role} to {};", ident(heir)?),
        None => String::new(),
    };
    // Without an heir, something may have come to be owned since it was looked at: that is not dropped.
    let guard = format!(
        "do $lakeport_guard$ begin
             if exists (select from pg_catalog.pg_shdepend s
                        join pg_catalog.pg_database d on d.oid = s.dbid
                        where d.datname = pg_catalog.current_database() and s.deptype = 'o'
                          and s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                          and s.refobjid = (select oid from pg_catalog.pg_roles
                                            where rolname = {literal})) then
                 raise exception using errcode = 'dependent_objects_still_exist',
                     message = 'the role owns objects';
             end if;
         end $lakeport_guard$;",
        literal = lakeport_pg::quote_literal(name)
    );
    session
        .batch_execute(&format!("{reassign} {guard} drop owned by {role};"))
        .await
        .map_err(|error| still_needed(name, error))
}

async fn drop_role(session: &Session, name: &str) -> Result<()> {
    let role = ident(name)?;
    session
        .batch_execute(&format!("drop role if exists {role}"))
        .await
        .map_err(|error| still_needed(name, error))
}

fn ident(name: &str) -> Result<QuotedIdent> {
    QuotedIdent::new(name).map_err(|error| Error::invalid("name", error))
}

fn failed(error: tokio_postgres::Error) -> Error {
    Error::internal("looking at a role", lakeport_pg::describe(&error))
}

fn still_needed(name: &str, error: tokio_postgres::Error) -> Error {
    if lakeport_pg::sqlstate(&error) == Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) {
        return Error::precondition(format!(
            "role \"{name}\" has got new objects meanwhile; delete it again, with \
             reassign_owned_to"
        ));
    }
    Error::internal("dropping a role", lakeport_pg::describe(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_role_owns_is_never_dropped_unasked() {
        let of = |owned| BTreeMap::from([(String::from("shop"), owned)]);
        assert!(check_owned("r", None, &of(0)).is_ok());
        assert!(check_owned("r", Some("heir"), &of(3)).is_ok());
        let error = check_owned("r", None, &of(3)).unwrap_err();
        assert!(error.message().contains("3 in database \"shop\""), "{error}");
    }
}
