//! PostgreSQL roles that were made for tokens: which there are, and when the last token of each expires.

use jiff::Timestamp;
use uuid::Uuid;

use crate::{Result, Store};

/// Servers' clocks differ a little.
const MARGIN: &str = "interval '1 minute'";

impl Store {
    /// Records a role, or that it is needed for longer.
    pub async fn keep_reader(
        &self,
        instance: Uuid,
        role: &str,
        expires_at: Timestamp,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "insert into reader_roles (instance_uid, role, expires_at) values ($1, $2, $3)
                 on conflict (instance_uid, role) do update
                     set expires_at = greatest(reader_roles.expires_at, excluded.expires_at)",
                &[&instance, &role, &expires_at],
            )
            .await?;
        Ok(())
    }

    /// Roles on this data directory's instances that no token is good for any more.
    pub async fn expired_readers(&self, node: Uuid) -> Result<Vec<(Uuid, String)>> {
        let rows = self
            .connection()
            .await?
            .query(
                &format!(
                    "select r.instance_uid, r.role
                     from reader_roles r join instances i on i.uid = r.instance_uid
                     where i.node_id = $1 and r.expires_at < now() - {MARGIN}"
                ),
                &[&node],
            )
            .await?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// Whether no token is good for the role any more.
    pub async fn reader_expired(&self, instance: Uuid, role: &str) -> Result<bool> {
        let row = self
            .connection()
            .await?
            .query_opt(
                &format!(
                    "select from reader_roles
                     where instance_uid = $1 and role = $2 and expires_at < now() - {MARGIN}"
                ),
                &[&instance, &role],
            )
            .await?;
        Ok(row.is_some())
    }

    pub async fn forget_reader(&self, instance: Uuid, role: &str) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "delete from reader_roles where instance_uid = $1 and role = $2",
                &[&instance, &role],
            )
            .await?;
        Ok(())
    }
}
