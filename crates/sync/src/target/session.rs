//! One connection to the target database, and the one lock that keeps two runs off one table.
//!
//! Owns: connecting, the lock, interrupting, dropping a table. Statements run with pinned settings and
//! qualified names, so that nothing a user of the database has set or made steers them.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use lakeport_pg::{QualifiedName, QuotedIdent, Session};
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Config, NoTls, Transaction};

use super::position::{self, Position, State};
use super::sessions::Sessions;
use crate::error::Error;
use crate::job::TableName;

const INTERRUPT_PATIENCE: Duration = Duration::from_secs(5);

/// A connection that holds the table's lock.
pub(crate) struct Target {
    session: Session,
    pub(crate) table: TableName,
    pub(crate) name: QualifiedName,
    /// Where a refresh loads aside.
    pub(crate) stage: QualifiedName,
    /// Where changes are collected, and what they come to; both are kept from run to run.
    pub(crate) changes: QualifiedName,
    pub(crate) net: QualifiedName,
}

impl Target {
    /// Connects and takes the table's lock.
    pub(crate) async fn open(config: &Config, table: &TableName) -> Result<Self, Error> {
        let target = Self::connect(config, table).await?;
        target.lock().await?;
        Ok(target)
    }

    /// The same, over a connection that was kept if there is one.
    pub(crate) async fn open_kept(
        sessions: &Sessions,
        config: &Config,
        table: &TableName,
    ) -> Result<Self, Error> {
        while let Some(session) = sessions.take(config) {
            let target = Self::of(session, table)?;
            match target.lock().await {
                Ok(()) => return Ok(target),
                Err(error) if error.sqlstate() == Some(SqlState::LOCK_NOT_AVAILABLE.code()) => {
                    return Err(error);
                }
                // It has ended meanwhile. If that is not all, a new one tells.
                Err(_) => {}
            }
        }
        Self::open(config, table).await
    }

    /// Ends a run that went well, and keeps the connection.
    pub(crate) async fn keep(self, sessions: &Sessions, config: &Config) {
        sessions.keep(config, self.session).await;
    }

    /// Connects without the lock, for looking only.
    pub(crate) async fn connect(config: &Config, table: &TableName) -> Result<Self, Error> {
        let failed = Error::target("connect to the database of", table);
        Self::of(lakeport_pg::connect(&pinned(config)).await.map_err(failed)?, table)
    }

