//! The embedded Unity Catalog: catalogs, schemas and external Delta tables.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::{Result, Store};

#[derive(Debug, Clone)]
pub struct UnityCatalog {
    pub name: String,
    pub owner: String,
    pub comment: Option<String>,
    pub properties: Value,
    pub created_at: Timestamp,
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
}

#[derive(Debug, Clone)]
pub struct UnityTable {
    pub id: Uuid,
    pub catalog_name: String,
    pub schema_name: String,
    pub name: String,
    pub owner: String,
    pub storage_location: String,
    pub comment: Option<String>,
    pub columns: Value,
    pub properties: Value,
    pub created_at: Timestamp,
}

const CATALOG: &str = "name, owner, comment, properties, created_at";
const SCHEMA: &str = "id, catalog_name, name, owner, comment, properties, created_at";
const TABLE: &str = "id, catalog_name, schema_name, name, owner, storage_location, comment, columns, \
                     properties, created_at";

impl From<&Row> for UnityCatalog {
    fn from(row: &Row) -> Self {
        Self {
            name: row.get(0),
            owner: row.get(1),
            comment: row.get(2),
            properties: row.get(3),
            created_at: row.get(4),
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
        }
    }
}

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
        }
    }
}

impl Store {
    pub async fn add_unity_catalog(
        &self,
        name: &str,
        owner: &str,
        comment: Option<&str>,
        properties: &Value,
    ) -> Result<UnityCatalog> {
        let row = self
            .connection()
            .await?
            .query_one(
                &format!(
                    "insert into unity_catalogs (name, owner, comment, properties)
                     values ($1, $2, $3, $4) returning {CATALOG}"
                ),
                &[&name, &owner, &comment, &properties],
            )
            .await?;
        Ok(UnityCatalog::from(&row))
    }

    pub async fn unity_catalog(&self, name: &str) -> Result<Option<UnityCatalog>> {
        let row = self
            .connection()
            .await?
            .query_opt(&format!("select {CATALOG} from unity_catalogs where name = $1"), &[&name])
            .await?;
        Ok(row.as_ref().map(UnityCatalog::from))
    }

    /// At most `limit` catalogs whose names follow `after`.
    pub async fn unity_catalogs(&self, after: &str, limit: i64) -> Result<Vec<UnityCatalog>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {CATALOG} from unity_catalogs where name > $1 order by name limit $2"
                ),
                &[&after, &limit],
            )
            .await?;
        Ok(rows.iter().map(UnityCatalog::from).collect())
    }

    /// Refused by the key of `unity_schemas` while schemas are left.
    pub async fn delete_unity_catalog(&self, name: &str) -> Result<bool> {
        let deleted = self
            .connection()
            .await?
            .execute("delete from unity_catalogs where name = $1", &[&name])
            .await?;
        Ok(deleted == 1)
    }

    /// Deletes the catalog with its schemas and table registrations; no data file is touched.
    pub async fn delete_unity_catalog_whole(&self, name: &str) -> Result<bool> {
        let mut client = self.connection().await?;
        let transaction = client.transaction().await?;
        transaction.execute("delete from unity_tables where catalog_name = $1", &[&name]).await?;
        transaction.execute("delete from unity_schemas where catalog_name = $1", &[&name]).await?;
        let deleted =
            transaction.execute("delete from unity_catalogs where name = $1", &[&name]).await?;
        transaction.commit().await?;
        Ok(deleted == 1)
    }

    pub async fn add_unity_schema(
        &self,
        catalog: &str,
        name: &str,
        owner: &str,
        comment: Option<&str>,
        properties: &Value,
    ) -> Result<UnitySchema> {
        let row = self
            .connection()
            .await?
            .query_one(
                &format!(
                    "insert into unity_schemas (id, catalog_name, name, owner, comment, properties)
                     values ($1, $2, $3, $4, $5, $6) returning {SCHEMA}"
                ),
                &[&Uuid::new_v4(), &catalog, &name, &owner, &comment, &properties],
            )
            .await?;
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

    pub async fn unity_schemas(
        &self,
        catalog: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<UnitySchema>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {SCHEMA} from unity_schemas
                     where catalog_name = $1 and name > $2 order by name limit $3"
                ),
                &[&catalog, &after, &limit],
            )
            .await?;
        Ok(rows.iter().map(UnitySchema::from).collect())
    }

    /// Refused by the key of `unity_tables` while tables are left.
    pub async fn delete_unity_schema(&self, catalog: &str, name: &str) -> Result<bool> {
        let deleted = self
            .connection()
            .await?
            .execute(
                "delete from unity_schemas where catalog_name = $1 and name = $2",
                &[&catalog, &name],
            )
            .await?;
        Ok(deleted == 1)
    }

    pub async fn add_unity_table(&self, table: &UnityTable) -> Result<UnityTable> {
        let row = self
            .connection()
            .await?
            .query_one(
                &format!(
                    "insert into unity_tables (id, catalog_name, schema_name, name, owner,
                         storage_location, comment, columns, properties)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning {TABLE}"
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
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {TABLE} from unity_tables
                     where catalog_name = $1 and schema_name = $2 and name = $3"
                ),
                &[&catalog, &schema, &name],
            )
            .await?;
        Ok(row.as_ref().map(UnityTable::from))
    }

    pub async fn unity_tables(
        &self,
        catalog: &str,
        schema: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<UnityTable>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {TABLE} from unity_tables
                     where catalog_name = $1 and schema_name = $2 and name > $3
                     order by name limit $4"
                ),
                &[&catalog, &schema, &after, &limit],
            )
            .await?;
        Ok(rows.iter().map(UnityTable::from).collect())
    }

    pub async fn delete_unity_table(
        &self,
        catalog: &str,
        schema: &str,
        name: &str,
    ) -> Result<bool> {
        let deleted = self
            .connection()
            .await?
            .execute(
                "delete from unity_tables
                 where catalog_name = $1 and schema_name = $2 and name = $3",
                &[&catalog, &schema, &name],
            )
            .await?;
        Ok(deleted == 1)
    }
}
