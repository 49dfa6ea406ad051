//! One connection to the target database, and the one lock that keeps two runs off one table.
//!
//! Owns: connecting, the lock, interrupting, dropping a table. Statements run with pinned settings and
//! qualified names, so that nothing a user of the database has set or made steers them.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use lakeport_pg::{QualifiedName, QuotedIdent, Session};
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, Config, NoTls, Transaction};

use super::position::{self, Position, Positions, State};
use super::sessions::Sessions;
use crate::error::Error;
use crate::job::TableName;

const INTERRUPT_PATIENCE: Duration = Duration::from_secs(5);

/// A connection that holds the table's lock.
pub(crate) struct Target {
    session: Session,
    pub(crate) table: TableName,
    pub(crate) name: QualifiedName,
    pub(crate) positions: Positions,
    /// Whether the positions are there.
    has_positions: bool,
    pub(crate) aside: Aside,
}

/// Tables of a sync's own, beside the positions.
#[derive(Clone)]
pub(crate) struct Aside {
    /// Where a refresh loads.
    pub(crate) stage: QualifiedName,
    /// Where changes are collected, and what they come to; both are kept from run to run.
    pub(crate) changes: QualifiedName,
    pub(crate) net: QualifiedName,
}

impl Aside {
    fn of(positions: &Positions, table: &TableName) -> Result<Self, Error> {
        let own = |kind: &str| positions.beside(&own_name(kind, table));
        Ok(Self { stage: own("stage")?, changes: own("changes")?, net: own("net")? })
    }
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
            let target = Self::of(session, table).await;
            let Ok(target) = target else { continue };
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
        Self::of(lakeport_pg::connect(&pinned(config)).await.map_err(failed)?, table).await
    }

    async fn of(session: Session, table: &TableName) -> Result<Self, Error> {
        let found = Positions::find(&*session, table).await?;
        let name = QualifiedName::new(&table.schema, &table.table)
            .map_err(|error| Error::config(format!("cannot name the table {table}: {error}")))?;
        let has_positions = found.is_some();
        let positions = found.map_or_else(Positions::usual, Ok)?;
        let aside = Aside::of(&positions, table)?;
        Ok(Self { session, table: table.clone(), name, positions, has_positions, aside })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.session
    }

    pub(crate) async fn begin(&mut self) -> Result<Transaction<'_>, Error> {
        let failed = Error::target("begin a transaction for", &self.table);
        self.session.client_mut().transaction().await.map_err(failed)
    }

    pub(crate) async fn state(&self) -> Result<State, Error> {
        let positions = self.has_positions.then_some(&self.positions);
        position::state(self.client(), &self.table, positions).await
    }

    pub(crate) async fn position(&self) -> Result<Option<Position>, Error> {
        if !self.has_positions {
            return Ok(None);
        }
        let found = self.positions.read(self.client(), &self.table).await?;
        Ok(found.filter(|position| position.left_as.is_none()))
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
    pub(crate) async fn prepare(&mut self) -> Result<(), Error> {
        if !self.has_positions {
            let client = self.session.client_mut();
            self.positions = Positions::ensure(client, &self.table).await?;
            self.has_positions = true;
            self.aside = Aside::of(&self.positions, &self.table)?;
        }
        self.drop_stage().await
    }

    pub(crate) async fn drop_stage(&self) -> Result<(), Error> {
        self.client()
            .batch_execute(&format!("drop table if exists {}", self.aside.stage))
            .await
            .map_err(Error::target("remove the staged rows of", &self.table))
    }

    /// Drops all that was made aside for the table.
    async fn drop_aside(&self) -> Result<(), Error> {
        let Aside { stage, changes, net } = &self.aside;
        self.client()
            .batch_execute(&format!("drop table if exists {stage}, {changes}, {net}"))
            .await
            .map_err(Error::target("remove the staged rows of", &self.table))
    }

    /// Drops the table and its position. Views and the like that depend on it are the user's: they
    /// make it fail, and are named. What stayed when a sync ended is its new owner's, and stays.
    pub(crate) async fn drop_table(&mut self) -> Result<(), Error> {
        let state = self.state().await?;
        match &state {
            State::Foreign { owner, owned } => {
                return Err(Error::foreign("drop", &self.table, owner, *owned));
            }
            State::Left { owned: false } => return Ok(()),
            _ if !self.has_positions => return Ok(()),
            _ => {}
        }
        self.drop_aside().await?;
        let Self { session, table, name, positions, .. } = self;
        let failed = || Error::target("drop", table);
        let transaction = session.client_mut().transaction().await.map_err(failed())?;
        if !matches!(state, State::Absent) {
            let drop = format!("drop table if exists {name}");
            transaction.batch_execute(&drop).await.map_err(failed())?;
        }
        positions.delete(&transaction, table).await?;
        transaction.commit().await.map_err(failed())
    }

    /// From now on nothing syncs the table, which stays; that it was synced is still known.
    pub(crate) async fn leave(&mut self) -> Result<(), Error> {
        if !self.has_positions {
            return Ok(());
        }
        self.drop_aside().await?;
        match self.state().await? {
            State::Synced { .. } => self.positions.leave(self.client(), &self.table).await,
            State::Left { .. } => Ok(()),
            State::Absent | State::Foreign { .. } => {
                self.positions.delete(self.client(), &self.table).await
            }
        }
    }

    /// Whether the table is there as a sync that has ended left it.
    pub(crate) async fn is_left(&self) -> Result<bool, Error> {
        Ok(matches!(self.state().await?, State::Left { .. }))
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

pub(super) fn pinned(config: &Config) -> Config {
    lakeport_pg::pinned(config.clone(), "lakeport sync")
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
