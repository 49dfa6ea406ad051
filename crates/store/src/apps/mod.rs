//! Apps: what they are and what they shall be.
//!
//! Their rights in databases, deployments and runs each have a file.

mod deployments;
mod grants;
mod runs;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::retry::transact;
use crate::{Result, Store};

pub use deployments::{AppDeployment, NewDeployment};
pub use grants::{AppGrant, DatabaseOfApp};
pub use runs::AppRun;

#[derive(Debug, Clone, PartialEq)]
pub struct App {
    pub id: Uuid,
    pub name: String,
    pub principal_id: i64,
    pub creator: String,
    pub created_at: Timestamp,
    pub updater: String,
    pub updated_at: Timestamp,
    pub spec: Value,
    pub stopped: bool,
    pub deleted_at: Option<Timestamp>,
    /// Of the service principal.
    pub client_id: Uuid,
    pub principal_name: String,
}

/// An app to be made, together with its service principal.
#[derive(Debug, Clone)]
pub struct NewApp {
    pub id: Uuid,
    pub name: String,
    pub creator: String,
    pub spec: Value,
    pub stopped: bool,
    pub client_id: Uuid,
    pub principal_name: String,
}

const COLUMNS: &str = "a.id, a.name, a.principal_id, a.creator, a.created_at, a.updater, a.updated_at, \
                       a.spec, a.stopped, a.deleted_at, p.application_id, p.display_name";
const FROM: &str = "apps a join principals p on p.id = a.principal_id";

impl From<&Row> for App {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get(0),
            name: row.get(1),
            principal_id: row.get(2),
            creator: row.get(3),
            created_at: row.get(4),
            updater: row.get(5),
            updated_at: row.get(6),
            spec: row.get(7),
            stopped: row.get(8),
            deleted_at: row.get(9),
            client_id: row.get(10),
            principal_name: row.get(11),
        }
    }
}

impl Store {
    /// The app, its service principal and what it shall have in databases, or nothing of it.
    pub async fn add_app(&self, new: &NewApp, databases: &[DatabaseOfApp]) -> Result<()> {
        transact!(self, |transaction| {
            let principal = transaction
                .query_one(
                    "insert into principals (kind, user_name, display_name, application_id)
                     values ('SERVICE_PRINCIPAL', $1::uuid::text, $2, $1) returning id",
                    &[&new.client_id, &new.principal_name],
                )
                .await?;
            transaction
                .execute(
                    "insert into apps (id, name, principal_id, creator, updater, spec, stopped)
                     values ($1, $2, $3, $4, $4, $5, $6)",
                    &[
                        &new.id,
                        &new.name,
                        &principal.get::<_, i64>(0),
                        &new.creator,
                        &new.spec,
                        &new.stopped,
                    ],
                )
                .await?;
            grants::want(transaction, new.id, databases).await?;
            Ok(())
        })
    }

    pub async fn app(&self, name: &str) -> Result<Option<App>> {
        let sql = format!("select {COLUMNS} from {FROM} where a.name = $1");
        let row = self.connection().await?.query_opt(&sql, &[&name]).await?;
        Ok(row.as_ref().map(App::from))
    }

    pub async fn app_by_id(&self, id: Uuid) -> Result<Option<App>> {
        let sql = format!("select {COLUMNS} from {FROM} where a.id = $1");
        let row = self.connection().await?.query_opt(&sql, &[&id]).await?;
        Ok(row.as_ref().map(App::from))
    }

    /// At most `limit` apps whose names follow `after`; of one creator, if one is given.
    pub async fn apps(&self, creator: Option<&str>, after: &str, limit: i64) -> Result<Vec<App>> {
        let sql = format!(
            "select {COLUMNS} from {FROM}
             where a.name > $1 and ($3::text is null or a.creator = $3) order by a.name limit $2"
        );
        let rows = self.connection().await?.query(&sql, &[&after, &limit, &creator]).await?;
        Ok(rows.iter().map(App::from).collect())
    }

    /// False if the app is gone, or was changed since `updated_at`. With `databases`, rights in others
    /// are no longer wanted.
    pub async fn update_app(
        &self,
        app: &App,
        updater: &str,
        spec: &Value,
        databases: Option<&[DatabaseOfApp]>,
    ) -> Result<bool> {
        transact!(self, |transaction| {
            let updated = transaction
                .execute(
                    "update apps set spec = $3, updater = $4, updated_at = clock_timestamp()
                     where id = $1 and updated_at = $2 and deleted_at is null",
                    &[&app.id, &app.updated_at, &spec, &updater],
                )
                .await?;
            if updated == 0 {
                return Ok(false);
            }
            if let Some(databases) = databases {
                grants::want(transaction, app.id, databases).await?;
            }
            Ok(true)
        })
    }

    pub async fn set_app_stopped(&self, id: Uuid, updater: &str, stopped: bool) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update apps set stopped = $2, updater = $3, updated_at = clock_timestamp()
                 where id = $1 and stopped <> $2",
                &[&id, &stopped, &updater],
            )
            .await?;
        Ok(())
    }

    /// From here on nobody logs in as the app; the rest goes when its rights are gone.
    pub async fn mark_app_deleted(&self, app: &App) -> Result<()> {
        transact!(self, |transaction| {
            transaction
                .execute(
                    "update apps set deleted_at = coalesce(deleted_at, now()) where id = $1",
                    &[&app.id],
                )
                .await?;
            transaction
                .execute(
                    "update principals set active = false, generation = generation + 1
                     where id = $1 and active",
                    &[&app.principal_id],
                )
                .await?;
            grants::want(transaction, app.id, &[]).await?;
            Ok(())
        })
    }

    /// Removes a deleted app with its service principal, unless it still has rights somewhere.
    pub async fn forget_app(&self, app: &App) -> Result<bool> {
        transact!(self, |transaction| {
            let deleted = transaction
                .execute(
                    "delete from apps a where a.id = $1 and a.deleted_at is not null
                       and not exists (select from app_grants g where g.app_id = a.id)",
                    &[&app.id],
                )
                .await?;
            if deleted == 1 {
                transaction
                    .execute("delete from principals where id = $1", &[&app.principal_id])
                    .await?;
            }
            Ok(deleted == 1)
        })
    }
}
