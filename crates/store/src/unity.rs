//! The embedded Unity Catalog: catalogs and schemas.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::retry::transact;
use crate::unity_grants::GRANTEE;
use crate::{Result, Store};

#[derive(Debug, Clone)]
pub struct UnityCatalog {
    pub name: String,
    pub owner: String,
    pub comment: Option<String>,
    pub properties: Value,
    pub created_at: Timestamp,
    pub created_by: Option<String>,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<String>,
    /// Fields of the API that clients have set and nothing here acts on, by their names.
    pub settings: Value,
}

#[derive(Debug, Clone)]
pub struct UnitySchema {
    pub id: Uuid,
    pub catalog_name: String,
    pub name: String,
    pub owner: String,
    pub comment: Option<String>,
    pub properties: Value,
    pub created_at: Timestamp,
    pub created_by: Option<String>,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<String>,
    /// Fields of the API that clients have set and nothing here acts on, by their names.
    pub settings: Value,
}

const CATALOG: &str = "name, owner, comment, properties, created_at, \
                       created_by, updated_at, updated_by, settings";
const SCHEMA: &str = "id, catalog_name, name, owner, comment, properties, created_at, \
                       created_by, updated_at, updated_by, settings";

/// The schema that each catalog is made with, as the service makes it.
const DEFAULT_SCHEMA: &str = "default";

impl From<&Row> for UnityCatalog {
    fn from(row: &Row) -> Self {
        Self {
            name: row.get(0),
            owner: row.get(1),
            comment: row.get(2),
            properties: row.get(3),
            created_at: row.get(4),
            created_by: row.get(5),
            updated_at: row.get(6),
            updated_by: row.get(7),
            settings: row.get(8),
        }
    }
}

impl From<&Row> for UnitySchema {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get(0),
            catalog_name: row.get(1),
            name: row.get(2),
            owner: row.get(3),
            comment: row.get(4),
            properties: row.get(5),
            created_at: row.get(6),
            created_by: row.get(7),
            updated_at: row.get(8),
            updated_by: row.get(9),
            settings: row.get(10),
        }
    }
}

/// What a PATCH changes; what it does not name stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ObjectPatch {
    pub owner: Option<String>,
    pub comment: Option<String>,
    pub properties: Option<Value>,
    /// Of catalogs and schemas only, as is the name.
    pub settings: Option<Value>,
    pub new_name: Option<String>,
}

/// A catalog or a schema that is about to be made.
#[derive(Debug, Clone)]
pub struct NewObject<'a> {
    pub name: &'a str,
    pub owner: &'a str,
    pub comment: Option<&'a str>,
    pub properties: &'a Value,
    pub settings: &'a Value,
}

impl ObjectPatch {
    /// For an update whose first four parameters are owner, comment, properties and who changes them.
    pub(crate) const SET: &str = "owner = coalesce($1, owner), comment = coalesce($2, comment), \
         properties = coalesce($3, properties), updated_by = $4, updated_at = now()";
}

impl Store {
    /// With its schema `default`, which has the same owner.
    pub async fn add_unity_catalog(&self, new: &NewObject<'_>) -> Result<UnityCatalog> {
        transact!(self, |transaction| {
            let sql = format!(
                "insert into unity_catalogs (name, owner, created_by, comment, properties, settings)
                 values ($1, $2, $2, $3, $4, $5) returning {CATALOG}"
            );
            let values: &[&(dyn ToSql + Sync)] =
                &[&new.name, &new.owner, &new.comment, new.properties, new.settings];
            let row = transaction.query_one(&sql, values).await?;
            transaction
                .execute(
                    "insert into unity_schemas (id, catalog_name, name, owner, created_by)
                     values ($1, $2, $3, $4, $4)",
                    &[&Uuid::new_v4(), &new.name, &DEFAULT_SCHEMA, &new.owner],
                )
                .await?;
            Ok(UnityCatalog::from(&row))
        })
    }

    pub async fn unity_catalog(&self, name: &str) -> Result<Option<UnityCatalog>> {
        let row = self
            .connection()
            .await?
            .query_opt(&format!("select {CATALOG} from unity_catalogs where name = $1"), &[&name])
            .await?;
        Ok(row.as_ref().map(UnityCatalog::from))
    }

