//! `lakebase_health`: how an instance and a database are, and what deserves attention.
//!
//! Owns: one look, and the thresholds from which on it says something. Never: a change.

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Hints, Tool, database_or_default, only_value};
use crate::Access;
use crate::call::{Call, Result};
use crate::sql::{Session, Target};

pub(super) struct Health;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Instance to look at
    instance_name: String,
    /// Database of the instance; databricks_postgres by default
    database_name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// Worst first; empty if nothing deserves attention
    findings: Vec<Finding>,
    /// Numbers as PostgreSQL has them
    measurements: JsonObject,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Finding {
    severity: Severity,
    what: String,
    suggestion: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Severity {
    Critical,
    Warning,
    Note,
}

impl Tool for Health {
    const NAME: &str = "lakebase_health";
    const TITLE: &str = "Check a database's health";
    const DESCRIPTION: &str = "Connections, long transactions, blocked sessions, cache, dead rows, invalid or \
        unused indexes, transaction ids: findings with a suggestion each, and the numbers behind them.";
    const NEEDS: Access = Access::Observe;
    const HINTS: Hints = Hints::READS;
    type Arguments = Arguments;
    type Output = Output;

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        let target = Target {
            instance: arguments.instance_name,
            database: database_or_default(arguments.database_name),
        };
        let mut session = Session::open(call, &target).await?;
        session.inspect(call).await?;
        let rows = session.rows(call, MEASURE, &[]).await?;
        let measurements: Value = only_value(rows)?;
        let mut findings = findings(&measurements);
        findings.sort_by_key(|finding| finding.severity);
        let measurements = measurements.as_object().cloned().unwrap_or_default();
        Ok(Output { findings, measurements })
    }
}

/// Idle in a transaction, or in a statement, for longer than this.
const LONG_TRANSACTION: f64 = 600.0;
const LOW_CACHE_HITS: f64 = 0.9;
const OLD_TRANSACTION_ID: f64 = 1_000_000_000.0;

