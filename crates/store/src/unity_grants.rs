//! Rights on the embedded catalog: who may do what with a catalog, a schema or a table.

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::retry::transact;
use crate::{Result, Store};

/// What a right was given on: a catalog, a schema of it, or a table of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantPlace {
    pub catalog: String,
    pub schema: Option<String>,
    pub table: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnityGrant {
    pub place: GrantPlace,
    pub principal: String,
    pub privilege: String,
}

impl From<&Row> for UnityGrant {
    fn from(row: &Row) -> Self {
        let place = GrantPlace { catalog: row.get(0), schema: row.get(1), table: row.get(2) };
        Self { place, principal: row.get(3), privilege: row.get(4) }
    }
}

/// Everybody is in it; no principal has this name.
pub const EVERYBODY: &str = "account users";

/// Whom a right was given to.
pub(crate) const GRANTEE: &str = "coalesce(g.principal, 'account users')";

const PLACE: &str = "catalog_name = $1 and schema_name is not distinct from $2 \
                     and table_name is not distinct from $3";

impl Store {
    /// What was given on the place and on those above it; with `names`, to one of them.
    pub async fn unity_grants(
        &self,
        place: &GrantPlace,
        names: Option<&[String]>,
    ) -> Result<Vec<UnityGrant>> {
        let sql = format!(
            "select catalog_name, schema_name, table_name, {GRANTEE}, privilege
             from unity_grants g
             where catalog_name = $1
                 and (schema_name is null
                      or schema_name = $2 and (table_name is null or table_name = $3))
                 and ($4::text[] is null or {GRANTEE} = any($4))
             order by 4, 5"
        );
        let values: &[&(dyn ToSql + Sync)] = &[&place.catalog, &place.schema, &place.table, &names];
        let rows = self.connection().await?.query(&sql, values).await?;
        Ok(rows.iter().map(UnityGrant::from).collect())
    }

    /// Whether one of the names owns or was given anything in a catalog, or in one schema of it.
    pub async fn is_named_in_unity(
        &self,
        catalog: &str,
        schema: Option<&str>,
        names: &[String],
    ) -> Result<bool> {
        let sql = format!("select exists (select from unity_grants g
                                  where catalog_name = $1 and {GRANTEE} = any($3)
                                      and ($2::text is null or schema_name is null or schema_name = $2))
                       or exists (select from unity_catalogs
                                  where name = $1 and owner = any($3))
                       or exists (select from unity_schemas
                                  where catalog_name = $1 and owner = any($3)
                                      and ($2::text is null or name = $2))
                       or exists (select from unity_tables
                                  where catalog_name = $1 and owner = any($3)
                                      and ($2::text is null or schema_name = $2))");
        let row = self.connection().await?.query_one(&sql, &[&catalog, &schema, &names]).await?;
        Ok(row.get(0))
    }

    /// Takes the one and gives the other, in one transaction.
    pub async fn change_unity_grants(
        &self,
        place: &GrantPlace,
        remove: &[(String, String)],
        add: &[(String, String)],
    ) -> Result<()> {
        transact!(self, |transaction| {
            let delete = format!(
                "delete from unity_grants g where {PLACE} and {GRANTEE} = $4 and privilege = $5"
            );
            for (principal, privilege) in remove {
                let values: &[&(dyn ToSql + Sync)] =
                    &[&place.catalog, &place.schema, &place.table, principal, privilege];
                transaction.execute(&delete, values).await?;
            }
            for (principal, privilege) in add {
                let values: &[&(dyn ToSql + Sync)] =
                    &[&place.catalog, &place.schema, &place.table, principal, privilege];
                transaction
                    .execute(
                        "insert into unity_grants
                             (catalog_name, schema_name, table_name, principal, privilege)
                         values ($1, $2, $3, nullif($4, 'account users'), $5) on conflict do nothing",
                        values,
                    )
                    .await?;
            }
            Ok(())
        })
    }
}
