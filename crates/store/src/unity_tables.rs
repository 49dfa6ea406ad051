//! The embedded Unity Catalog: tables, and the synced tables that stand in a database's schemas.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::unity::ObjectPatch;
use crate::unity_grants::GRANTEE;
use crate::{Result, Store};

/// A Delta table at a location, or a table of a database that is read where it is.
#[derive(Debug, Clone)]
pub struct UnityTable {
    pub id: Uuid,
    pub catalog_name: String,
    pub schema_name: String,
    pub name: String,
    pub owner: String,
    pub storage_location: Option<String>,
    pub comment: Option<String>,
    pub columns: Value,
    pub properties: Value,
    pub created_at: Timestamp,
    pub created_by: Option<String>,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<String>,
    pub constraints: Value,
    pub instance_uid: Option<Uuid>,
    pub database_name: Option<String>,
}

const TABLE: &str = "id, catalog_name, schema_name, name, owner, storage_location, comment, columns, \
                     properties, created_at, created_by, updated_at, updated_by, constraints, \
                     instance_uid, database_name";

impl From<&Row> for UnityTable {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get(0),
            catalog_name: row.get(1),
            schema_name: row.get(2),
            name: row.get(3),
            owner: row.get(4),
            storage_location: row.get(5),
            comment: row.get(6),
            columns: row.get(7),
            properties: row.get(8),
            created_at: row.get(9),
            created_by: row.get(10),
            updated_at: row.get(11),
            updated_by: row.get(12),
            constraints: row.get(13),
            instance_uid: row.get(14),
            database_name: row.get(15),
        }
    }
}

/// A synced table that is written into a schema of a database.
#[derive(Debug, Clone)]
pub struct SyncedIn {
    pub table_name: String,
    pub pipeline_id: Uuid,
    /// The request that made it.
    pub request: Value,
}

