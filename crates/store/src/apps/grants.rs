//! What apps shall have in databases, and whether it was done.

use std::time::Duration;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::connection::Transaction;
use crate::{Result, Store};

/// A database that an app is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseOfApp {
    pub instance_uid: Uuid,
    pub database_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppGrant {
    pub app_id: Uuid,
    pub instance_uid: Uuid,
    pub database_name: String,
    pub wanted: bool,
    pub settled: bool,
    pub message: Option<String>,
}

const COLUMNS: &str = "app_id, instance_uid, database_name, wanted, settled, message";

impl From<&Row> for AppGrant {
    fn from(row: &Row) -> Self {
        Self {
            app_id: row.get(0),
            instance_uid: row.get(1),
            database_name: row.get(2),
            wanted: row.get(3),
            settled: row.get(4),
            message: row.get(5),
        }
    }
}

/// From now on the app shall have these databases and no others.
pub(super) async fn want(
    transaction: &Transaction<'_>,
    app: Uuid,
    databases: &[DatabaseOfApp],
) -> Result<()> {
    transaction
        .execute(
            "update app_grants set wanted = false, settled = false, next_attempt = now()
             where app_id = $1 and wanted",
            &[&app],
        )
        .await?;
    for database in databases {
        transaction
            .execute(
                "insert into app_grants (app_id, instance_uid, database_name, wanted)
                 values ($1, $2, $3, true)
                 on conflict (app_id, instance_uid, database_name)
                 do update set wanted = true, settled = false, message = null, next_attempt = now()",
                &[&app, &database.instance_uid, &database.database_name],
            )
            .await?;
    }
    Ok(())
}

impl Store {
    pub async fn app_grants(&self, app: Uuid) -> Result<Vec<AppGrant>> {
        let sql = format!("select {COLUMNS} from app_grants where app_id = $1 order by 2, 3");
        let rows = self.connection().await?.query(&sql, &[&app]).await?;
        Ok(rows.iter().map(AppGrant::from).collect())
    }

    /// Apps of which something is to be done now: rights on running instances of this node, or the last
    /// step of a deletion.
    pub async fn due_apps(&self, node: Uuid) -> Result<Vec<Uuid>> {
        let rows = self
            .connection()
            .await?
            .query(
                "select g.app_id from app_grants g join instances i on i.uid = g.instance_uid
                 where not g.settled and g.next_attempt <= now()
                   and i.node_id = $1 and i.state = 'AVAILABLE'
                 union
                 select a.id from apps a where a.deleted_at is not null
                   and not exists (select from app_grants g where g.app_id = a.id)",
                &[&node],
            )
            .await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// What is wanted stays as settled, what is not is gone; unless it was changed meanwhile.
    pub async fn settle_app_grant(&self, grant: &AppGrant) -> Result<()> {
        let sql = if grant.wanted {
            "update app_grants set settled = true, message = null
             where app_id = $1 and instance_uid = $2 and database_name = $3 and wanted"
        } else {
            "delete from app_grants
             where app_id = $1 and instance_uid = $2 and database_name = $3 and not wanted"
        };
        self.connection()
            .await?
            .execute(sql, &[&grant.app_id, &grant.instance_uid, &grant.database_name])
            .await?;
        Ok(())
    }

    pub async fn postpone_app_grant(
        &self,
        grant: &AppGrant,
        message: &str,
        delay: Duration,
    ) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "update app_grants
                 set message = $4, next_attempt = now() + make_interval(secs => $5)
                 where app_id = $1 and instance_uid = $2 and database_name = $3 and not settled",
                &[
                    &grant.app_id,
                    &grant.instance_uid,
                    &grant.database_name,
                    &message,
                    &delay.as_secs_f64(),
                ],
            )
            .await?;
        Ok(())
    }

    /// The principal may use the instance, if it may do no more already.
    pub async fn open_instance_to(&self, instance: Uuid, principal: i64) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "insert into instance_permissions (instance_uid, principal_id, level)
                 values ($1, $2, 'CAN_USE') on conflict (instance_uid, principal_id) do nothing",
                &[&instance, &principal],
            )
            .await?;
        Ok(())
    }

    pub async fn close_instance_to(&self, instance: Uuid, principal: i64) -> Result<()> {
        self.connection()
            .await?
            .execute(
                "delete from instance_permissions where instance_uid = $1 and principal_id = $2",
                &[&instance, &principal],
            )
            .await?;
        Ok(())
    }
}
