//! Pipelines: what synced tables share, which is when they are updated.

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::connection::Transaction;
use crate::{Result, Store};

#[derive(Debug, Clone)]
pub struct Pipeline {
    pub id: Uuid,
    pub instance_uid: Uuid,
    pub policy: String,
    pub creator: String,
    pub created_at: Timestamp,
    pub paused_at: Option<Timestamp>,
    pub schedule: Option<Schedule>,
    pub next_run: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub cron: String,
    pub timezone: String,
}

const PIPELINE: &str = "id, instance_uid, policy, creator, created_at, paused_at, schedule, \
                        schedule_timezone, next_run";

impl From<&Row> for Pipeline {
    fn from(row: &Row) -> Self {
        let schedule = row.get::<_, Option<String>>(6).zip(row.get::<_, Option<String>>(7));
        Self {
            id: row.get(0),
            instance_uid: row.get(1),
            policy: row.get(2),
            creator: row.get(3),
            created_at: row.get(4),
            paused_at: row.get(5),
            schedule: schedule.map(|(cron, timezone)| Schedule { cron, timezone }),
            next_run: row.get(8),
        }
    }
}

impl Store {
    pub async fn pipeline(&self, id: Uuid) -> Result<Option<Pipeline>> {
        let row = self
            .connection()
            .await?
            .query_opt(&format!("select {PIPELINE} from pipelines where id = $1"), &[&id])
            .await?;
        Ok(row.as_ref().map(Pipeline::from))
    }

    /// Pauses it, or lets it go on. A pause that is there keeps its time.
    pub async fn set_pipeline_paused(&self, id: Uuid, paused: bool) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update pipelines
                 set paused_at = case when $2 then coalesce(paused_at, now()) end where id = $1",
                &[&id, &paused],
            )
            .await?;
        Ok(())
    }

    pub async fn set_pipeline_schedule(
        &self,
        id: Uuid,
        schedule: Option<(&Schedule, Timestamp)>,
    ) -> Result<()> {
        let cron = schedule.map(|(schedule, _)| &schedule.cron);
        let timezone = schedule.map(|(schedule, _)| &schedule.timezone);
        let next_run = schedule.map(|(_, next_run)| next_run);
        self.connection()
            .await?
            .execute(
                "update pipelines set schedule = $2, schedule_timezone = $3, next_run = $4
                 where id = $1",
                &[&id, &cron, &timezone, &next_run],
            )
            .await?;
        Ok(())
    }

    /// Pipelines of the node whose schedules ask for an update.
    pub async fn scheduled_pipelines(&self, node: Uuid) -> Result<Vec<Pipeline>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {PIPELINE} from pipelines
                     where next_run <= now() and paused_at is null
                       and instance_uid in (select uid from instances where node_id = $1)"
                ),
                &[&node],
            )
            .await?;
        Ok(rows.iter().map(Pipeline::from).collect())
    }
}

/// Keeps other changes of the pipeline and of what hangs on it waiting. Rows that refer to it, such as events, can
/// still be added.
pub(crate) async fn lock_pipeline(transaction: &Transaction<'_>, pipeline: Uuid) -> Result<()> {
    let lock = "select from pipelines where id = $1 for no key update";
    transaction.execute(lock, &[&pipeline]).await?;
    Ok(())
}

/// The same, of the pipeline that a synced table is in. Gives the pipeline.
pub(crate) async fn lock_pipeline_of(
    transaction: &Transaction<'_>,
    table: Uuid,
) -> Result<Option<Uuid>> {
    let lock = "select p.id from pipelines p join synced_tables s on s.pipeline_id = p.id
                where s.id = $1 for no key update of p";
    Ok(transaction.query_opt(lock, &[&table]).await?.map(|row| row.get(0)))
}
