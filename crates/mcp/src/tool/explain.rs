//! `lakebase_explain`: the plan of a statement, and what stands out in it.

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Hints, Tool, database_or_default, only_value};
use crate::Access;
use crate::call::{Call, Result};
use crate::sql::{Session, Statement, Target};

pub(super) struct Explain;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Instance to ask
    instance_name: String,
    /// Database of the instance; databricks_postgres by default
    database_name: Option<String>,
    /// One statement in PostgreSQL's SQL, without EXPLAIN
    query: String,
    /// Values for $1, $2 and so on, as text
    parameters: Option<Vec<String>>,
    /// Also run it, and measure; for statements that read only
    analyze: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// In PostgreSQL's JSON form
    plan: Vec<JsonObject>,
    /// What stands out, in words
    observations: Vec<String>,
}

impl Tool for Explain {
    const NAME: &str = "lakebase_explain";
    const TITLE: &str = "Explain a statement";
    const DESCRIPTION: &str = "Shows PostgreSQL's plan for a statement without running it, or, with analyze, \
        with measured times of a statement that reads. Says in words what stands out.";
    const NEEDS: Access = Access::Observe;
    const HINTS: Hints = Hints::READS;
    type Arguments = Arguments;
    type Output = Output;

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        let statement = Statement::read(&arguments.query)?;
        let analyze = arguments.analyze.unwrap_or_default();
        if analyze {
            statement.must_read()?;
        }
        let target = Target {
            instance: arguments.instance_name,
            database: database_or_default(arguments.database_name),
        };
        let parameters = arguments.parameters.unwrap_or_default();
        let parameters: Vec<_> = parameters.iter().map(|value| Some(value.as_str())).collect();
        let options = if analyze { "ANALYZE, BUFFERS, FORMAT JSON" } else { "FORMAT JSON" };
        let sql = format!("EXPLAIN ({options}) {}", arguments.query);
        let mut session = Session::open(call, &target).await?;
        session.read_only(call).await?;
        let rows = session.rows(call, &sql, &parameters).await?;
        let plan: Vec<JsonObject> = only_value(rows)?;
        let mut observations = Vec::new();
        for node in plan.iter().filter_map(|plan| plan.get("Plan")) {
            observe(node, &mut observations);
        }
        Ok(Output { plan, observations })
    }
}

/// From which size on a table is worth an index.
const MANY_ROWS: f64 = 10_000.0;
/// An estimate that is off by more leads to other plans.
const FAR_OFF: f64 = 10.0;

fn observe(node: &Value, found: &mut Vec<String>) {
    let text = |key: &str| node[key].as_str().unwrap_or_default();
    let number = |key: &str| node[key].as_f64();
    let what = match node["Relation Name"].as_str() {
        Some(relation) => format!("{} on {relation}", text("Node Type")),
        None => text("Node Type").to_owned(),
    };
    if text("Node Type") == "Seq Scan" && !node["Filter"].is_null() {
        let removed = number("Rows Removed by Filter").unwrap_or_default();
        let read = number("Actual Rows").or(number("Plan Rows")).unwrap_or_default() + removed;
        if read >= MANY_ROWS {
            let filter = text("Filter");
            found.push(format!("{what} reads about {read} rows for {filter}: an index may help"));
        }
    }
    if let (Some(planned), Some(actual)) = (number("Plan Rows"), number("Actual Rows"))
        && (planned.max(1.0) / actual.max(1.0)).max(actual.max(1.0) / planned.max(1.0)) > FAR_OFF
    {
        found
            .push(format!("{what}: {planned} rows were expected, {actual} came: ANALYZE may help"));
    }
    if text("Sort Space Type") == "Disk" {
        found.push(format!("{what} sorts on disk ({} kB)", node["Sort Space Used"]));
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        observe(child, found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_stands_out_is_said() {
        let plan = json!({"Node Type": "Sort", "Sort Space Type": "Disk", "Sort Space Used": 2048, "Plans": [
            {"Node Type": "Seq Scan", "Relation Name": "t", "Filter": "(a = 1)", "Plan Rows": 1,
             "Actual Rows": 5000, "Rows Removed by Filter": 95000}
        ]});
        let mut found = Vec::new();
        observe(&plan, &mut found);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found[1].contains("100000 rows"), "{found:?}");
    }
}
