//! Principals: users, service principals and groups, and who is a member of what.
//!
//! Every change that could leave nobody to administer the installation is checked in its own transaction.

use std::collections::HashMap;
use std::fmt;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::connection::Transaction;
use crate::retry::transact;
use crate::{Error, Result, Store};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    User,
    ServicePrincipal,
    Group,
}

impl PrincipalKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "USER",
            Self::ServicePrincipal => "SERVICE_PRINCIPAL",
            Self::Group => "GROUP",
        }
    }

    fn parse(text: &str) -> Self {
        match text {
            "SERVICE_PRINCIPAL" => Self::ServicePrincipal,
            "GROUP" => Self::Group,
            // The column's check lets nothing else through.
            _ => Self::User,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub id: i64,
    pub kind: PrincipalKind,
    /// The PostgreSQL role: a user's name, a service principal's application id, a group's name.
    pub user_name: String,
    pub display_name: String,
    pub application_id: Option<Uuid>,
    pub external_id: Option<String>,
    pub entitlements: Vec<String>,
    pub active: bool,
    /// Whether it is in the group `admins`, directly or through other groups.
    pub is_admin: bool,
    /// Part of the installation, which nobody renames or deletes.
    pub built_in: bool,
    pub generation: i64,
}

impl Principal {
    /// The group of every user and service principal, whose members are not written down.
    #[must_use]
    pub fn is_everybody(&self) -> bool {
        self.built_in && self.user_name == "users"
    }
}

/// A principal to be made, or the whole new value of one.
#[derive(Clone)]
pub struct PrincipalSpec {
    pub user_name: String,
    pub display_name: String,
    pub application_id: Option<Uuid>,
    pub external_id: Option<String>,
    pub entitlements: Vec<String>,
    pub active: bool,
    /// None leaves an earlier one in place.
    pub password_hash: Option<String>,
    /// Ids of a group's direct members; None leaves them as they are.
    pub members: Option<Vec<i64>>,
}

impl fmt::Debug for PrincipalSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrincipalSpec").field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalField {
    Id,
    UserName,
    DisplayName,
    ApplicationId,
    ExternalId,
}

impl PrincipalField {
    fn sql(self) -> &'static str {
        match self {
            Self::Id => "p.id::text",
            Self::UserName => "p.user_name",
            Self::DisplayName => "p.display_name",
            Self::ApplicationId => "p.application_id::text",
            Self::ExternalId => "p.external_id",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
}

/// Compares without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrincipalFilter {
    pub field: PrincipalField,
    pub comparison: Comparison,
    pub value: String,
}

impl PrincipalFilter {
    fn sql(&self, parameter: usize) -> String {
        let (column, value) =
            (format!("lower({})", self.field.sql()), format!("lower(${parameter}::text)"));
        match self.comparison {
            Comparison::Equal => format!("{column} = {value}"),
            Comparison::NotEqual => format!("{column} is distinct from {value}"),
            Comparison::Contains => format!("position({value} in {column}) > 0"),
            Comparison::StartsWith => format!("starts_with({column}, {value})"),
            Comparison::EndsWith => {
                format!("right({column}, length({value})) = {value}")
            }
        }
    }
}

#[derive(Debug, Clone)]
pub struct PrincipalQuery {
    pub kind: PrincipalKind,
    /// Only this one, for a caller who may see no other.
    pub only: Option<i64>,
    /// All of them hold.
    pub filters: Vec<PrincipalFilter>,
    pub sort: PrincipalField,
    pub descending: bool,
    pub offset: i64,
    pub limit: i64,
}

/// A member of a group, or a group that a principal is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub id: i64,
    pub kind: PrincipalKind,
    pub display_name: String,
    /// False if it holds through another group.
    pub direct: bool,
}

pub(crate) const COLUMNS: &str = "p.id, p.kind, p.user_name, p.display_name, p.application_id, \
     p.external_id, p.entitlements, p.active, is_admin(p.id), p.built_in, p.generation";

impl From<&Row> for Principal {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get(0),
            kind: PrincipalKind::parse(row.get(1)),
            user_name: row.get(2),
            display_name: row.get(3),
            application_id: row.get(4),
            external_id: row.get(5),
            entitlements: row.get(6),
            active: row.get(7),
            is_admin: row.get(8),
            built_in: row.get(9),
            generation: row.get(10),
        }
    }
}