    /// At most `limit` catalogs whose names follow `after`; with `names`, those in which one of them
    /// owns something or has a right.
    pub async fn unity_catalogs(
        &self,
        names: Option<&[String]>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<UnityCatalog>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    r#"select {CATALOG} from unity_catalogs c
                     where name collate "C" > $1 and ($3::text[] is null or owner = any($3)
                         or exists (select from unity_grants g
                                    where g.catalog_name = c.name and {GRANTEE} = any($3))
                         or exists (select from unity_schemas s
                                    where s.catalog_name = c.name and s.owner = any($3))
                         or exists (select from unity_tables t
                                    where t.catalog_name = c.name and t.owner = any($3)))
                     order by name collate "C" limit $2"#
                ),
                &[&after, &limit, &names],
            )
            .await?;
        Ok(rows.iter().map(UnityCatalog::from).collect())
    }

    /// A new name is also that of what lies in it. Refused by the key of `unity_catalogs` if it is taken.
    pub async fn update_unity_catalog(
        &self,
        name: &str,
        by: &str,
        patch: &ObjectPatch,
    ) -> Result<Option<UnityCatalog>> {
        let sql = format!(
            "update unity_catalogs set {}, settings = settings || coalesce($6::jsonb, '{{}}'),
                 name = coalesce($7, name)
             where name = $5 returning {CATALOG}",
            ObjectPatch::SET
        );
        let ObjectPatch { owner, comment, properties, settings, new_name } = patch;
        let values: &[&(dyn ToSql + Sync)] =
            &[owner, comment, properties, &by, &name, settings, new_name];
        let row = self.update_named(&sql, values).await?;
        Ok(row.as_ref().map(UnityCatalog::from))
    }

    /// As [`Self::update_unity_catalog`].
    pub async fn update_unity_schema(
        &self,
        catalog: &str,
        name: &str,
        by: &str,
        patch: &ObjectPatch,
    ) -> Result<Option<UnitySchema>> {
        let sql = format!(
            "update unity_schemas set {}, settings = settings || coalesce($7::jsonb, '{{}}'),
                 name = coalesce($8, name)
             where catalog_name = $5 and name = $6 returning {SCHEMA}",
            ObjectPatch::SET
        );
        let ObjectPatch { owner, comment, properties, settings, new_name } = patch;
        let values: &[&(dyn ToSql + Sync)] =
            &[owner, comment, properties, &by, &catalog, &name, settings, new_name];
        let row = self.update_named(&sql, values).await?;
        Ok(row.as_ref().map(UnitySchema::from))
    }

    /// An update that may change a name, which what lies below follows. Grants hang on a table in three
    /// ways, so that their keys fit again only when all of them have followed.
    async fn update_named(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Option<Row>> {
        transact!(self, |transaction| {
            transaction.batch_execute("set constraints all deferred").await?;
            let row = transaction.query_opt(sql, values).await?;
            Ok(row)
        })
    }

    /// Refused by the key of `unity_schemas` while schemas are left; an empty `default` goes with its catalog.
    pub async fn delete_unity_catalog(&self, name: &str) -> Result<bool> {
        transact!(self, |transaction| {
            transaction
                .execute(
                    "delete from unity_schemas s where catalog_name = $1 and name = $2
                         and not exists (select from unity_tables t
                                         where t.catalog_name = s.catalog_name
                                             and t.schema_name = s.name)",
                    &[&name, &DEFAULT_SCHEMA],
                )
                .await?;
            let deleted =
                transaction.execute("delete from unity_catalogs where name = $1", &[&name]).await?;
            Ok(deleted == 1)
        })
    }

    /// Deletes the catalog with its schemas and table registrations; no data file is touched.
    pub async fn delete_unity_catalog_whole(&self, name: &str) -> Result<bool> {
        transact!(self, |transaction| {
            transaction
                .execute("delete from unity_tables where catalog_name = $1", &[&name])
                .await?;
            transaction
                .execute("delete from unity_schemas where catalog_name = $1", &[&name])
                .await?;
            let deleted =
                transaction.execute("delete from unity_catalogs where name = $1", &[&name]).await?;
            Ok(deleted == 1)
        })
    }

    pub async fn add_unity_schema(
        &self,
        catalog: &str,
        new: &NewObject<'_>,
    ) -> Result<UnitySchema> {
        let sql = format!(
            "insert into unity_schemas
                 (id, catalog_name, name, owner, created_by, comment, properties, settings)
             values ($1, $2, $3, $4, $4, $5, $6, $7) returning {SCHEMA}"
        );
        let values: &[&(dyn ToSql + Sync)] = &[
            &Uuid::new_v4(),
            &catalog,
            &new.name,
            &new.owner,
            &new.comment,
            new.properties,
            new.settings,
        ];
        let row = self.connection().await?.query_one(&sql, values).await?;
        Ok(UnitySchema::from(&row))
    }

    pub async fn unity_schema(&self, catalog: &str, name: &str) -> Result<Option<UnitySchema>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {SCHEMA} from unity_schemas where catalog_name = $1 and name = $2"
                ),
                &[&catalog, &name],
            )
            .await?;
        Ok(row.as_ref().map(UnitySchema::from))
    }

    /// With `names`, those in which one of them owns something or has a right.
    pub async fn unity_schemas(
        &self,
        catalog: &str,
        names: Option<&[String]>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<UnitySchema>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {SCHEMA} from unity_schemas s
                     where catalog_name = $1 and name > $2
                         and ($4::text[] is null or owner = any($4)
                         or exists (select from unity_grants g
                                    where g.catalog_name = s.catalog_name
                                        and g.schema_name = s.name and {GRANTEE} = any($4))
                         or exists (select from unity_tables t
                                    where t.catalog_name = s.catalog_name
                                        and t.schema_name = s.name and t.owner = any($4)))
                     order by name limit $3"
                ),
                &[&catalog, &after, &limit, &names],
            )
            .await?;
        Ok(rows.iter().map(UnitySchema::from).collect())
    }

    /// Refused by the key of `unity_tables` while tables are left, unless these go too.
    pub async fn delete_unity_schema(
        &self,
        catalog: &str,
        name: &str,
        whole: bool,
    ) -> Result<bool> {
        transact!(self, |transaction| {
            if whole {
                let sql = "delete from unity_tables where catalog_name = $1 and schema_name = $2";
                transaction.execute(sql, &[&catalog, &name]).await?;
            }
            let sql = "delete from unity_schemas where catalog_name = $1 and name = $2";
            let deleted = transaction.execute(sql, &[&catalog, &name]).await?;
            Ok(deleted == 1)
        })
    }
}
