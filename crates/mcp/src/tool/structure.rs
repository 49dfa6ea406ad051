//! `lakebase_schema`: what is in a database, as far as the caller may see it.

use rmcp::model::JsonObject;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Hints, Tool, database_or_default, only_value};
use crate::Access;
use crate::call::{Call, Result};
use crate::failure::{Failure, code};
use crate::sql::{Session, Target};

pub(super) struct Schema;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Instance to look at
    instance_name: String,
    /// Database of the instance; databricks_postgres by default
    database_name: Option<String>,
    /// Only this schema, with the columns of its tables
    schema_name: Option<String>,
    /// Everything about one table or view, as table or schema.table
    table_name: Option<String>,
}

#[derive(Default, Serialize, JsonSchema)]
pub(super) struct Output {
    /// Databases of the instance that the caller may connect to
    #[serde(skip_serializing_if = "Option::is_none")]
    databases: Option<Vec<String>>,
    /// Tables and views: schema, name, kind, estimated rows, size in bytes, comment, columns
    #[serde(skip_serializing_if = "Option::is_none")]
    relations: Option<Vec<JsonObject>>,
    /// Whether there are more relations than are listed; name a schema
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    /// Columns, keys, indexes, privileges of the caller
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<JsonObject>,
}

impl Tool for Schema {
    const NAME: &str = "lakebase_schema";
    const TITLE: &str = "Describe a database";
    const DESCRIPTION: &str = "Tables and views of a database. Begin without a schema for an overview, name a \
        schema for its columns, name a table for keys, indexes, constraints, comments and the caller's \
        privileges.";
    const NEEDS: Access = Access::Observe;
    const HINTS: Hints = Hints::READS;
    type Arguments = Arguments;
    type Output = Output;

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        let target = Target {
            instance: arguments.instance_name,
            database: database_or_default(arguments.database_name),
        };
        let schema = arguments.schema_name.as_deref();
        let mut session = Session::open(call, &target).await?;
        if let Some(name) = arguments.table_name {
            // Where no schema is named, the caller's own search path finds the table.
            session.read_only(call).await?;
            return table(call, &mut session, schema, &name).await;
        }
        session.inspect(call).await?;
        overview(call, &mut session, schema).await
    }
}

const MOST_RELATIONS: usize = 200;

async fn overview(call: &Call, session: &mut Session, schema: Option<&str>) -> Result<Output> {
    let databases: Option<Vec<String>> = match schema {
        Some(_) => None,
        None => Some(only_value(session.rows(call, DATABASES, &[]).await?)?),
    };
    let most = (MOST_RELATIONS + 1).to_string();
    let rows = session.rows(call, RELATIONS, &[schema, Some(&most)]).await?;
    let objects = rows.into_iter().map(|row| only_value(vec![row]));
    let mut relations = objects.collect::<Result<Vec<JsonObject>, Failure>>()?;
    let truncated = relations.len() > MOST_RELATIONS;
    relations.truncate(MOST_RELATIONS);
    if let (Some(schema), true) = (schema, relations.is_empty()) {
        let message =
            format!("schema_name: there is nothing in `{schema}` that the caller may see");
        return Err(Failure::new(code::NOT_FOUND, message)
            .hint("call without schema_name for an overview")
            .into());
    }
    Ok(Output {
        databases,
        relations: Some(relations),
        truncated: truncated.then_some(true),
        table: None,
    })
}

async fn table(
    call: &Call,
    session: &mut Session,
    schema: Option<&str>,
    name: &str,
) -> Result<Output> {
    let (schema, name) = match (schema, name.split_once('.')) {
        (None, Some((schema, name))) => (Some(schema), name),
        (schema, _) => (schema, name),
    };
    let found = session.rows(call, FIND, &[schema, Some(name)]).await?;
    let oid = found.first().and_then(|row| row.first()?.as_i64()).unwrap_or_default().to_string();
    session.pin_names().await?;
    let described = session.rows(call, TABLE, &[Some(&oid)]).await?;
    if described.is_empty() {
        let message = format!("table_name: there is no `{name}` that the caller may see");
        return Err(Failure::new(code::NOT_FOUND, message)
            .hint("call without table_name for an overview")
            .into());
    }
    Ok(Output { table: Some(only_value(described)?), ..Output::default() })
}

const DATABASES: &str = "
SELECT pg_catalog.json_agg(d.datname ORDER BY d.datname)
FROM pg_catalog.pg_database d
WHERE d.datallowconn AND NOT d.datistemplate
  AND pg_catalog.has_database_privilege(d.oid, 'CONNECT')";

/// One object a relation; columns only when a schema is named.
const RELATIONS: &str = "
SELECT pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
  'schema', n.nspname,
  'name', c.relname,
  'kind', CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table'
                         WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
                         ELSE 'foreign table' END,
  'estimated_rows', CASE WHEN c.reltuples >= 0 AND c.relkind IN ('r', 'm', 'p')
                         THEN c.reltuples::bigint END,
  'bytes', CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_total_relation_size(c.oid) END,
  'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
  'columns', CASE WHEN $1::text IS NOT NULL THEN
    (SELECT pg_catalog.string_agg(
       a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
     FROM pg_catalog.pg_attribute a
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) END))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND ($1::text IS NULL OR n.nspname = $1)
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
ORDER BY n.nspname, c.relname
LIMIT $2::bigint";

/// By schema and name, or by the name alone where the search path finds it.
const FIND: &str = "
SELECT pg_catalog.to_regclass(
  CASE WHEN $1::text IS NULL THEN pg_catalog.format('%I', $2::text)
       ELSE pg_catalog.format('%I.%I', $1, $2) END)::pg_catalog.oid";

const TABLE: &str = "
SELECT pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
  'schema', n.nspname,
  'name', c.relname,
  'owner', pg_catalog.pg_get_userbyid(c.relowner),
  'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
  'estimated_rows', CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END,
  'bytes', CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_total_relation_size(c.oid) END,
  'row_level_security', CASE WHEN c.relrowsecurity THEN true END,
  'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_catalog.pg_get_viewdef(c.oid, true) END,
  'columns', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname,
      'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'nullable', NOT a.attnotnull,
      'default', CASE WHEN a.attgenerated = '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
      'generated', CASE WHEN a.attgenerated <> '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                        WHEN a.attidentity <> '' THEN 'identity' END,
      'comment', pg_catalog.col_description(c.oid, a.attnum)) ORDER BY a.attnum)
    FROM pg_catalog.pg_attribute a
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  'constraints', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', o.conname, 'definition', pg_catalog.pg_get_constraintdef(o.oid)) ORDER BY o.conname)
    FROM pg_catalog.pg_constraint o WHERE o.conrelid = c.oid),
  'referenced_by', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'table', o.conrelid::pg_catalog.regclass::text,
      'definition', pg_catalog.pg_get_constraintdef(o.oid)) ORDER BY o.conname)
    FROM pg_catalog.pg_constraint o WHERE o.confrelid = c.oid AND o.contype = 'f'),
  'indexes', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', i.relname,
      'definition', pg_catalog.pg_get_indexdef(x.indexrelid),
      'invalid', CASE WHEN NOT x.indisvalid THEN true END) ORDER BY i.relname)
    FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
    WHERE x.indrelid = c.oid),
  'policies', (SELECT pg_catalog.json_agg(p.polname ORDER BY p.polname)
    FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid),
  'privileges', (SELECT pg_catalog.json_agg(v.privilege)
    FROM pg_catalog.unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS v(privilege)
    WHERE pg_catalog.has_table_privilege(c.oid, v.privilege))))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = $1::pg_catalog.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";
