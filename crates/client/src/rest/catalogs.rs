//! Databases registered as catalogs.

use lakeport_api::DatabaseCatalog;
use reqwest::Method;
use serde::Serialize;

use super::{Paging, list};
use crate::http::{Call, body};
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

    /// `update_mask` names the fields that are set. Services answer that they cannot do it yet.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn update_database_catalog(
        &self,
        name: &str,
        catalog: &impl Serialize,
        update_mask: &str,
    ) -> Result<Document<DatabaseCatalog>> {
        let operation = format!("update database catalog `{name}`");
        let body = body(&operation, catalog)?;
        let call = Call::new(Method::PATCH, operation, path(name));
        self.fetch(Call { body, ..call.query("update_mask", Some(update_mask)) }).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_database_catalog(&self, name: &str) -> Result<()> {
        let call = Call::delete(format!("delete database catalog `{name}`"), path(name));
        self.send(&call).await.map(drop)
    }
}