fn findings(seen: &Value) -> Vec<Finding> {
    let number = |key: &str| seen[key].as_f64().unwrap_or_default();
    let list = |key: &str| seen[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found = Vec::new();
    let mut say = |severity, what: String, suggestion| {
        found.push(Finding { severity, what, suggestion });
    };
    let (used, most) = (number("connections"), number("max_connections"));
    if used > 0.8 * most {
        let severity = if used > 0.95 * most { Severity::Critical } else { Severity::Warning };
        let what = format!("{used} of {most} connections are in use");
        say(severity, what, "use a pool in the application, or a larger capacity");
    }
    let longest = number("longest_transaction_seconds");
    if longest > LONG_TRANSACTION {
        let what = format!("a transaction has been open for {longest:.0} s");
        say(Severity::Warning, what, "end it: it keeps dead rows from being removed");
    }
    for blocked in list("blocked_sessions") {
        let what = format!(
            "session {} has waited for {} s, blocked by {}",
            blocked["pid"], blocked["waiting_seconds"], blocked["blocked_by"]
        );
        say(Severity::Warning, what, "look at the blocking session and end its transaction");
    }
    if seen["cache_hit_ratio"].as_f64().is_some_and(|ratio| ratio < LOW_CACHE_HITS) {
        let what = format!("only {} of reads are answered from memory", seen["cache_hit_ratio"]);
        say(Severity::Note, what, "add indexes for frequent queries, or choose a larger capacity");
    }
    if number("transaction_id_age") > OLD_TRANSACTION_ID {
        let what = format!("the oldest transaction id is {} old", seen["transaction_id_age"]);
        say(Severity::Critical, what, "run VACUUM; look for what holds it back");
    }
    for table in list("tables_with_dead_rows") {
        let what = format!("{} has {} dead rows", table["table"], table["dead_rows"]);
        say(Severity::Note, what, "VACUUM it, or let autovacuum come more often");
    }
    for index in list("invalid_indexes") {
        say(Severity::Warning, format!("index {index} is invalid"), "drop it and create it anew");
    }
    for index in list("unused_indexes") {
        let what = format!("index {} of {} bytes was never used", index["index"], index["bytes"]);
        say(Severity::Note, what, "drop it if statistics are old enough to tell");
    }
    found
}

/// What other sessions do is visible as far as the caller's role allows.
const MEASURE: &str = "
SELECT pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
  'version', pg_catalog.current_setting('server_version'),
  'database_bytes', pg_catalog.pg_database_size(pg_catalog.current_database()),
  'uptime_seconds',
    extract(epoch FROM pg_catalog.now() - pg_catalog.pg_postmaster_start_time())::bigint,
  'connections', (SELECT count(*) FROM pg_catalog.pg_stat_activity
                  WHERE backend_type = 'client backend'),
  'max_connections', pg_catalog.current_setting('max_connections')::int,
  'active_sessions', (SELECT count(*) FROM pg_catalog.pg_stat_activity
                      WHERE backend_type = 'client backend' AND state = 'active'
                        AND pid <> pg_catalog.pg_backend_pid()),
  'longest_transaction_seconds',
    (SELECT max(extract(epoch FROM pg_catalog.now() - xact_start))::bigint
     FROM pg_catalog.pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()),
  'blocked_sessions', (SELECT pg_catalog.json_agg(b) FROM (
     SELECT pid, pg_catalog.pg_blocking_pids(pid) AS blocked_by,
            extract(epoch FROM pg_catalog.now() - query_start)::bigint AS waiting_seconds
     FROM pg_catalog.pg_stat_activity
     WHERE pg_catalog.cardinality(pg_catalog.pg_blocking_pids(pid)) > 0
     ORDER BY query_start LIMIT 10) b),
  'cache_hit_ratio', (SELECT pg_catalog.round(blks_hit::numeric / (blks_hit + blks_read), 3)
                      FROM pg_catalog.pg_stat_database
                      WHERE datname = pg_catalog.current_database()
                        AND blks_hit + blks_read > 100000),
  'deadlocks', (SELECT deadlocks FROM pg_catalog.pg_stat_database
                WHERE datname = pg_catalog.current_database()),
  'transaction_id_age', (SELECT pg_catalog.age(datfrozenxid) FROM pg_catalog.pg_database
                         WHERE datname = pg_catalog.current_database()),
  'tables_with_dead_rows', (SELECT pg_catalog.json_agg(t) FROM (
     SELECT schemaname || '.' || relname AS \"table\", n_dead_tup AS dead_rows
     FROM pg_catalog.pg_stat_user_tables
     WHERE n_dead_tup > 10000 AND n_dead_tup > 0.2 * n_live_tup
     ORDER BY n_dead_tup DESC LIMIT 10) t),
  'invalid_indexes', (SELECT pg_catalog.json_agg(indexrelid::pg_catalog.regclass::text)
                      FROM pg_catalog.pg_index WHERE NOT indisvalid),
  'unused_indexes', (SELECT pg_catalog.json_agg(t) FROM (
     SELECT s.schemaname || '.' || s.indexrelname AS index,
            pg_catalog.pg_relation_size(s.indexrelid) AS bytes
     FROM pg_catalog.pg_stat_user_indexes s
     JOIN pg_catalog.pg_index i ON i.indexrelid = s.indexrelid
     WHERE s.idx_scan = 0 AND NOT i.indisunique
       AND pg_catalog.pg_relation_size(s.indexrelid) > 10 * 1024 * 1024
     ORDER BY 2 DESC LIMIT 10) t)))";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_healthy_database_has_no_findings() {
        let seen = json!({"connections": 3, "max_connections": 100, "transaction_id_age": 700});
        assert!(findings(&seen).is_empty());
    }

    #[test]
    fn what_deserves_attention_is_found() {
        let found = findings(&json!({
            "connections": 97, "max_connections": 100, "longest_transaction_seconds": 601,
            "blocked_sessions": [{"pid": 1, "blocked_by": [2], "waiting_seconds": 9}],
            "cache_hit_ratio": 0.5, "transaction_id_age": 1_500_000_000,
            "tables_with_dead_rows": [{"table": "s.t", "dead_rows": 20000}],
            "invalid_indexes": ["s.i"],
            "unused_indexes": [{"index": "s.j", "bytes": 1}],
        }));
        assert_eq!(found.len(), 8, "{found:?}");
        assert_eq!(found[0].severity, Severity::Critical);
    }
}
