//! The first load: a new table, its rows, its key and its position in one transaction.
//!
//! COPY goes into a table that nobody else can see yet, so rows are written frozen, and the key is
//! built once over all rows instead of row by row.

use lakeport_pg::QualifiedName;
use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::ddl::Layout;
use super::position::{self, NewPosition};
use super::session::Target;
use crate::copy::{Counts, RowStream};
use crate::error::Error;
use crate::failpoint;
use crate::job::TableName;
use crate::progress::{Phase, Progress};

pub(crate) async fn load(
    target: &mut Target,
    layout: &Layout,
    rows: RowStream,
    position: &NewPosition,
    progress: &Progress,
) -> Result<Counts, Error> {
    let (table, name) = (target.table.clone(), target.name.clone());
    let transaction = target.begin().await?;
    create_schema(&transaction, &table).await?;
    run(&transaction, "create", &table, &layout.create("table", &name)).await?;
    failpoint::reach("load: created");
    let mut counts = rows.copy(&transaction, &layout.copy(&name), &table).await?;

    progress.enter(Phase::Indexing);
    failpoint::reach("load: copied");
    counts.rows -= keep_newest(&transaction, layout, &name, &table).await?;
    let add_key = format!("alter table {name} add primary key ({})", layout.key_list(""));
    transaction
        .batch_execute(&add_key)
        .await
        .map_err(|error| duplicate_key(layout, &table, error))?;
    failpoint::reach("load: indexed");
    for comment in layout.comments(&name) {
        run(&transaction, "comment on", &table, &comment).await?;
    }

    progress.enter(Phase::Applying);
    position::write(&transaction, &table, position, counts.rows).await?;
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
            "the source has more than one row with this primary key ({}); remove the duplicates \
             choose another key, or name a timeseries key",
            layout.key_names().join(", ")
        ),
    }
}
