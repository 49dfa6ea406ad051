//! PostgreSQL roles of an instance.

use lakeport_api::DatabaseInstanceRole;
use serde::Serialize;

use super::{Paging, list};
use crate::http::Call;
use crate::{Client, Document, Result};

const INSTANCES: [&str; 4] = ["api", "2.0", "database", "instances"];

fn path<'a>(instance: &'a str, role: Option<&'a str>) -> impl Iterator<Item = &'a str> {
    INSTANCES.into_iter().chain([instance, "roles"]).chain(role)
}

impl Client {
    /// `role` is a [`DatabaseInstanceRole`], or JSON with the same fields.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn create_database_instance_role(
        &self,
        instance: &str,
        role: &impl Serialize,
    ) -> Result<Document<DatabaseInstanceRole>> {
        let operation = format!("create a role of `{instance}`");
        self.fetch(Call::post(operation, path(instance, None), role)?).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn get_database_instance_role(
        &self,
        instance: &str,
        role: &str,
    ) -> Result<Document<DatabaseInstanceRole>> {
        let operation = format!("get role `{role}` of `{instance}`");
        self.fetch(Call::get(operation, path(instance, Some(role)))).await
    }

    /// # Errors
    /// See [`crate::Error`].
    pub async fn list_database_instance_roles(
        &self,
        instance: &str,
        paging: &Paging,
    ) -> Result<Vec<Document<DatabaseInstanceRole>>> {
        let call = || Call::get(format!("list the roles of `{instance}`"), path(instance, None));
        list(self, "database_instance_roles", "page_size", paging, call).await
    }

    /// What the role owns goes to `heir`; without one, a role that owns something stays.
    ///
    /// # Errors
    /// See [`crate::Error`].
    pub async fn delete_database_instance_role(
        &self,
        instance: &str,
        role: &str,
        allow_missing: bool,
        heir: Option<&str>,
    ) -> Result<()> {
        let operation = format!("delete role `{role}` of `{instance}`");
        let call = Call::delete(operation, path(instance, Some(role)))
            .query("allow_missing", allow_missing.then_some(true))
            .query("reassign_owned_to", heir);
        self.send(&call).await.map(drop)
    }
}
