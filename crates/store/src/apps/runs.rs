//! The process that runs an app, as far as it has told.

use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::connection::Transaction;
use crate::retry::transact;
use crate::{Result, Store};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRun {
    pub id: Uuid,
    pub state: String,
    pub message: String,
    pub url: Option<String>,
    /// For how long it has said nothing.
    pub silent: Duration,
}

impl From<&Row> for AppRun {
    fn from(row: &Row) -> Self {
        Self {
            id: row.get(0),
            state: row.get(1),
            message: row.get(2),
            url: row.get(3),
            silent: Duration::try_from_secs_f64(row.get(4)).unwrap_or_default(),
        }
    }
}

impl Store {
    /// Begins a run, whose secret ends with it. The run before, if there is one, ends now.
    pub async fn begin_app_run(&self, app: Uuid, run: Uuid, secret: Uuid) -> Result<()> {
        transact!(self, |transaction| {
            // Two that begin at once take turns.
            transaction.execute("select from apps where id = $1 for update", &[&app]).await?;
            end(transaction, app, None).await?;
            transaction
                .execute(
                    "insert into app_runs (app_id, id, secret_id, state, message)
                     values ($1, $2, $3, 'STARTING', 'the app is being started')",
                    &[&app, &run, &secret],
                )
                .await?;
            Ok(())
        })
    }

    pub async fn app_run(&self, app: Uuid) -> Result<Option<AppRun>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                "select id, state, message, url,
                     extract(epoch from clock_timestamp() - seen_at)::float8
                 from app_runs where app_id = $1",
                &[&app],
            )
            .await?;
        Ok(row.as_ref().map(AppRun::from))
    }

    /// The run's secret is good for `lives` from now on, or nearly so: it is prolonged when half of that is over.
    /// False if the run was ended by another.
    pub async fn see_app_run(
        &self,
        app: Uuid,
        run: Uuid,
        state: &str,
        message: &str,
        url: Option<&str>,
        lives: Duration,
    ) -> Result<bool> {
        let seen: i64 = self
            .connection()
            .await?
            .query_one(
                "with seen as (
                     update app_runs set state = $3, message = $4, url = $5,
                         seen_at = clock_timestamp()
                     where app_id = $1 and id = $2
                     returning secret_id),
                 prolonged as (
                     update service_principal_secrets s
                     set expires_at = clock_timestamp() + make_interval(secs => $6::float8)
                     from seen
                     where s.id = seen.secret_id
                       and (s.expires_at is null
                            or s.expires_at < clock_timestamp() + make_interval(secs => $6::float8 / 2)))
                 select count(*) from seen",
                &[&app, &run, &state, &message, &url, &lives.as_secs_f64()],
            )
            .await?
            .try_get(0)?;
        Ok(seen == 1)
    }

    pub async fn end_app_run(&self, app: Uuid, run: Uuid) -> Result<()> {
        transact!(self, |transaction| {
            end(transaction, app, Some(run)).await?;
            Ok(())
        })
    }
}

async fn end(transaction: &Transaction<'_>, app: Uuid, run: Option<Uuid>) -> Result<()> {
    transaction
        .execute(
            "with ended as (
                 delete from app_runs where app_id = $1 and ($2::uuid is null or id = $2)
                 returning secret_id)
             delete from service_principal_secrets s using ended where s.id = ended.secret_id",
            &[&app, &run],
        )
        .await?;
    Ok(())
}
