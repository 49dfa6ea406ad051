//! A connection to the metadata database whose statements are parsed once.
//!
//! Owns: the way a statement takes to the server. An API call is some ten short statements, and to parse one takes
//! as long as to run it, with a round trip of its own.

use deadpool_postgres::{Object, StatementCache};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row, Statement};

use crate::retry::Tries;

/// Statements that a connection remembers; those whose text depends on a filter would be ever more.
const REMEMBERED: usize = 512;

pub(crate) struct Connection(Object);

pub(crate) struct Transaction<'a>(deadpool_postgres::Transaction<'a>);

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Connection {
    pub(crate) fn new(object: Object) -> Self {
        Self(object)
    }

    pub(crate) async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        self.0.transaction().await.map(Transaction)
    }
}

impl Transaction<'_> {
    pub(crate) async fn commit(self) -> Result<(), Error> {
        self.0.commit().await
    }
}

fn make_room(cache: &StatementCache) {
    if cache.size() >= REMEMBERED {
        cache.clear();
    }
}

macro_rules! persistent {
    ($alone:literal, $run:expr) => {{
        let mut tries = Tries::new();
        loop {
            match $run {
                Err(error) if $alone && tries.again(error.code()).await => {}
                done => return done,
            }
        }
    }};
}

/// What both have, by the names that the driver gives it. A statement outside of a transaction is tried again where
/// another one was in its way.
macro_rules! statements {
    ($connection:ty, $alone:literal) => {
        impl $connection {
            async fn statement(&self, sql: &str) -> Result<Statement, Error> {
                make_room(&self.0.statement_cache);
                self.0.prepare_cached(sql).await
            }

            pub(crate) async fn query(
                &self,
                sql: &str,
                parameters: Parameters<'_>,
            ) -> Result<Vec<Row>, Error> {
                persistent!($alone, self.0.query(&self.statement(sql).await?, parameters).await)
            }

            pub(crate) async fn query_one(
                &self,
                sql: &str,
                parameters: Parameters<'_>,
            ) -> Result<Row, Error> {
                persistent!($alone, self.0.query_one(&self.statement(sql).await?, parameters).await)
            }

            pub(crate) async fn query_opt(
                &self,
                sql: &str,
                parameters: Parameters<'_>,
            ) -> Result<Option<Row>, Error> {
                persistent!($alone, self.0.query_opt(&self.statement(sql).await?, parameters).await)
            }

            pub(crate) async fn execute(
                &self,
                sql: &str,
                parameters: Parameters<'_>,
            ) -> Result<u64, Error> {
                persistent!($alone, self.0.execute(&self.statement(sql).await?, parameters).await)
            }

            /// Several statements without parameters, which are not remembered.
            pub(crate) async fn batch_execute(&self, sql: &str) -> Result<(), Error> {
                self.0.batch_execute(sql).await
            }
        }
    };
}

statements!(Connection, true);
statements!(Transaction<'_>, false);
