//! Databases registered as catalogs.

use lakeport_api::DatabaseCatalog;
use serde::Serialize;

use super::{Paging, list};
use crate::http::Call;
use crate::{Client, Document, Result};

const CATALOGS: [&str; 4] = ["api", "2.0", "database", "catalogs"];

fn path(name: &str) -> impl Iterator<Item = &str> {
    CATALOGS.into_iter().chain([name])
}

impl Client {
    /// `catalog` is a [`DatabaseCatalog`], or JSON with the same fields.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_database_catalog(
        &self,
        catalog: &impl Serialize,
    ) -> Result<Document<DatabaseCatalog>> {
        let operation = String::from("create database catalog");
        self.fetch(Call::post(operation, CATALOGS, catalog)?).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_database_catalog(&self, name: &str) -> Result<Document<DatabaseCatalog>> {
        self.fetch(Call::get(format!("get database catalog `{name}`"), path(name))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_database_catalogs(
        &self,
        instance: &str,
        paging: &Paging,
    ) -> Result<Vec<Document<DatabaseCatalog>>> {
        let path = ["api", "2.0", "database", "instances", instance, "catalogs"];
        let call = || Call::get(format!("list the database catalogs of `{instance}`"), path);
        list(self, "database_catalogs", "page_size", paging, call).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_database_catalog(&self, name: &str) -> Result<()> {
        let call = Call::delete(format!("delete database catalog `{name}`"), path(name));
        self.send(&call).await.map(drop)
    }
}