impl Store {
    /// The user of this name, made if absent, as a member of `admins`.
    pub async fn ensure_admin(&self, user_name: &str) -> Result<Principal> {
        let admin = transact!(self, |transaction| {
            lock_memberships(transaction).await?;
            transaction
                .execute(
                    "insert into principals (kind, user_name, display_name) values ('USER', $1, $1)
                     on conflict (user_name) do nothing",
                    &[&user_name],
                )
                .await?;
            transaction
                .execute(
                    "insert into group_members (group_id, member_id)
                     select a.id, p.id from principals a, principals p
                     where a.built_in and a.user_name = 'admins' and p.user_name = $1
                       and p.kind = 'USER' and not exists (
                           select from group_members m where m.group_id = a.id and m.member_id = p.id)",
                    &[&user_name],
                )
                .await?;
            select_by_name(transaction, user_name).await
        })?;
        match admin {
            Some(admin) if admin.kind == PrincipalKind::User => Ok(admin),
            _ => Err(Error::Schema(format!(
                "\"{user_name}\" cannot be the administrator: it names a group or a service \
                 principal; choose another --admin-user"
            ))),
        }
    }

    pub async fn principal(&self, user_name: &str) -> Result<Option<Principal>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!("select {COLUMNS} from principals p where p.user_name = $1"),
                &[&user_name],
            )
            .await?;
        Ok(row.as_ref().map(Principal::from))
    }

    pub async fn principal_by_id(&self, id: i64) -> Result<Option<Principal>> {
        let row = self
            .connection()
            .await?
            .query_opt(&format!("select {COLUMNS} from principals p where p.id = $1"), &[&id])
            .await?;
        Ok(row.as_ref().map(Principal::from))
    }

    /// One page, and how many there are in all.
    pub async fn principals(&self, query: &PrincipalQuery) -> Result<(Vec<Principal>, i64)> {
        let kind = query.kind.as_str();
        let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&kind, &query.only];
        let mut condition = String::from("p.kind = $1 and ($2::bigint is null or p.id = $2)");
        for filter in &query.filters {
            parameters.push(&filter.value);
            condition.push_str(" and ");
            condition.push_str(&filter.sql(parameters.len()));
        }
        let client = self.connection().await?;
        let count = format!("select count(*) from principals p where {condition}");
        let total = client.query_one(&count, &parameters).await?.get(0);
        let direction = if query.descending { "desc" } else { "asc" };
        let order = match query.sort {
            PrincipalField::Id => format!("p.id {direction}"),
            field => format!("{} {direction}, p.id", field.sql()),
        };
        parameters.extend([&query.limit as &(dyn ToSql + Sync), &query.offset]);
        let (limit, offset) = (parameters.len() - 1, parameters.len());
        let select = format!(
            "select {COLUMNS} from principals p where {condition}
             order by {order} limit ${limit} offset ${offset}"
        );
        let rows = client.query(&select, &parameters).await?;
        Ok((rows.iter().map(Principal::from).collect(), total))
    }

    pub async fn add_principal(
        &self,
        kind: PrincipalKind,
        spec: &PrincipalSpec,
    ) -> Result<Principal> {
        let principal = transact!(self, |transaction| {
            lock_memberships(transaction).await?;
            let row = transaction
                .query_one(
                    "insert into principals (kind, user_name, display_name, application_id,
                         external_id, entitlements, active, password_hash)
                     values ($1, $2, $3, $4, $5, $6, $7, $8) returning id",
                    &[
                        &kind.as_str(),
                        &spec.user_name,
                        &spec.display_name,
                        &spec.application_id,
                        &spec.external_id,
                        &spec.entitlements,
                        &spec.active,
                        &spec.password_hash,
                    ],
                )
                .await?;
            set_members(transaction, row.get(0), spec.members.as_deref()).await?;
            select_by_name(transaction, &spec.user_name).await
        })?;
        principal.ok_or_else(|| Error::Schema(String::from("a new principal is not there")))
    }

    /// None if the principal is gone or was changed since `generation`.
    pub async fn update_principal(
        &self,
        id: i64,
        generation: i64,
        spec: &PrincipalSpec,
    ) -> Result<Option<Principal>> {
        transact!(self, |transaction| {
            lock_memberships(transaction).await?;
            let updated = transaction
                .execute(
                    "update principals set user_name = $3, display_name = $4, external_id = $5,
                         entitlements = $6, active = $7,
                         password_hash = coalesce($8, password_hash), generation = generation + 1
                     where id = $1 and generation = $2",
                    &[
                        &id,
                        &generation,
                        &spec.user_name,
                        &spec.display_name,
                        &spec.external_id,
                        &spec.entitlements,
                        &spec.active,
                        &spec.password_hash,
                    ],
                )
                .await?;
            if updated == 0 {
                return Ok(None);
            }
            set_members(transaction, id, spec.members.as_deref()).await?;
            require_an_admin(transaction).await?;
            select_by_name(transaction, &spec.user_name).await
        })
    }

    /// With all that is its own: tokens, secrets, grants, memberships.
    pub async fn delete_principal(&self, id: i64) -> Result<()> {
        transact!(self, |transaction| {
            lock_memberships(transaction).await?;
            transaction.execute("delete from principals where id = $1", &[&id]).await?;
            require_an_admin(transaction).await?;
            Ok(())
        })
    }

    /// Every group that each of these is in, directly or through other groups.
    pub async fn groups_of(&self, ids: &[i64]) -> Result<HashMap<i64, Vec<Membership>>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select m.id, g.id, g.kind, g.display_name,
                        exists (select from group_members d
                                where d.group_id = g.id and d.member_id = m.id)
                        or g.built_in and g.user_name = 'users'
                 from unnest($1::bigint[]) m (id), lateral groups_of(m.id) above (id)
                 join principals g on g.id = above.id
                 order by g.id",
                &[&ids],
            )
            .await?;
        Ok(by_first_column(&rows))
    }

    /// The direct members of each of these groups. Those of `users` are everybody but groups.
    pub async fn members_of(&self, groups: &[i64]) -> Result<HashMap<i64, Vec<Membership>>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select m.group_id, p.id, p.kind, p.display_name, true
                 from group_members m join principals p on p.id = m.member_id
                 where m.group_id = any($1)
                 union all
                 select g.id, p.id, p.kind, p.display_name, true
                 from principals g join principals p on p.kind <> 'GROUP'
                 where g.id = any($1) and g.built_in and g.user_name = 'users'
                 order by 2",
                &[&groups],
            )
            .await?;
        Ok(by_first_column(&rows))
    }
}

