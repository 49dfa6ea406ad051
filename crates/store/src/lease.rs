//! Leases: at most one server works on an object, and a dead one is replaced when its lease runs out.

use std::time::Duration;

use uuid::Uuid;

use crate::{Result, Store};

/// Renewed by each pass; long enough to outlive a slow step between renewals.
const LENGTH: Duration = Duration::from_secs(30);

/// The kinds of objects that are leased; each names its table and key.
#[derive(Debug, Clone, Copy)]
pub enum Lease {
    Instance(Uuid),
    SyncedTable(Uuid),
}

impl Lease {
    fn table(self) -> (&'static str, &'static str, Uuid) {
        match self {
            Self::Instance(uid) => ("instances", "uid", uid),
            Self::SyncedTable(id) => ("synced_tables", "id", id),
        }
    }
}

/// What came of taking a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseTaken {
    Yes,
    /// Another owner has it.
    HeldByOther,
    /// The object is not there any more.
    ObjectGone,
}

impl Store {
    /// Takes or renews the lease.
    pub async fn take_lease(&self, lease: Lease, owner: Uuid) -> Result<LeaseTaken> {
        let (table, key, id) = lease.table();
        let client = self.connection().await?;
        let taken = client
            .execute(
                &format!(
                    "update {table} set lease_owner = $2, lease_until = now() + $3 * interval '1 second'
                     where {key} = $1
                       and (lease_owner is null or lease_owner = $2 or lease_until < now())"
                ),
                &[&id, &owner, &LENGTH.as_secs_f64()],
            )
            .await?;
        if taken == 1 {
            return Ok(LeaseTaken::Yes);
        }
        let there =
            client.query_opt(&format!("select 1 from {table} where {key} = $1"), &[&id]).await?;
        Ok(if there.is_some() { LeaseTaken::HeldByOther } else { LeaseTaken::ObjectGone })
    }

    pub async fn release_lease(&self, lease: Lease, owner: Uuid) -> Result<()> {
        let (table, key, id) = lease.table();
        self.connection()
            .await?
            .execute(
                &format!(
                    "update {table} set lease_owner = null, lease_until = null
                     where {key} = $1 and lease_owner = $2"
                ),
                &[&id, &owner],
            )
            .await?;
        Ok(())
    }

    /// Ends the leases that an earlier process of this data directory left behind.
    pub async fn end_leases_of_node(&self, node: Uuid) -> Result<()> {
        let client = self.connection().await?;
        client
            .execute(
                "update instances set lease_owner = null, next_attempt = now() where node_id = $1",
                &[&node],
            )
            .await?;
        client
            .execute(
                "update synced_tables s set lease_owner = null, next_attempt = now()
                 from instances i where i.uid = s.instance_uid and i.node_id = $1",
                &[&node],
            )
            .await?;
        Ok(())
    }
}