impl Store {
    pub async fn add_unity_table(&self, table: &UnityTable) -> Result<UnityTable> {
        let row = self
            .connection()
            .await?
            .query_one(
                &format!(
                    "insert into unity_tables (id, catalog_name, schema_name, name, owner, created_by,
                         storage_location, comment, columns, properties, constraints, instance_uid,
                         database_name)
                     values ($1, $2, $3, $4, $5, $5, $6, $7, $8, $9, $10, $11, $12)
                     returning {TABLE}"
                ),
                &[
                    &table.id,
                    &table.catalog_name,
                    &table.schema_name,
                    &table.name,
                    &table.owner,
                    &table.storage_location,
                    &table.comment,
                    &table.columns,
                    &table.properties,
                    &table.constraints,
                    &table.instance_uid,
                    &table.database_name,
                ],
            )
            .await?;
        Ok(UnityTable::from(&row))
    }

    pub async fn unity_table(
        &self,
        catalog: &str,
        schema: &str,
        name: &str,
    ) -> Result<Option<UnityTable>> {
        let sql = format!(
            "select {TABLE} from unity_tables
             where catalog_name = $1 and schema_name = $2 and name = $3"
        );
        let row = self.connection().await?.query_opt(&sql, &[&catalog, &schema, &name]).await?;
        Ok(row.as_ref().map(UnityTable::from))
    }

    pub async fn unity_table_by_id(&self, id: Uuid) -> Result<Option<UnityTable>> {
        let sql = format!("select {TABLE} from unity_tables where id = $1");
        let row = self.connection().await?.query_opt(&sql, &[&id]).await?;
        Ok(row.as_ref().map(UnityTable::from))
    }

    /// At most `limit` tables whose names follow `after`; with `names`, those that one of them owns or
    /// has a right to.
    pub async fn unity_tables(
        &self,
        catalog: &str,
        schema: &str,
        names: Option<&[String]>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<UnityTable>> {
        let sql = format!(
            "select {TABLE} from unity_tables t
             where catalog_name = $1 and schema_name = $2 and name > $3
                 and ($5::text[] is null or owner = any($5)
                     or exists (select from unity_grants g
                                where g.catalog_name = t.catalog_name
                                    and g.schema_name = t.schema_name
                                    and g.table_name = t.name and {GRANTEE} = any($5)))
             order by name limit $4"
        );
        let values = &[&catalog as &(dyn ToSql + Sync), &schema, &after, &limit, &names];
        let rows = self.connection().await?.query(&sql, values).await?;
        Ok(rows.iter().map(UnityTable::from).collect())
    }

    /// Schema, name and kind of the tables whose schema and name match two patterns of LIKE. A page begins
    /// after a schema and a name with a control character between them.
    pub async fn unity_table_summaries(
        &self,
        catalog: &str,
        names: Option<&[String]>,
        (schemas, tables): (&str, &str),
        after: &str,
        limit: i64,
    ) -> Result<Vec<(String, String, &'static str)>> {
        let (after_schema, after_name) = after.split_once('\u{1}').unwrap_or_default();
        let sql = format!("select schema_name, name, storage_location is null from unity_tables t
                   where catalog_name = $1 and schema_name like $3 and name like $4
                       and (schema_name, name) > ($5::text, $6::text)
                       and ($2::text[] is null or owner = any($2)
                           or exists (select from unity_grants g
                                      where g.catalog_name = t.catalog_name
                                          and g.schema_name = t.schema_name
                                          and (g.table_name is null or g.table_name = t.name)
                                          and g.privilege = any('{{SELECT,MODIFY,MANAGE,BROWSE,APPLY_TAG,ALL_PRIVILEGES}}')
                                          and {GRANTEE} = any($2)))
                   order by schema_name, name limit $7");
        let values: &[&(dyn ToSql + Sync)] =
            &[&catalog, &names, &schemas, &tables, &after_schema, &after_name, &limit];
        let rows = self.connection().await?.query(&sql, values).await?;
        let summary = |row: &Row| {
            let of_database: bool = row.get(2);
            (row.get(0), row.get(1), if of_database { "FOREIGN" } else { "EXTERNAL" })
        };
        Ok(rows.iter().map(summary).collect())
    }

    pub async fn update_unity_table(
        &self,
        id: Uuid,
        by: &str,
        patch: &ObjectPatch,
    ) -> Result<Option<UnityTable>> {
        let sql =
            format!("update unity_tables set {} where id = $5 returning {TABLE}", ObjectPatch::SET);
        let ObjectPatch { owner, comment, properties, .. } = patch;
        let values = &[owner as &(dyn ToSql + Sync), comment, properties, &by, &id];
        let row = self.connection().await?.query_opt(&sql, values).await?;
        Ok(row.as_ref().map(UnityTable::from))
    }

    /// Writes the table's constraints if they are still what was read.
    pub async fn set_unity_constraints(&self, id: Uuid, from: &Value, to: &Value) -> Result<bool> {
        let sql = "update unity_tables set constraints = $3 where id = $1 and constraints = $2";
        Ok(self.connection().await?.execute(sql, &[&id, from, to]).await? == 1)
    }

    pub async fn delete_unity_table(&self, id: Uuid) -> Result<bool> {
        let sql = "delete from unity_tables where id = $1";
        Ok(self.connection().await?.execute(sql, &[&id]).await? == 1)
    }

    /// Each synced table's own name, and its source's.
    pub async fn names_of_synced_tables(&self) -> Result<Vec<(String, String)>> {
        let sql = "select name, coalesce(request->'spec'->>'source_table_full_name', '')
                   from synced_tables where deleted_at is null order by name";
        let rows = self.connection().await?.query(sql, &[]).await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    pub async fn synced_tables_in(
        &self,
        instance: Uuid,
        database: &str,
        schema: &str,
    ) -> Result<Vec<SyncedIn>> {
        let sql = "select table_name, pipeline_id, request from synced_tables
                   where instance_uid = $1 and database_name = $2 and schema_name = $3
                       and deleted_at is null";
        let rows = self.connection().await?.query(sql, &[&instance, &database, &schema]).await?;
        let row = |row: &Row| SyncedIn {
            table_name: row.get(0),
            pipeline_id: row.get(1),
            request: row.get(2),
        };
        Ok(rows.iter().map(row).collect())
    }
}
