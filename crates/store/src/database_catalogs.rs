//! Databases of instances that are registered as catalogs.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::retry::transact;
use crate::unity::ObjectPatch;
use crate::{Create, Result, Store};

#[derive(Debug, Clone)]
pub struct DatabaseCatalogRow {
    pub name: String,
    pub uid: Uuid,
    pub instance_uid: Uuid,
    pub instance_name: String,
    pub database_name: String,
    pub creator: String,
    pub owner: String,
    pub comment: Option<String>,
    pub properties: Value,
    pub created_at: Timestamp,
    pub updated_at: Option<Timestamp>,
    pub updated_by: Option<String>,
}

#[derive(Debug, Clone)]
pub struct NewDatabaseCatalog<'a> {
    pub name: &'a str,
    pub uid: Uuid,
    pub instance_uid: Uuid,
    pub database_name: &'a str,
    pub creator: &'a str,
}

const SELECT: &str = "select c.name, c.uid, c.instance_uid, i.name, c.database_name, c.creator, \
                      coalesce(c.owner, c.creator), c.comment, c.properties, c.created_at, \
                      c.updated_at, c.updated_by \
                      from database_catalogs c join instances i on i.uid = c.instance_uid";

impl From<&Row> for DatabaseCatalogRow {
    fn from(row: &Row) -> Self {
        Self {
            name: row.get(0),
            uid: row.get(1),
            instance_uid: row.get(2),
            instance_name: row.get(3),
            database_name: row.get(4),
            creator: row.get(5),
            owner: row.get(6),
            comment: row.get(7),
            properties: row.get(8),
            created_at: row.get(9),
            updated_at: row.get(10),
            updated_by: row.get(11),
        }
    }
}

impl Store {
    /// Adds the catalog, and that its client has no answer yet. Refused by `database_catalogs_pkey` if
    /// the name is taken, by `database_catalogs_database` if the database has a catalog.
    pub async fn add_database_catalog(
        &self,
        new: &NewDatabaseCatalog<'_>,
        create: &Create<'_>,
    ) -> Result<()> {
        transact!(self, |transaction| {
            transaction
                .execute(
                    "insert into database_catalogs (name, uid, instance_uid, database_name, creator, owner)
                     values ($1, $2, $3, $4, $5, $5)",
                    &[&new.name, &new.uid, &new.instance_uid, &new.database_name, &new.creator],
                )
                .await?;
            create.note(transaction, new.uid).await?;
            Ok(())
        })
    }

    pub async fn database_catalog(&self, name: &str) -> Result<Option<DatabaseCatalogRow>> {
        let rows = self.select_database_catalogs("c.name = $1 limit 1", &[&name]).await?;
        Ok(rows.into_iter().next())
    }

    /// At most `limit` catalogs of the instance whose names follow `after`.
    pub async fn database_catalogs(
        &self,
        instance: Uuid,
        after: &str,
        limit: i64,
    ) -> Result<Vec<DatabaseCatalogRow>> {
        let condition = "c.instance_uid = $1 and c.name > $2 order by c.name limit $3";
        self.select_database_catalogs(condition, &[&instance, &after, &limit]).await
    }

    /// Of all instances, or of these only.
    pub async fn all_database_catalogs(
        &self,
        instances: Option<&[Uuid]>,
        after: &str,
        limit: i64,
    ) -> Result<Vec<DatabaseCatalogRow>> {
        let condition = r#"($1::uuid[] is null or c.instance_uid = any($1))
                             and c.name collate "C" > $2 order by c.name collate "C" limit $3"#;
        self.select_database_catalogs(condition, &[&instances, &after, &limit]).await
    }

    async fn select_database_catalogs(
        &self,
        condition: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<DatabaseCatalogRow>> {
        let sql = format!("{SELECT} where {condition}");
        let rows = self.connection().await?.query(&sql, values).await?;
        Ok(rows.iter().map(DatabaseCatalogRow::from).collect())
    }

    pub async fn update_database_catalog(
        &self,
        name: &str,
        by: &str,
        patch: &ObjectPatch,
    ) -> Result<bool> {
        let sql = format!("update database_catalogs set {} where name = $5", ObjectPatch::SET);
        let ObjectPatch { owner, comment, properties, .. } = patch;
        let changed = self
            .connection()
            .await?
            .execute(&sql, &[owner, comment, properties, &by, &name])
            .await?;
        Ok(changed == 1)
    }

    pub async fn delete_database_catalog(&self, name: &str) -> Result<bool> {
        let deleted = self
            .connection()
            .await?
            .execute("delete from database_catalogs where name = $1", &[&name])
            .await?;
        Ok(deleted == 1)
    }
}
