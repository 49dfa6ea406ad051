//! Instances: what was asked for, and what the reconciler has seen.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::retry::transact;
use crate::{Create, Result, Store};

#[derive(Debug, Clone)]
pub struct Instance {
    pub uid: Uuid,
    pub name: String,
    pub node_id: Uuid,
    pub creator: String,
    pub created_at: Timestamp,
    pub pg_version: i32,
    /// The fields that the client has set, as it has set them.
    pub spec: Value,
    pub generation: i64,
    pub deleted_at: Option<Timestamp>,
    pub state: String,
    pub message: Option<String>,
    pub observed_generation: i64,
    /// The loopback address that is this instance's own, if it has one.
    pub address: Option<String>,
    pub attempts: i32,
    /// It was asked for as stopped, and nobody has asked for anything else since.
    pub created_stopped: bool,
    /// When it was available for the first time.
    pub available_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct NewInstance {
    pub uid: Uuid,
    pub name: String,
    pub node_id: Uuid,
    pub creator: String,
    pub pg_version: i32,
    pub spec: Value,
    pub state: String,
    pub address: Option<String>,
    pub created_stopped: bool,
}

/// What a reconciler writes after a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStatus {
    pub state: String,
    pub message: Option<String>,
    pub observed_generation: i64,
}

pub(crate) const COLUMNS: &str = "uid, name, node_id, creator, created_at, pg_version, spec, generation, \
                       deleted_at, state, message, observed_generation, address, attempts, \
                       created_stopped, available_at";

impl From<&Row> for Instance {
    fn from(row: &Row) -> Self {
        Self {
            uid: row.get(0),
            name: row.get(1),
            node_id: row.get(2),
            creator: row.get(3),
            created_at: row.get(4),
            pg_version: row.get(5),
            spec: row.get(6),
            generation: row.get(7),
            deleted_at: row.get(8),
            state: row.get(9),
            message: row.get(10),
            observed_generation: row.get(11),
            address: row.get(12),
            attempts: row.get(13),
            created_stopped: row.get(14),
            available_at: row.get(15),
        }
    }
}

/// Among instances of one name: the one that is not being deleted, else the one whose deletion began last.
pub(crate) const NEWEST_FIRST: &str = "deleted_at desc nulls first";

/// Removes what hangs on an instance.
const ON_INSTANCE: [&str; 4] = [
    // First, as everybody does who changes what hangs on a pipeline.
    "select from pipelines where instance_uid = $1 order by id for update",
    "delete from database_catalogs where instance_uid = $1",
    "delete from synced_tables where instance_uid = $1",
    "delete from pipelines where instance_uid = $1",
];

