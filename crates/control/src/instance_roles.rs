//! PostgreSQL roles of an instance: the service behind `/api/2.0/database/instances/{name}/roles`.
//!
//! PostgreSQL is the truth: what is made or dropped in SQL is seen here, and the other way round.

use lakeport_api::{DatabaseInstanceRole, IdentityType, MembershipRole, RoleAttributes};
use lakeport_engine::{MAINTENANCE_DATABASE, SUPERUSER_GROUP};
use lakeport_pg::{QuotedIdent, Session, quote_literal};
use lakeport_store::{Instance, Principal};
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;

use crate::access::kind_of;
use crate::native_logins::looks_like_identity;
use crate::page::PageRequest;
use crate::roles::{SAFE_CREATEROLE_SINCE, is_reserved};
use crate::{Capability, Control, Error, Page, Result};

/// A role's comment that says who logs in as it; `databricks_create_role` writes the same.
const COMMENT_PREFIX: &str = "databricks_auth: ";

const COLUMNS: &str = "r.rolname::text, r.rolcreatedb, r.rolcreaterole, r.rolbypassrls, \
    pg_catalog.shobj_description(r.oid, 'pg_authid'), \
    exists (select from pg_catalog.pg_auth_members m \
            join pg_catalog.pg_roles g on g.oid = m.roleid \
            where m.member = r.oid and g.rolname = 'databricks_superuser')";

impl Control {
    /// CAN_USE is enough for a plain role of the caller's own.
    pub async fn create_instance_role(
        &self,
        caller: &Principal,
        instance_name: &str,
        request: &DatabaseInstanceRole,
    ) -> Result<DatabaseInstanceRole> {
        let instance = self.authorize_instance(caller, instance_name, Capability::CanUse).await?;
        check_name(&request.name)?;
        let own = request.name == caller.user_name;
        if !own || request.membership_role.is_some() || has_attributes(request) {
            self.authorize_instance(caller, instance_name, Capability::CanManage).await?;
        }
        let kind = self.identity_type_of(request).await?;
        check_attributes(&instance, request)?;
        let session = self.add_instance_role(&instance, request, kind).await?;
        self.role_of(&instance, &session, &request.name).await
    }

    /// Makes the role; who asked for it, and whether it may be, was decided before.
    pub(crate) async fn add_instance_role(
        &self,
        instance: &Instance,
        request: &DatabaseInstanceRole,
        kind: IdentityType,
    ) -> Result<Session> {
        self.require_available(instance)?;
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        let sql = create_sql(instance, request, kind)?;
        match session.batch_execute(&sql).await {
            Ok(()) => Ok(session),
            Err(error) if lakeport_pg::sqlstate(&error) == Some(&SqlState::DUPLICATE_OBJECT) => {
                Err(Error::already_exists(format!(
                    "role \"{}\" already exists on instance \"{}\"",
                    request.name, instance.name
                )))
            }
            Err(error) => Err(Error::internal("creating a role", lakeport_pg::describe(&error))),
        }
    }

    /// The identity must exist, and be what the request says.
    async fn identity_type_of(&self, request: &DatabaseInstanceRole) -> Result<IdentityType> {
        let wanted = request.identity_type;
        let known = self.store.principal(&request.name).await?;
        if wanted == Some(IdentityType::PgOnly) {
            return check_pg_only(&request.name, known.as_ref());
        }
        let known = known.filter(|known| known.active);
        let known = known.as_ref().map(kind_of);
        match (wanted, known) {
            (None, Some(known)) => Ok(known),
            (Some(wanted), Some(known)) if wanted == known => Ok(known),
            (Some(wanted), Some(known)) => Err(Error::invalid(
                "identity_type",
                format!("\"{}\" is a {}, not a {}", request.name, known.as_str(), wanted.as_str()),
            )),
            (_, None) => Err(Error::invalid(
                "name",
                format!(
                    "there is no active user, service principal or group \"{}\"; create it first, or \
                     ask for identity_type PG_ONLY",
                    request.name
                ),
            )),
        }
    }

