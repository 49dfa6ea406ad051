//! Who was given what on which instance, and which identities there are.

use tokio_postgres::Row;
use uuid::Uuid;

use crate::principals::COLUMNS as PRINCIPAL;
use crate::retry::transact;
use crate::{Instance, Principal, Result, Store, instances};

/// What one principal was given on one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub principal: Principal,
    pub level: String,
}

/// A principal, or a group that it is in: what it may do is what any of them may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub id: i64,
    pub name: String,
    pub entitlements: Vec<String>,
}

impl Store {
    /// The principal itself, and every group that holds it, directly or through other groups.
    pub async fn subjects_of(&self, principal: i64) -> Result<Vec<Subject>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select p.id, p.user_name, p.entitlements from principals p
                 where p.active and (p.id = $1 or p.id in (select groups_of($1)))",
                &[&principal],
            )
            .await?;
        let subject =
            |row: &Row| Subject { id: row.get(0), name: row.get(1), entitlements: row.get(2) };
        Ok(rows.iter().map(subject).collect())
    }

    /// The levels that any of the principals was given on the instance.
    pub async fn levels_on(&self, instance: Uuid, principals: &[i64]) -> Result<Vec<String>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select level from instance_permissions
                 where instance_uid = $1 and principal_id = any($2)",
                &[&instance, &principals],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    pub async fn instance_uids(&self) -> Result<Vec<Uuid>> {
        let sql = "select uid from instances where deleted_at is null";
        let rows = self.connection().await?.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The instances on which any of the principals was given something.
    pub async fn instances_open_to(&self, principals: &[i64]) -> Result<Vec<Uuid>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select distinct instance_uid from instance_permissions
                 where principal_id = any($1)",
                &[&principals],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// At most `limit` instances whose names follow `after`, one of each name, of those open to any of
    /// the principals.
    pub async fn instances_visible_to(
        &self,
        principals: &[i64],
        after: &str,
        limit: i64,
    ) -> Result<Vec<Instance>> {
        let (columns, newest_first) = (instances::COLUMNS, instances::NEWEST_FIRST);
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select distinct on (name) {columns} from instances
                     where name > $1 and exists (
                         select from instance_permissions g
                         where g.instance_uid = uid and g.principal_id = any($3))
                     order by name, {newest_first} limit $2"
                ),
                &[&after, &limit, &principals],
            )
            .await?;
        Ok(rows.iter().map(Instance::from).collect())
    }

    pub async fn permissions(&self, instance: Uuid) -> Result<Vec<Permission>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {PRINCIPAL}, g.level
                     from instance_permissions g join principals p on p.id = g.principal_id
                     where g.instance_uid = $1 order by p.user_name"
                ),
                &[&instance],
            )
            .await?;
        Ok(rows.iter().map(permission).collect())
    }

    /// Gives each principal its level; with `replace`, who is not named loses what it had. False if
    /// the instance is gone.
    pub async fn set_permissions(
        &self,
        instance: Uuid,
        levels: &[(i64, &str)],
        replace: bool,
    ) -> Result<bool> {
        transact!(self, |transaction| {
            // Two writers take turns, so that the result is one of the two and no mixture.
            let there = transaction
                .query_opt("select from instances where uid = $1 for update", &[&instance])
                .await?;
            if there.is_none() {
                return Ok(false);
            }
            if replace {
                transaction
                    .execute(
                        "delete from instance_permissions where instance_uid = $1",
                        &[&instance],
                    )
                    .await?;
            }
            for (principal, level) in levels {
                transaction
                    .execute(
                        "insert into instance_permissions (instance_uid, principal_id, level)
                         values ($1, $2, $3)
                         on conflict (instance_uid, principal_id) do update set level = excluded.level",
                        &[&instance, principal, level],
                    )
                    .await?;
            }
            Ok(true)
        })
    }

    /// Changes with every change of a principal.
    pub async fn identity_revision(&self) -> Result<i64> {
        let row = self
            .connection()
            .await?
            .query_one("select revision from identity_revision", &[])
            .await?;
        Ok(row.get(0))
    }

    /// Every active principal.
    pub async fn active_principals(&self) -> Result<Vec<Principal>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {PRINCIPAL} from principals p where p.active order by p.user_name"
                ),
                &[],
            )
            .await?;
        Ok(rows.iter().map(Principal::from).collect())
    }
}

fn permission(row: &Row) -> Permission {
    Permission { principal: Principal::from(row), level: row.get("level") }
}
