//! Synced tables: Delta tables served from PostgreSQL.

use lakeport_api::SyncedDatabaseTable;
use reqwest::Method;
use serde::Serialize;

use super::{Paging, list};
use crate::http::{Call, body};
use crate::{Client, Document, Result};

const SYNCED_TABLES: [&str; 4] = ["api", "2.0", "database", "synced_tables"];

fn path(name: &str) -> impl Iterator<Item = &str> {
    SYNCED_TABLES.into_iter().chain([name])
}

impl Client {
    /// `table` is a [`SyncedDatabaseTable`], or JSON with the same fields.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_synced_database_table(
        &self,
        table: &impl Serialize,
    ) -> Result<Document<SyncedDatabaseTable>> {
        let operation = String::from("create synced table");
        self.fetch(Call::post(operation, SYNCED_TABLES, table)?).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_synced_database_table(
        &self,
        name: &str,
    ) -> Result<Document<SyncedDatabaseTable>> {
        self.fetch(Call::get(format!("get synced table `{name}`"), path(name))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_synced_database_tables(
        &self,
        instance: &str,
        paging: &Paging,
    ) -> Result<Vec<Document<SyncedDatabaseTable>>> {
        let path = ["api", "2.0", "database", "instances", instance, "synced_tables"];
        let call = || Call::get(format!("list the synced tables of `{instance}`"), path);
        list(self, "synced_tables", "page_size", paging, call).await
    }

    /// `update_mask` names the fields that are set. Services answer that they cannot do it yet.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn update_synced_database_table(
        &self,
        name: &str,
        table: &impl Serialize,
        update_mask: &str,
    ) -> Result<Document<SyncedDatabaseTable>> {
        let operation = format!("update synced table `{name}`");
        let body = body(&operation, table)?;
        let call = Call::new(Method::PATCH, operation, path(name));
        self.fetch(Call { body, ..call.query("update_mask", Some(update_mask)) }).await
    }

    /// `purge_data` drops the PostgreSQL table too.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_synced_database_table(
        &self,
        name: &str,
        purge_data: Option<bool>,
    ) -> Result<()> {
        let call = Call::delete(format!("delete synced table `{name}`"), path(name))
            .query("purge_data", purge_data);
        self.send(&call).await.map(drop)
    }
}
