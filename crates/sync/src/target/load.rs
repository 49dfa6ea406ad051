//! The first load: a new table, its rows, its key and its position in one transaction.
//!
//! COPY goes into a table that nobody else can see yet, so rows are written frozen, and the key is
//! built once over all rows instead of row by row.

use lakeport_pg::QualifiedName;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::ddl::Layout;
use super::position::NewPosition;
use super::session::Target;
use crate::copy::{Counts, RowStream};
use crate::error::Error;
use crate::failpoint;
use crate::job::TableName;
use crate::progress::{Phase, Progress};

/// With `replaces`, in the place of what stayed when an earlier sync ended.
pub(crate) async fn load(
    target: &mut Target,
    layout: &Layout,
    rows: RowStream,
    position: &NewPosition,
    replaces: bool,
    progress: &Progress,
) -> Result<Counts, Error> {
    let (table, name) = (target.table.clone(), target.name.clone());
    let positions = target.positions.clone();
    let mut transaction = target.begin().await?;
    create_schema(&transaction, &table).await?;
    if replaces {
        run(&transaction, "replace", &table, &format!("drop table {name}")).await?;
    }
    run(&transaction, "create", &table, &layout.create("table", &name)).await?;
    failpoint::reach("load: created");
    let mut counts = rows.copy(&transaction, &layout.copy(&name), &table).await?;

    progress.enter(Phase::Indexing);
    failpoint::reach("load: copied");
    counts.rows -= keep_newest(&transaction, layout, &name, &table).await?;
    let add_key = format!("alter table {name} add primary key ({})", layout.key_list(""));
    index_key(&mut transaction, layout, &table, &name, &add_key).await?;
    failpoint::reach("load: indexed");
    for comment in layout.comments(&name) {
        run(&transaction, "comment on", &table, &comment).await?;
    }

    progress.enter(Phase::Applying);
    positions.write(&transaction, &table, position, counts.rows).await?;
    failpoint::reach("load: ready");
    transaction.commit().await.map_err(Error::target("commit the load of", &table))?;
    failpoint::reach("load: committed");
    Ok(counts)
}

/// Where keys need not be unique, removes the rows that are not the newest; gives their number.
pub(super) async fn keep_newest(
    transaction: &Transaction<'_>,
    layout: &Layout,
    name: &QualifiedName,
    table: &TableName,
) -> Result<u64, Error> {
    let Some(statement) = layout.keep_newest(name) else { return Ok(0) };
    transaction
        .execute(&statement, &[])
        .await
        .map_err(Error::target("find the newest rows of", table))
}

/// Asks first, because `create schema if not exists` wants the right to create even if it exists.
async fn create_schema(transaction: &Transaction<'_>, table: &TableName) -> Result<(), Error> {
    let found = transaction
        .query_opt("select 1 from pg_namespace where nspname = $1", &[&table.schema])
        .await
        .map_err(Error::target("look for the schema of", table))?;
    if found.is_some() {
        return Ok(());
    }
    let schema = lakeport_pg::QuotedIdent::new(&table.schema)
        .map_err(|error| Error::config(format!("cannot name the schema: {error}")))?;
    let failed = Error::target("create the schema of", table);
    let create = format!("savepoint create_schema; create schema {schema}");
    match transaction.batch_execute(&create).await {
        // Another table's first load was quicker; PostgreSQL has waited for its end.
        Err(error) if is_taken(&error) => {
            transaction.batch_execute("rollback to savepoint create_schema").await.map_err(failed)
        }
        created => created.map_err(failed),
    }
}

/// A schema that a concurrent transaction creates is first seen by the index of their names.
fn is_taken(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    code == Some(&SqlState::UNIQUE_VIOLATION) || code == Some(&SqlState::DUPLICATE_SCHEMA)
}

pub(super) async fn run(
    transaction: &Transaction<'_>,
    operation: &'static str,
    table: &TableName,
    statement: &str,
) -> Result<(), Error> {
    transaction.batch_execute(statement).await.map_err(Error::target(operation, table))
}

/// Indexes the key of all rows, and names the row that the index refuses.
pub(super) async fn index_key(
    transaction: &mut Transaction<'_>,
    layout: &Layout,
    table: &TableName,
    name: &QualifiedName,
    statement: &str,
) -> Result<(), Error> {
    let failed = || Error::target("index", table);
    let attempt = transaction.savepoint("key").await.map_err(failed())?;
    match attempt.batch_execute(statement).await {
        Ok(()) => attempt.commit().await.map_err(failed()),
        Err(error) if is_too_long(&error) => {
            attempt.rollback().await.map_err(failed())?;
            Err(key_too_long(transaction, layout, table, name, &error).await)
        }
        Err(error) => Err(duplicate_key(layout, table, error)),
    }
}

/// Whether an index refuses a value because of its length.
pub(super) fn is_too_long(error: &tokio_postgres::Error) -> bool {
    error.as_db_error().is_some_and(|db| {
        *db.code() == SqlState::PROGRAM_LIMIT_EXCEEDED
            && db.routine().is_some_and(crate::error::is_index_limit)
    })
}

/// Names the row of a table with the longest key, which is the one that was refused if any was.
pub(super) async fn key_too_long(
    transaction: &Transaction<'_>,
    layout: &Layout,
    table: &TableName,
    rows: &QualifiedName,
    error: &tokio_postgres::Error,
) -> Error {
    let found = transaction.query_opt(&layout.longest_key(rows), &[]).await;
    let (key, bytes) = match found {
        Ok(Some(row)) => (row.get::<_, Option<String>>(0), row.get::<_, Option<i32>>(1)),
        _ => (None, None),
    };
    let bytes = bytes.map(|bytes| format!("{bytes} bytes are")).unwrap_or("it is".to_owned());
    Error::Data {
        table: table.to_string(),
        column: None,
        key: key.map(|key| format!("{}={key}…", layout.key_names().join(", "))),
        what: format!(
            "{bytes} too long for a primary key, which holds 2,704 once they are compressed; choose \
             another key, or shorten it at the source ({})",
            lakeport_pg::describe(error)
        ),
    }
}

/// The server names the value in its detail, `Key (id)=(7) is duplicated.`, in its own language.
pub(super) fn duplicate_key(
    layout: &Layout,
    table: &TableName,
    error: tokio_postgres::Error,
) -> Error {
    let Some(db) = error.as_db_error().filter(|db| *db.code() == SqlState::UNIQUE_VIOLATION) else {
        return Error::target("index", table)(error);
    };
    let key = db.detail().and_then(|detail| {
        let (_, value) = detail.split_once(")=(")?;
        let (value, _) = value.rsplit_once(')')?;
        Some(format!("{}={value}", layout.key_names().join(", ")))
    });
    Error::Data {
        table: table.to_string(),
        column: None,
        key,
        what: format!(
            "the source has more than one row with this primary key ({}); remove the duplicates, \
             choose another key, or name a timeseries key",
            layout.key_names().join(", ")
        ),
    }
}
