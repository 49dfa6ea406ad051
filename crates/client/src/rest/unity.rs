//! Unity Catalog, as far as registering and looking up a Delta table goes.

use lakeport_api::unity::{CatalogInfo, SchemaInfo, TableExists, TableInfo};
use lakeport_api::unity_grants::{TableCredential, TableCredentialRequest};
use serde::Serialize;

use super::{Paging, list};
use crate::http::Call;
use crate::{Client, Document, Result};

const UNITY: [&str; 3] = ["api", "2.1", "unity-catalog"];

fn path<'a>(parts: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = &'a str> {
    UNITY.into_iter().chain(parts)
}

impl Client {
    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_catalog(&self, catalog: &impl Serialize) -> Result<Document<CatalogInfo>> {
        self.fetch(Call::post(String::from("create catalog"), path(["catalogs"]), catalog)?).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_catalog(&self, name: &str) -> Result<Document<CatalogInfo>> {
        self.fetch(Call::get(format!("get catalog `{name}`"), path(["catalogs", name]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_catalogs(&self, paging: &Paging) -> Result<Vec<Document<CatalogInfo>>> {
        let call = || Call::get(String::from("list catalogs"), path(["catalogs"]));
        list(self, "catalogs", "max_results", paging, call).await
    }

    /// `force` deletes what is in it too.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_catalog(&self, name: &str, force: bool) -> Result<()> {
        let call = Call::delete(format!("delete catalog `{name}`"), path(["catalogs", name]));
        self.send(&call.query("force", force.then_some(true))).await.map(drop)
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_schema(&self, schema: &impl Serialize) -> Result<Document<SchemaInfo>> {
        self.fetch(Call::post(String::from("create schema"), path(["schemas"]), schema)?).await
    }

    /// `name` is `catalog.schema`.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_schema(&self, name: &str) -> Result<Document<SchemaInfo>> {
        self.fetch(Call::get(format!("get schema `{name}`"), path(["schemas", name]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_schemas(
        &self,
        catalog: &str,
        paging: &Paging,
    ) -> Result<Vec<Document<SchemaInfo>>> {
        let call = || {
            Call::get(format!("list the schemas of `{catalog}`"), path(["schemas"]))
                .query("catalog_name", Some(catalog))
        };
        list(self, "schemas", "max_results", paging, call).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_schema(&self, name: &str) -> Result<()> {
        let call = Call::delete(format!("delete schema `{name}`"), path(["schemas", name]));
        self.send(&call).await.map(drop)
    }

    /// `table` is a [`TableInfo`], or JSON with the same fields.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_table(&self, table: &impl Serialize) -> Result<Document<TableInfo>> {
        self.fetch(Call::post(String::from("register table"), path(["tables"]), table)?).await
    }

    /// `name` is `catalog.schema.table`.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_table(&self, name: &str) -> Result<Document<TableInfo>> {
        self.fetch(Call::get(format!("get table `{name}`"), path(["tables", name]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_tables(
        &self,
        catalog: &str,
        schema: &str,
        paging: &Paging,
    ) -> Result<Vec<Document<TableInfo>>> {
        let call = || {
            Call::get(format!("list the tables of `{catalog}.{schema}`"), path(["tables"]))
                .query("catalog_name", Some(catalog))
                .query("schema_name", Some(schema))
        };
        list(self, "tables", "max_results", paging, call).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn table_exists(&self, name: &str) -> Result<bool> {
        let call = Call::get(format!("look for table `{name}`"), path(["tables", name, "exists"]));
        Ok(self.fetch::<TableExists>(call).await?.table_exists)
    }

    /// Credentials to read the files of the table with this id.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn temporary_table_credential(&self, id: &str) -> Result<Document<TableCredential>> {
        let body =
            TableCredentialRequest { table_id: id.to_owned(), operation: String::from("READ") };
        let path = ["api", "2.0", "unity-catalog", "temporary-table-credentials"];
        self.fetch(Call::post(String::from("get credentials of a table"), path, &body)?).await
    }

    /// Forgets an external table; its files stay.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_table(&self, name: &str) -> Result<()> {
        let call = Call::delete(format!("delete table `{name}`"), path(["tables", name]));
        self.send(&call).await.map(drop)
    }
}