    pub async fn get_instance_role(
        &self,
        instance: &Instance,
        name: &str,
    ) -> Result<DatabaseInstanceRole> {
        self.require_available(instance)?;
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        self.role_of(instance, &session, name).await
    }

    async fn role_of(
        &self,
        instance: &Instance,
        session: &Session,
        name: &str,
    ) -> Result<DatabaseInstanceRole> {
        let sql = format!("select {COLUMNS} from pg_catalog.pg_roles r where r.rolname = $1");
        let row = session.query_opt(&sql, &[&name]).await.map_err(reading)?;
        match row.filter(|_| !is_reserved(name)) {
            Some(row) => self.to_role(instance, &row).await,
            None => Err(Error::not_found("role", name)),
        }
    }

    /// Every role but the system's own.
    pub async fn list_instance_roles(
        &self,
        instance: &Instance,
        page_size: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<DatabaseInstanceRole>> {
        let list = format!("roles of {}", instance.uid);
        let request = PageRequest::new(&self.vault, list, page_size, page_token)?;
        self.require_available(instance)?;
        let session = self.admin_session(instance, MAINTENANCE_DATABASE).await?;
        let prefixes: Vec<_> = lakeport_engine::RESERVED_ROLE_PREFIXES
            .iter()
            .map(|prefix| (*prefix).to_owned())
            .collect();
        let sql = format!(
            "select {COLUMNS} from pg_catalog.pg_roles r
             where r.rolname::text collate \"C\" > $1 and not exists (
                 select from pg_catalog.unnest($2::text[]) as p (prefix)
                 where pg_catalog.starts_with(r.rolname::text, p.prefix))
             order by r.rolname::text collate \"C\" limit $3"
        );
        let rows = session
            .query(&sql, &[&request.after, &prefixes, &request.limit()])
            .await
            .map_err(reading)?;
        let page = request.page(rows, |row| row.get(0));
        let mut items = Vec::with_capacity(page.items.len());
        for row in &page.items {
            items.push(self.to_role(instance, row).await?);
        }
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    async fn to_role(&self, instance: &Instance, row: &Row) -> Result<DatabaseInstanceRole> {
        let name: String = row.get(0);
        let comment: Option<String> = row.get(4);
        let kind = match comment.as_deref().and_then(kind_in) {
            Some(kind) => kind,
            // Made by plain SQL: it is a role of whoever has its name.
            None => match self.store.principal(&name).await? {
                Some(principal) => kind_of(&principal),
                None => IdentityType::PgOnly,
            },
        };
        let attributes = RoleAttributes {
            createdb: Some(row.get(1)),
            createrole: Some(row.get(2)),
            bypassrls: Some(row.get(3)),
        };
        Ok(DatabaseInstanceRole {
            name,
            identity_type: Some(kind),
            membership_role: row.get::<_, bool>(5).then_some(MembershipRole::DatabricksSuperuser),
            attributes: Some(attributes),
            effective_attributes: Some(attributes),
            instance_name: Some(instance.name.clone()),
        })
    }
}

fn reading(error: tokio_postgres::Error) -> Error {
    Error::internal("reading roles", lakeport_pg::describe(&error))
}

pub(crate) fn kind_in(comment: &str) -> Option<IdentityType> {
    let kind = comment.strip_prefix(COMMENT_PREFIX)?;
    serde_json::from_value(kind.into()).ok()
}

fn has_attributes(request: &DatabaseInstanceRole) -> bool {
    let attributes = request.attributes.unwrap_or_default();
    [attributes.bypassrls, attributes.createdb, attributes.createrole].contains(&Some(true))
}

/// A name is also a path segment, and clients put it there as it is.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if is_reserved(name) || ["public", "none"].contains(&name) {
        return Err(Error::invalid("name", format!("\"{name}\" is a name of the system's own")));
    }
    if name.chars().any(|c| c.is_control() || "/#?".contains(c)) {
        return Err(Error::invalid(
            "name",
            format!("\"{}\" may not hold / # ? or control characters", name.escape_debug()),
        ));
    }
    QuotedIdent::new(name).map(drop).map_err(|error| Error::invalid("name", error))
}

