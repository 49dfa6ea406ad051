//! Deployments of apps: what was to be run, and what came of it.

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::retry::transact;
use crate::{Result, Store};

#[derive(Debug, Clone, PartialEq)]
pub struct AppDeployment {
    pub seq: i64,
    pub id: Uuid,
    pub request: Value,
    pub creator: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub state: String,
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct NewDeployment {
    pub id: Uuid,
    pub app_id: Uuid,
    pub request: Value,
    pub creator: String,
    pub state: &'static str,
    pub message: String,
}

const COLUMNS: &str = "seq, id, request, creator, created_at, updated_at, state, message";

impl From<&Row> for AppDeployment {
    fn from(row: &Row) -> Self {
        Self {
            seq: row.get(0),
            id: row.get(1),
            request: row.get(2),
            creator: row.get(3),
            created_at: row.get(4),
            updated_at: row.get(5),
            state: row.get(6),
            message: row.get(7),
        }
    }
}

impl Store {
    /// One that is still in progress is cancelled by it.
    pub async fn add_app_deployment(&self, new: &NewDeployment) -> Result<AppDeployment> {
        transact!(self, |transaction| {
            transaction
                .execute(
                    "update app_deployments set state = 'CANCELLED', updated_at = now(),
                         message = 'another deployment has taken its place'
                     where app_id = $1 and state = 'IN_PROGRESS'",
                    &[&new.app_id],
                )
                .await?;
            let row = transaction
                .query_one(
                    &format!(
                        "insert into app_deployments (id, app_id, request, creator, state, message)
                         values ($1, $2, $3, $4, $5, $6) returning {COLUMNS}"
                    ),
                    &[&new.id, &new.app_id, &new.request, &new.creator, &new.state, &new.message],
                )
                .await?;
            Ok(AppDeployment::from(&row))
        })
    }

    pub async fn app_deployment(&self, app: Uuid, id: Uuid) -> Result<Option<AppDeployment>> {
        let sql = format!("select {COLUMNS} from app_deployments where app_id = $1 and id = $2");
        let row = self.connection().await?.query_opt(&sql, &[&app, &id]).await?;
        Ok(row.as_ref().map(AppDeployment::from))
    }

    /// The latest deployment in a state.
    pub async fn latest_app_deployment(
        &self,
        app: Uuid,
        state: &str,
    ) -> Result<Option<AppDeployment>> {
        let sql = format!(
            "select {COLUMNS} from app_deployments
             where app_id = $1 and state = $2 order by seq desc limit 1"
        );
        let row = self.connection().await?.query_opt(&sql, &[&app, &state]).await?;
        Ok(row.as_ref().map(AppDeployment::from))
    }

    /// At most `limit` deployments older than `before`, the latest first.
    pub async fn app_deployments(
        &self,
        app: Uuid,
        before: i64,
        limit: i64,
    ) -> Result<Vec<AppDeployment>> {
        let sql = format!(
            "select {COLUMNS} from app_deployments
             where app_id = $1 and seq < $2 order by seq desc limit $3"
        );
        let rows = self.connection().await?.query(&sql, &[&app, &before, &limit]).await?;
        Ok(rows.iter().map(AppDeployment::from).collect())
    }

    /// Ends a deployment that is in progress.
    pub async fn finish_app_deployment(&self, id: Uuid, state: &str, message: &str) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update app_deployments set state = $2, message = $3, updated_at = now()
                 where id = $1 and state = 'IN_PROGRESS'",
                &[&id, &state, &message],
            )
            .await?;
        Ok(())
    }
}