fn by_first_column(rows: &[Row]) -> HashMap<i64, Vec<Membership>> {
    let mut found: HashMap<i64, Vec<Membership>> = HashMap::new();
    for row in rows {
        found.entry(row.get(0)).or_default().push(Membership {
            id: row.get(1),
            kind: PrincipalKind::parse(row.get(2)),
            display_name: row.get(3),
            direct: row.get(4),
        });
    }
    found
}

/// One change at a time, so that two together cannot remove the last administrator.
async fn lock_memberships(transaction: &Transaction<'_>) -> Result<()> {
    let lock = "select from principals where built_in order by id for update";
    transaction.execute(lock, &[]).await?;
    Ok(())
}

async fn select_by_name(
    transaction: &Transaction<'_>,
    user_name: &str,
) -> Result<Option<Principal>> {
    let select = format!("select {COLUMNS} from principals p where p.user_name = $1");
    let row = transaction.query_opt(&select, &[&user_name]).await?;
    Ok(row.as_ref().map(Principal::from))
}

async fn set_members(
    transaction: &Transaction<'_>,
    group: i64,
    members: Option<&[i64]>,
) -> Result<()> {
    let Some(members) = members else { return Ok(()) };
    transaction
        .execute(
            "delete from group_members where group_id = $1 and member_id <> all($2)",
            &[&group, &members],
        )
        .await?;
    transaction
        .execute(
            "insert into group_members (group_id, member_id)
             select $1, m.id from unnest($2::bigint[]) m (id) on conflict do nothing",
            &[&group, &members],
        )
        .await?;
    let ring = transaction
        .query_one("select exists (select from groups_of($1) g (id) where g.id = $1)", &[&group])
        .await?;
    if ring.get(0) { Err(Error::GroupRing) } else { Ok(()) }
}

async fn require_an_admin(transaction: &Transaction<'_>) -> Result<()> {
    let row = transaction
        .query_one(
            "select exists (select from principals p
                            where p.kind <> 'GROUP' and p.active and is_admin(p.id))",
            &[],
        )
        .await?;
    if row.get(0) { Ok(()) } else { Err(Error::LastAdmin) }
}
