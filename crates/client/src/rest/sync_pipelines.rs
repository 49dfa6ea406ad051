//! What synced tables have beyond the API of Databricks: pauses, schedules, settings.

use lakeport_api::{SyncPipeline, SyncSchedule, SyncSettings};
use reqwest::Method;

use crate::http::{Call, body};
use crate::{Client, Document, Result};

const LAKEPORT: [&str; 3] = ["api", "2.0", "lakeport"];

fn pipeline<'a>(id: &'a str, rest: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    LAKEPORT.into_iter().chain(["pipelines", id]).chain(rest.iter().copied())
}

fn settings(name: &str) -> impl Iterator<Item = &str> {
    LAKEPORT.into_iter().chain(["synced_tables", name, "settings"])
}

impl Client {
    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_sync_pipeline(&self, id: &str) -> Result<Document<SyncPipeline>> {
        self.fetch(Call::get(format!("get pipeline `{id}`"), pipeline(id, &[]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn pause_sync_pipeline(&self, id: &str) -> Result<Document<SyncPipeline>> {
        let operation = format!("pause pipeline `{id}`");
        self.fetch(Call::new(Method::POST, operation, pipeline(id, &["pause"]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn resume_sync_pipeline(&self, id: &str) -> Result<Document<SyncPipeline>> {
        let operation = format!("resume pipeline `{id}`");
        self.fetch(Call::new(Method::POST, operation, pipeline(id, &["resume"]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn set_sync_schedule(
        &self,
        id: &str,
        schedule: &SyncSchedule,
    ) -> Result<Document<SyncPipeline>> {
        let operation = format!("set the schedule of pipeline `{id}`");
        let body = body(&operation, schedule)?;
        let call = Call::new(Method::PUT, operation, pipeline(id, &["schedule"]));
        self.fetch(Call { body, ..call }).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn remove_sync_schedule(&self, id: &str) -> Result<Document<SyncPipeline>> {
        let operation = format!("remove the schedule of pipeline `{id}`");
        self.fetch(Call::delete(operation, pipeline(id, &["schedule"]))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_sync_settings(&self, name: &str) -> Result<Document<SyncSettings>> {
        self.fetch(Call::get(format!("get the settings of `{name}`"), settings(name))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn update_sync_settings(
        &self,
        name: &str,
        changes: &SyncSettings,
    ) -> Result<Document<SyncSettings>> {
        let operation = format!("change the settings of `{name}`");
        let body = body(&operation, changes)?;
        let call = Call::new(Method::PATCH, operation, settings(name));
        self.fetch(Call { body, ..call }).await
    }
}