impl Store {
    /// Adds the instance, which its creator may manage, and that its client has no answer yet. Refused
    /// by the constraint `instances_name_key` if the name is taken, by `instances_address_key` if the
    /// address is.
    pub async fn add_instance(&self, new: &NewInstance, create: &Create<'_>) -> Result<Instance> {
        transact!(self, |transaction| {
            let row = transaction
                .query_one(
                    &format!(
                        "with made as (
                             insert into instances
                                 (uid, name, node_id, creator, pg_version, spec, state, address,
                                  created_stopped)
                             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning *
                         ), given as (
                             insert into instance_permissions (instance_uid, principal_id, level)
                             select m.uid, p.id, 'CAN_MANAGE'
                             from made m join principals p on p.user_name = m.creator
                         )
                         select {COLUMNS} from made"
                    ),
                    &[
                        &new.uid,
                        &new.name,
                        &new.node_id,
                        &new.creator,
                        &new.pg_version,
                        &new.spec,
                        &new.state,
                        &new.address,
                        &new.created_stopped,
                    ],
                )
                .await?;
            create.note(transaction, new.uid).await?;
            Ok(Instance::from(&row))
        })
    }

    pub async fn instance(&self, uid: Uuid) -> Result<Option<Instance>> {
        let row = self
            .connection()
            .await?
            .query_opt(&format!("select {COLUMNS} from instances where uid = $1"), &[&uid])
            .await?;
        Ok(row.as_ref().map(Instance::from))
    }

    /// The instance of this name; one that is being deleted only while no other has the name.
    pub async fn instance_by_name(&self, name: &str) -> Result<Option<Instance>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select {COLUMNS} from instances where name = $1
                     order by {NEWEST_FIRST} limit 1"
                ),
                &[&name],
            )
            .await?;
        Ok(row.as_ref().map(Instance::from))
    }

    pub async fn instance_by_address(&self, address: &str) -> Result<Option<Instance>> {
        let row = self
            .connection()
            .await?
            .query_opt(&format!("select {COLUMNS} from instances where address = $1"), &[&address])
            .await?;
        Ok(row.as_ref().map(Instance::from))
    }

    /// At most `limit` instances whose names follow `after`, one of each name.
    pub async fn instances(&self, after: &str, limit: i64) -> Result<Vec<Instance>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select distinct on (name) {COLUMNS} from instances where name > $1
                     order by name, {NEWEST_FIRST} limit $2"
                ),
                &[&after, &limit],
            )
            .await?;
        Ok(rows.iter().map(Instance::from).collect())
    }

    /// Every instance of one data directory.
    pub async fn instances_of_node(&self, node: Uuid) -> Result<Vec<Instance>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!("select {COLUMNS} from instances where node_id = $1 order by created_at"),
                &[&node],
            )
            .await?;
        Ok(rows.iter().map(Instance::from).collect())
    }

    /// Writes a new spec if nobody has written since `generation` was read; the state, which waiting
    /// clients poll, changes in the same statement. One that shall run is no longer one that was created
    /// stopped.
    pub async fn update_instance_spec(
        &self,
        uid: Uuid,
        generation: i64,
        spec: &Value,
        state: &str,
        stopped: bool,
    ) -> Result<Option<Instance>> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "update instances
                     set spec = $3, generation = generation + 1, state = $4, message = null,
                         attempts = 0, next_attempt = now(),
                         created_stopped = created_stopped and $5
                     where uid = $1 and generation = $2 and deleted_at is null
                     returning {COLUMNS}"
                ),
                &[&uid, &generation, &spec, &state, &stopped],
            )
            .await?;
        Ok(row.as_ref().map(Instance::from))
    }

    /// Marks the instance, with all that hangs on it, as to be deleted. False if it is not there.
    pub async fn mark_instance_deleted(&self, uid: Uuid, state: &str) -> Result<bool> {
        transact!(self, |transaction| {
            let marked = transaction
                .execute(
                    "update instances
                     set deleted_at = coalesce(deleted_at, now()), generation = generation + 1,
                         state = $2, message = null, attempts = 0, next_attempt = now()
                     where uid = $1",
                    &[&uid, &state],
                )
                .await?;
            for sql in ON_INSTANCE {
                transaction.execute(sql, &[&uid]).await?;
            }
            Ok(marked == 1)
        })
    }

    /// Forgets an instance of which nothing is left, with what was hung on it while it went.
    pub async fn forget_instance(&self, uid: Uuid) -> Result<()> {
        transact!(self, |transaction| {
            let lock = "select from instances where uid = $1 for update";
            transaction.execute(lock, &[&uid]).await?;
            for sql in ON_INSTANCE {
                transaction.execute(sql, &[&uid]).await?;
            }
            let forget = "delete from instances where uid = $1 and deleted_at is not null";
            transaction.execute(forget, &[&uid]).await?;
            Ok(())
        })
    }

    /// Writes nothing if the spec has changed since `generation` was read.
    pub async fn set_instance_status(
        &self,
        uid: Uuid,
        generation: i64,
        status: &InstanceStatus,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update instances
                 set state = $2, message = $3, observed_generation = $4,
                     available_at = case when $2 = 'AVAILABLE' then coalesce(available_at, now())
                                    else available_at end,
                     attempts = case when $4 = generation then 0 else attempts end
                 where uid = $1 and generation = $5",
                &[&uid, &status.state, &status.message, &status.observed_generation, &generation],
            )
            .await?;
        Ok(())
    }

    /// Records a failed pass and when to try again.
    pub async fn postpone_instance(&self, uid: Uuid, message: &str, delay: Duration) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update instances
                 set message = $2, attempts = attempts + 1,
                     next_attempt = now() + $3 * interval '1 second'
                 where uid = $1",
                &[&uid, &message, &delay.as_secs_f64()],
            )
            .await?;
        Ok(())
    }

    /// Refused by the constraint `instances_address_key` if another instance has the address.
    pub async fn set_instance_address(&self, uid: Uuid, address: &str) -> Result<()> {
        self.connection()
            .await?
            .execute("update instances set address = $2 where uid = $1", &[&uid, &address])
            .await?;
        Ok(())
    }

    /// Every address that an instance has.
    pub async fn instance_addresses(&self) -> Result<Vec<String>> {
        let rows = self
            .connection()
            .await?
            .query("select address from instances where address is not null", &[])
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Instances of the node whose reconciler has something to do and may try now.
    pub async fn due_instances(&self, node: Uuid) -> Result<Vec<Uuid>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select uid from instances where node_id = $1 and next_attempt <= now()
                 order by created_at",
                &[&node],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
