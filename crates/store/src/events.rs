//! Events of pipelines, for people: what their updates have done.

use jiff::Timestamp;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::connection::Transaction;
use crate::{Result, Store};

#[derive(Debug, Clone)]
pub struct PipelineEvent {
    pub seq: i64,
    pub id: Uuid,
    pub pipeline_id: Uuid,
    pub update_id: Option<Uuid>,
    pub at: Timestamp,
    pub level: String,
    pub event_type: String,
    pub message: String,
}

const EVENT: &str = "seq, id, pipeline_id, update_id, at, level, event_type, message";

impl From<&Row> for PipelineEvent {
    fn from(row: &Row) -> Self {
        Self {
            seq: row.get(0),
            id: row.get(1),
            pipeline_id: row.get(2),
            update_id: row.get(3),
            at: row.get(4),
            level: row.get(5),
            event_type: row.get(6),
            message: row.get(7),
        }
    }
}

/// An event of an update, written together with what it tells of.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub level: &'static str,
    pub event_type: &'static str,
    pub message: String,
}

pub(crate) async fn add(
    transaction: &Transaction<'_>,
    update: Uuid,
    events: &[NewEvent],
) -> Result<()> {
    for event in events {
        transaction
            .execute(
                "insert into pipeline_events (id, pipeline_id, update_id, level, event_type, message)
                 select $1, pipeline_id, id, $3, $4, $5 from pipeline_updates where id = $2",
                &[&Uuid::new_v4(), &update, &event.level, &event.event_type, &event.message],
            )
            .await?;
    }
    Ok(())
}

impl Store {
    /// At most `limit` events past `cursor`, in the asked order.
    pub async fn events(
        &self,
        pipeline: Uuid,
        cursor: i64,
        ascending: bool,
        limit: i64,
    ) -> Result<Vec<PipelineEvent>> {
        let (compare, order) = if ascending { (">", "asc") } else { ("<", "desc") };
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select {EVENT} from pipeline_events
                     where pipeline_id = $1 and seq {compare} $2 order by seq {order} limit $3"
                ),
                &[&pipeline, &cursor, &limit],
            )
            .await?;
        Ok(rows.iter().map(PipelineEvent::from).collect())
    }
}
