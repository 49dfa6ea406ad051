//! Positions: which source version each synced table holds, kept in the same database.
//!
//! Owns: the schema `lakeport_sync` and its table. A position is written in the transaction that writes
//! the rows, and nowhere else: that is what makes a sync exactly-once.

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, GenericClient, Transaction};

use crate::error::Error;
use crate::job::TableName;

pub(crate) const SCHEMA: &str = "lakeport_sync";

/// Any number: it only has to be the same in every run.
const ENSURE_LOCK: i64 = 0x6c61_6b65_706f_7274;

/// What a synced table holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The id in the Delta table's metadata.
    pub source_table_id: String,
    pub version: i64,
    pub commit_timestamp_ms: Option<i64>,
    pub synced_at_ms: i64,
    pub rows: u64,
}

/// The position that a transaction is about to reach.
pub(crate) struct NewPosition {
    pub(crate) source_table_id: String,
    pub(crate) version: i64,
    pub(crate) commit_timestamp_ms: Option<i64>,
}

/// What is found under a table's name.
pub(crate) enum State {
    Absent,
    /// `owned` by the role that looks.
    Synced {
        position: Position,
        owned: bool,
    },
    /// Something that no sync has made.
    Foreign,
}

/// Without `positions`, the table that holds them, there is no synced table.
pub(crate) async fn state(
    client: &Client,
    table: &TableName,
    positions: bool,
) -> Result<State, Error> {
    let found = client
        .query_opt(
            "select c.relkind = 'r', pg_get_userbyid(c.relowner) = current_user \
             from pg_class c join pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = $1 and c.relname = $2",
            &[&table.schema, &table.table],
        )
        .await
        .map_err(Error::target("look at", table))?;
    let Some(row) = found else { return Ok(State::Absent) };
    let (is_table, owned) = (row.get(0), row.get(1));
    let position = if positions { read(client, table).await? } else { None };
    Ok(match position {
        Some(position) if is_table => State::Synced { position, owned },
        _ => State::Foreign,
    })
}

/// From the table of positions, which is there.
pub(crate) async fn read(client: &Client, table: &TableName) -> Result<Option<Position>, Error> {
    let row = client
        .query_opt(
            "select source_table_id, version, \
             (extract(epoch from commit_timestamp) * 1000)::bigint, \
             (extract(epoch from synced_at) * 1000)::bigint, row_count \
             from lakeport_sync.positions where schema_name = $1 and table_name = $2",
            &[&table.schema, &table.table],
        )
        .await
        .map_err(Error::target("read the position of", table))?;
    Ok(row.map(|row| Position {
        source_table_id: row.get(0),
        version: row.get(1),
        commit_timestamp_ms: row.get(2),
        synced_at_ms: row.get(3),
        rows: u64::try_from(row.get::<_, i64>(4)).unwrap_or_default(),
    }))
}

/// Whether the table of positions is there; an error if it is not one that we may trust.
pub(crate) async fn exists(client: &Client, table: &TableName) -> Result<bool, Error> {
    // Whoever owns a table decides what its triggers and rules do with our rights.
    let row = client
        .query_opt(
            "select pg_has_role(current_user, c.relowner, 'member') and c.relkind = 'r' \
             from pg_class c where c.oid = to_regclass('lakeport_sync.positions')",
            &[],
        )
        .await
        .map_err(Error::target("read the position of", table))?;
    match row.map(|row| row.get::<_, bool>(0)) {
        None => Ok(false),
        Some(true) => Ok(true),
        Some(false) => Err(Error::refused(
            "read the position of",
            table,
            &SqlState::INSUFFICIENT_PRIVILEGE,
            "lakeport_sync.positions belongs to another role; drop it, or sync as its owner"
                .to_owned(),
        )),
    }
}

pub(crate) async fn ensure(client: &Client, table: &TableName) -> Result<(), Error> {
    if exists(client, table).await? {
        return Ok(());
    }
    // Two first runs at once would both try, and `if not exists` does not save the second.
    client
        .batch_execute(&format!(
            "begin; \
             select pg_advisory_xact_lock({ENSURE_LOCK}); \
             create schema if not exists lakeport_sync; \
             create table if not exists lakeport_sync.positions ( \
               schema_name text not null, \
               table_name text not null, \
               source_table_id text not null, \
               version bigint not null, \
               commit_timestamp timestamp with time zone, \
               synced_at timestamp with time zone not null, \
               row_count bigint not null, \
               primary key (schema_name, table_name)); \
             commit"
        ))
        .await
        .map_err(Error::target("make the schema lakeport_sync for", table))?;
    exists(client, table).await.map(|_| ())
}

pub(crate) async fn write(
    transaction: &Transaction<'_>,
    table: &TableName,
    position: &NewPosition,
    rows: u64,
) -> Result<(), Error> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    transaction
        .execute(
            "insert into lakeport_sync.positions \
             (schema_name, table_name, source_table_id, version, commit_timestamp, synced_at, \
              row_count) \
             values ($1, $2, $3, $4, to_timestamp($5::bigint / 1000.0), clock_timestamp(), $6) \
             on conflict (schema_name, table_name) do update set \
               source_table_id = excluded.source_table_id, version = excluded.version, \
               commit_timestamp = excluded.commit_timestamp, synced_at = excluded.synced_at, \
               row_count = excluded.row_count",
            &[
                &table.schema,
                &table.table,
                &position.source_table_id,
                &position.version,
                &position.commit_timestamp_ms,
                &rows,
            ],
        )
        .await
        .map(|_| ())
        .map_err(Error::target("write the position of", table))
}

pub(crate) async fn delete(client: &impl GenericClient, table: &TableName) -> Result<(), Error> {
    client
        .execute(
            "delete from lakeport_sync.positions where schema_name = $1 and table_name = $2",
            &[&table.schema, &table.table],
        )
        .await
        .map(|_| ())
        .map_err(Error::target("remove the position of", table))
}