/// A role of PostgreSQL alone may not have the name of somebody who logs in by token.
fn check_pg_only(name: &str, known: Option<&Principal>) -> Result<IdentityType> {
    if let Some(known) = known {
        let kind = kind_of(known).as_str();
        return Err(Error::invalid(
            "identity_type",
            format!("\"{name}\" is a {kind}, not PG_ONLY"),
        ));
    }
    if looks_like_identity(name) {
        return Err(Error::invalid(
            "name",
            format!(
                "\"{name}\" is named like a user or a service principal, and a PG_ONLY role is \
                 neither; choose a name without @ that is no UUID"
            ),
        ));
    }
    Ok(IdentityType::PgOnly)
}

fn check_attributes(instance: &Instance, request: &DatabaseInstanceRole) -> Result<()> {
    let createrole = request.attributes.unwrap_or_default().createrole == Some(true);
    if createrole && instance.pg_version < SAFE_CREATEROLE_SINCE {
        return Err(Error::unsupported(format!(
            "attributes.createrole: on PostgreSQL {} a role that may create roles can give itself \
             any right; use PostgreSQL {SAFE_CREATEROLE_SINCE} or later, or create roles by this API",
            instance.pg_version
        )));
    }
    Ok(())
}

/// A plain role for a principal: it may log in, and do what it is granted.
pub(crate) fn plain_role_sql(instance: &Instance, principal: &Principal) -> Result<String> {
    check_name(&principal.user_name)?;
    let request = DatabaseInstanceRole {
        name: principal.user_name.clone(),
        ..DatabaseInstanceRole::default()
    };
    create_sql(instance, &request, kind_of(principal))
}

/// One implicit transaction: the role is there with everything, or not at all.
fn create_sql(
    instance: &Instance,
    request: &DatabaseInstanceRole,
    kind: IdentityType,
) -> Result<String> {
    let role = QuotedIdent::new(&request.name).map_err(|error| Error::invalid("name", error))?;
    let attributes = request.attributes.unwrap_or_default();
    let options: String = [
        ("createdb", attributes.createdb),
        ("createrole", attributes.createrole),
        ("bypassrls", attributes.bypassrls),
    ]
    .iter()
    .filter(|(_, wanted)| *wanted == Some(true))
    .map(|(option, _)| format!(" {option}"))
    .collect();
    let comment = quote_literal(&format!("{COMMENT_PREFIX}{}", kind.as_str()));
    let mut sql =
        format!("create role {role} login{options}; comment on role {role} is {comment};");
    if request.membership_role.is_some() {
        sql.push_str(&format!("grant {SUPERUSER_GROUP} to {role};"));
    }
    if instance.pg_version >= SAFE_CREATEROLE_SINCE && request.name != instance.creator {
        sql.push_str(&administer_sql(&role, &instance.creator)?);
    }
    Ok(sql)
}

/// The instance's owner may alter and drop the role in SQL, as one that it had made itself.
fn administer_sql(role: &QuotedIdent, owner: &str) -> Result<String> {
    let literal = quote_literal(owner);
    let owner = QuotedIdent::new(owner).map_err(|error| Error::invalid("creator", error))?;
    Ok(format!(
        "do $lakeport_role$ begin
             if exists (select from pg_catalog.pg_roles where rolname = {literal}) then
                 grant {role} to {owner} with admin true, inherit false, set false;
             end if;
         end $lakeport_role$;"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_roles_are_refused() {
        for good in ["bob@example.com", "a b", "O'Neil", "8d9c-11", "x\"y", &"x".repeat(63)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(64);
        for bad in [
            "",
            "pg_monitor",
            "lb_writer",
            "lakeport_admin",
            "databricks_superuser",
            "public",
            "none",
            "a/b",
            "a#b",
            "a?b",
            "a\0b",
            "a\nb",
            &long,
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_comment_tells_the_identity_type() {
        assert_eq!(kind_in("databricks_auth: GROUP"), Some(IdentityType::Group));
        for other in ["", "GROUP", "databricks_auth: ", "databricks_auth: group"] {
            assert_eq!(kind_in(other), None, "{other}");
        }
    }
}
