//! Tables of PostgreSQL under a three-part name, without a registered catalog.

use lakeport_api::DatabaseTable;
use serde::Serialize;

use crate::http::Call;
use crate::{Client, Document, Result};

const TABLES: [&str; 4] = ["api", "2.0", "database", "tables"];

fn path(name: &str) -> impl Iterator<Item = &str> {
    TABLES.into_iter().chain([name])
}

impl Client {
    /// `table` is a [`DatabaseTable`], or JSON with the same fields.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_database_table(
        &self,
        table: &impl Serialize,
    ) -> Result<Document<DatabaseTable>> {
        self.fetch(Call::post(String::from("create database table"), TABLES, table)?).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_database_table(&self, name: &str) -> Result<Document<DatabaseTable>> {
        self.fetch(Call::get(format!("get database table `{name}`"), path(name))).await
    }

    /// Forgets the name; the PostgreSQL table stays.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_database_table(&self, name: &str) -> Result<()> {
        let call = Call::delete(format!("delete database table `{name}`"), path(name));
        self.send(&call).await.map(drop)
    }
}
