//! `lakebase_query`: one statement that reads, as the caller's own role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Hints, Tool, database_or_default, required};
use crate::Access;
use crate::call::{Call, Result};
use crate::failure::Failure;
use crate::sql::{CURSOR_LIFETIME, Cell, Column, Session, Statement, Target};

pub(super) struct Query;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Instance to ask
    instance_name: Option<String>,
    /// Database of the instance; databricks_postgres by default
    database_name: Option<String>,
    /// One SELECT, WITH, VALUES, TABLE, SHOW or EXPLAIN in PostgreSQL's SQL
    query: Option<String>,
    /// Values for $1, $2 and so on, as text
    parameters: Option<Vec<String>>,
    /// From an earlier answer, instead of everything else: the next rows of the same result
    cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    columns: Vec<Column>,
    /// A list of values for each row, in the order of the columns; text where JSON would lose
    /// digits: numeric, large numbers, and json or jsonb with a number such as 1.10 or a repeated key
    #[schemars(with = "Vec<Vec<Cell>>")]
    rows: Vec<Vec<Value>>,
    row_count: usize,
    /// Whether there may be more rows
    truncated: bool,
    /// Gives the next rows, for a minute
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor_expires_in_seconds: Option<u64>,
    /// How many long values were cut
    #[serde(skip_serializing_if = "Option::is_none")]
    values_cut: Option<usize>,
}

impl Tool for Query {
    const NAME: &str = "lakebase_query";
    const TITLE: &str = "Query a database";
    const DESCRIPTION: &str = "Runs one reading SQL statement with the caller's own rights, in a read-only \
        transaction that is rolled back. Long results come in pages: `truncated` says so and `cursor` gives \
        the next rows of the same moment. Ask for what you need: name columns, filter, use LIMIT.";
    const NEEDS: Access = Access::Observe;
    const HINTS: Hints = Hints::READS;
    type Arguments = Arguments;
    type Output = Output;

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        if let Some(cursor) = arguments.cursor {
            if arguments.query.is_some() {
                return Err(Failure::invalid("cursor: give it alone, without query").into());
            }
            let session = call.shared.cursors.take(call.caller.name(), &cursor)?;
            return page(call, session).await;
        }
        let instance = required("lakebase_query", "instance_name", arguments.instance_name)?;
        let query = required("lakebase_query", "query", arguments.query)?;
        Statement::read(&query)?.must_read()?;
        let target = Target { instance, database: database_or_default(arguments.database_name) };
        let parameters = arguments.parameters.unwrap_or_default();
        let parameters: Vec<_> = parameters.iter().map(|value| Some(value.as_str())).collect();
        let mut session = Session::open(call, &target).await?;
        session.read_only(call).await?;
        session.run(call, &query, &parameters).await?;
        page(call, session).await
    }
}

/// A session whose result is at its end is closed, and its transaction with it.
async fn page(call: &Call, mut session: Session) -> Result<Output> {
    let page = session.page(call).await?;
    let columns = session.columns().to_vec();
    let cursor = page.more.then(|| call.shared.cursors.keep(call.caller.name(), session));
    Ok(Output {
        columns,
        row_count: page.rows.len(),
        rows: page.rows,
        truncated: page.more,
        cursor_expires_in_seconds: cursor.as_ref().map(|_| CURSOR_LIFETIME.as_secs()),
        cursor,
        values_cut: (page.cut > 0).then_some(page.cut),
    })
}