    fn of(session: Session, table: &TableName) -> Result<Self, Error> {
        let name = qualified(&table.schema, &table.table)?;
        let own = |kind: &str| qualified(position::SCHEMA, &own_name(kind, table));
        let (stage, changes, net) = (own("stage")?, own("changes")?, own("net")?);
        Ok(Self { session, table: table.clone(), name, stage, changes, net })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.session
    }

    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        let failed = Error::target("begin a transaction for", &self.table);
        self.session.client_mut().transaction().await.map_err(failed)
    }

    /// After [`prepare`](Self::prepare).
    pub(crate) async fn state(&self) -> Result<State, Error> {
        position::state(self.client(), &self.table, true).await
    }

    pub(crate) async fn position(&self) -> Result<Option<Position>, Error> {
        match position::exists(self.client(), &self.table).await? {
            true => position::read(self.client(), &self.table).await,
            false => Ok(None),
        }
    }

    /// Gathers the statistics that plans are made by.
    pub(crate) async fn analyze(&self) -> Result<(), Error> {
        let statement = format!("analyze {}", self.name);
        self.client().batch_execute(&statement).await.map_err(Error::target("analyze", &self.table))
    }

    /// Where the extension `vector` was put, by whoever made it.
    pub(crate) async fn schema_of_vectors(&self) -> Result<QuotedIdent, Error> {
        let row = self
            .client()
            .query_opt(
                "select n.nspname::text from pg_extension e \
                 join pg_namespace n on n.oid = e.extnamespace where e.extname = 'vector'",
                &[],
            )
            .await
            .map_err(Error::target("look for the extension of", &self.table))?;
        let Some(row) = row else {
            let message = "the database has no type vector; run CREATE EXTENSION vector there";
            let state = &SqlState::UNDEFINED_OBJECT;
            return Err(Error::refused("make", &self.table, state, message.to_owned()));
        };
        QuotedIdent::new(row.get(0))
            .map_err(|error| Error::config(format!("the schema of the type vector: {error}")))
    }

    /// Makes the schema of positions, and removes what a killed run has left.
    pub(crate) async fn prepare(&self) -> Result<(), Error> {
        position::ensure(self.client(), &self.table).await?;
        self.drop_stage().await
    }

    pub(crate) async fn drop_stage(&self) -> Result<(), Error> {
        self.client()
            .batch_execute(&format!("drop table if exists {}", self.stage))
            .await
            .map_err(Error::target("remove the staged rows of", &self.table))
    }

    /// Drops all that was made aside for the table.
    async fn drop_aside(&self) -> Result<(), Error> {
        let Self { stage, changes, net, .. } = self;
        self.client()
            .batch_execute(&format!("drop table if exists {stage}, {changes}, {net}"))
            .await
            .map_err(Error::target("remove the staged rows of", &self.table))
    }

    /// Drops the table and its position. Views and the like that depend on it are the user's: they
    /// make it fail, and are named.
    pub(crate) async fn drop_table(&mut self) -> Result<(), Error> {
        let positions = position::exists(self.client(), &self.table).await?;
        let state = position::state(self.client(), &self.table, positions).await?;
        if matches!(state, State::Foreign) {
            return Err(Error::foreign("drop", &self.table));
        }
        if !positions {
            return Ok(());
        }
        self.drop_aside().await?;
        let (table, name) = (self.table.clone(), self.name.clone());
        let transaction = self.begin().await?;
        if matches!(state, State::Synced { .. }) {
            transaction
                .batch_execute(&format!("drop table if exists {name}"))
                .await
                .map_err(Error::target("drop", &table))?;
        }
        position::delete(&transaction, &table).await?;
        transaction.commit().await.map_err(Error::target("drop", &table))
    }

    /// From now on the table is one that no sync has made.
    pub(crate) async fn forget(&mut self) -> Result<(), Error> {
        if !position::exists(self.client(), &self.table).await? {
            return Ok(());
        }
        self.drop_aside().await?;
        position::delete(self.client(), &self.table).await
    }

    /// Stops what the server is doing for us and cleans up, as far as that works in a short time; the
    /// next run removes the rest.
    pub(crate) async fn interrupt(&self) {
        let token: CancelToken = self.session.cancel_token();
        let stop = async {
            let _ = token.cancel_query(NoTls).await;
            let _ = self.drop_stage().await;
        };
        let _ = tokio::time::timeout(INTERRUPT_PATIENCE, stop).await;
    }

    async fn lock(&self) -> Result<(), Error> {
        self.client()
            .execute("select pg_advisory_lock($1)", &[&lock_key(&self.table)])
            .await
            .map(|_| ())
            .map_err(|error| match error.code() {
                Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => Error::refused(
                    "sync",
                    &self.table,
                    &SqlState::LOCK_NOT_AVAILABLE,
                    "another sync of this table is running; try again when it has ended".to_owned(),
                ),
                _ => Error::target("lock", &self.table)(error),
            })
    }
}

impl Error {
    pub(crate) fn foreign(operation: &'static str, table: &TableName) -> Self {
        let message =
            "it exists and is not a synced table; choose another name, or drop it yourself";
        Self::refused(operation, table, &SqlState::DUPLICATE_TABLE, message.to_owned())
    }
}

pub(super) fn pinned(config: &Config) -> Config {
    lakeport_pg::pinned(config.clone(), "lakeport sync")
}

fn qualified(schema: &str, name: &str) -> Result<QualifiedName, Error> {
    QualifiedName::new(schema, name)
        .map_err(|error| Error::config(format!("cannot name the table {schema}.{name}: {error}")))
}

/// The same for every run on the table, and different for any two tables.
fn fingerprint(table: &TableName) -> [u8; 8] {
    // A NUL cannot be in either name.
    let hash = digest(&SHA256, format!("{}\0{}", table.schema, table.table).as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_ref()[..8]);
    first
}

fn lock_key(table: &TableName) -> i64 {
    i64::from_be_bytes(fingerprint(table))
}

fn own_name(kind: &str, table: &TableName) -> String {
    format!("{kind}_{:016x}", u64::from_be_bytes(fingerprint(table)))
}
