//! A database as a catalog: its schemas and tables, read where they are when they are asked for, so that
//! nothing can be stale. What a caller sees is what PostgreSQL lets the caller's role use.

use std::collections::HashMap;

use lakeport_api::unity::{
    Dependency, DependencyList, ForeignKey, PrimaryKey, SchemaInfo, TableConstraint,
    TableDependency, TableInfo,
};
use lakeport_catalog::join_name;
use lakeport_pg::Session;
use lakeport_store::{DatabaseCatalogRow, Instance, SyncedIn, UnityTable};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::info::ONLINE;
use super::mirror_types::{DatabaseColumn, column_info};
use super::rights::Who;
use crate::target::refused;
use crate::{Control, Error, Result};

/// Schemas that are no user's.
const USERS_SCHEMA: &str = "n.nspname !~ '^(pg_|lakeport_)' and n.nspname <> 'information_schema'";

/// Relations that are tables to a reader; partitions are part of theirs.
const TABLES: &str = "c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition";

/// A caller's roles are $1; null sees all.
const MAY_USE_SCHEMA: &str = "($1::text[] is null or exists (select from pg_catalog.pg_roles r
     where r.rolname = any($1) and pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')))";
const MAY_USE_TABLE: &str = "($1::text[] is null or exists (select from pg_catalog.pg_roles r
     where r.rolname = any($1)
       and pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
       and (pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE')
            or pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT'))))";

/// Names have one order, whatever the database's locale.
const SCHEMA_NAME: &str = "n.nspname::text collate \"C\"";
const TABLE_NAME: &str = "c.relname::text collate \"C\"";

/// A session in the database that a catalog shows.
pub(super) struct Mirror {
    pub(super) session: Session,
    pub(super) catalog: String,
    pub(super) instance: Instance,
    pub(super) database: String,
    synced: lakeport_store::Store,
}

impl Control {
    pub(super) async fn mirror(&self, catalog: &DatabaseCatalogRow) -> Result<Mirror> {
        self.mirror_of(catalog.instance_uid, &catalog.name, &catalog.database_name).await
    }

    /// Says plainly what keeps a database from being shown.
    pub(super) async fn mirror_of(
        &self,
        instance: Uuid,
        catalog: &str,
        database: &str,
    ) -> Result<Mirror> {
        let instance = self.store.instance(instance).await?;
        let instance = instance.ok_or_else(|| Error::not_found("catalog", catalog))?;
        self.require_available(&instance).map_err(|error| {
            Error::precondition(format!("catalog \"{catalog}\": {}", error.message()))
        })?;
        let session = match self.admin_session(&instance, database).await {
            Ok(session) => session,
            Err(error) => {
                return match self.has_database(&instance, database).await {
                    Ok(false) => Err(dropped(catalog, database, &instance.name)),
                    _ => Err(error),
                };
            }
        };
        Ok(Mirror {
            session,
            catalog: catalog.to_owned(),
            database: database.to_owned(),
            instance,
            synced: self.store.clone(),
        })
    }
}

fn dropped(catalog: &str, database: &str, instance: &str) -> Error {
    Error::precondition(format!(
        "catalog \"{catalog}\": database \"{database}\" was dropped from instance \"{instance}\"; create \
         it again, or delete the catalog"
    ))
}

impl Mirror {
    pub(super) async fn query(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.session.query(sql, values).await.map_err(refused("reading the database's catalog"))
    }

    pub(super) async fn schema(&self, who: &Who, name: &str) -> Result<Option<SchemaInfo>> {
        let sql = schema_sql("n.nspname = $2");
        let rows = self.query(&sql, &[&who.roles(), &name]).await?;
        Ok(rows.first().map(|row| self.schema_info(row)))
    }

    pub(super) async fn schemas(
        &self,
        who: &Who,
        after: &str,
        limit: i64,
    ) -> Result<Vec<SchemaInfo>> {
        let page = format!("{SCHEMA_NAME} > $2 order by {SCHEMA_NAME} limit $3");
        let rows = self.query(&schema_sql(&page), &[&who.roles(), &after, &limit]).await?;
        Ok(rows.iter().map(|row| self.schema_info(row)).collect())
    }

    fn schema_info(&self, row: &Row) -> SchemaInfo {
        let name: String = row.get(0);
        SchemaInfo {
            full_name: Some(join_name(&[&self.catalog, &name])),
            catalog_name: self.catalog.clone(),
            name,
            owner: Some(row.get(1)),
            comment: row.get(2),
            schema_id: Some(self.object_id(row.get(3))),
            catalog_type: Some(String::from(ONLINE)),
            ..SchemaInfo::default()
        }
    }

    /// Stays the same while the object lives.
    fn object_id(&self, oid: u32) -> String {
        let (high, _) = self.instance.uid.as_u64_pair();
        let database = self
            .database
            .bytes()
            .fold(0u32, |hash, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte));
        Uuid::from_u64_pair(high, u64::from(database) << 32 | u64::from(oid)).to_string()
    }

    pub(super) async fn table(
        &self,
        who: &Who,
        schema: &str,
        name: &str,
    ) -> Result<Option<TableInfo>> {
        self.find_table(who.roles(), schema, name).await
    }

    /// For whoever is let in by rights of ours.
    pub(super) async fn unfiltered_table(
        &self,
        schema: &str,
        name: &str,
    ) -> Result<Option<TableInfo>> {
        self.find_table(None, schema, name).await
    }

    async fn find_table(
        &self,
        roles: Option<Vec<&str>>,
        schema: &str,
        name: &str,
    ) -> Result<Option<TableInfo>> {
        // A view's text is read here only: it waits for whoever changes the view.
        let view = "case when c.relkind in ('v', 'm') then pg_catalog.pg_get_viewdef(c.oid) end";
        let sql = table_sql(view, "c.relname = $3");
        let rows = self.query(&sql, &[&roles, &schema, &name]).await?;
        Ok(self.table_infos(schema, &rows).await?.into_iter().next())
    }

    pub(super) async fn tables(
        &self,
        who: &Who,
        schema: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<TableInfo>> {
        let page = format!("{TABLE_NAME} > $3 order by {TABLE_NAME} limit $4");
        let sql = table_sql("null::text", &page);
        let rows = self.query(&sql, &[&who.roles(), &schema, &after, &limit]).await?;
        self.table_infos(schema, &rows).await
    }

    async fn table_infos(&self, schema: &str, rows: &[Row]) -> Result<Vec<TableInfo>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let oids: Vec<u32> = rows.iter().map(|row| row.get(0)).collect();
        let mut columns = self.columns(&oids).await?;
        let mut constraints = self.constraints(&oids).await?;
        let synced =
            self.synced.synced_tables_in(self.instance.uid, &self.database, schema).await?;
        let info = |row: &Row| {
            let oid: u32 = row.get(0);
            let name: String = row.get(1);
            let (kind, format) = kind_and_format(row.get(2));
            let source = synced.iter().find(|synced| synced.table_name == name);
            let info = TableInfo {
                full_name: Some(join_name(&[&self.catalog, schema, &name])),
                name,
                catalog_name: self.catalog.clone(),
                schema_name: schema.to_owned(),
                table_type: Some(kind.to_owned()),
                data_source_format: format.map(str::to_owned),
                owner: Some(row.get(3)),
                comment: row.get(4),
                view_definition: row.get(5),
                table_id: Some(self.object_id(oid)),
                columns: Some(columns.remove(&oid).unwrap_or_default()),
                table_constraints: constraints.remove(&oid),
                ..TableInfo::default()
            };
            source.map_or(info.clone(), |source| with_lineage(info, source))
        };
        Ok(rows.iter().map(info).collect())
    }

    async fn columns(
        &self,
        oids: &[u32],
    ) -> Result<HashMap<u32, Vec<lakeport_api::unity::ColumnInfo>>> {
        let rows = self
            .query(
                "select a.attrelid, a.attname::text,
                        pg_catalog.format_type(a.atttypid, a.atttypmod), not a.attnotnull,
                        pg_catalog.col_description(a.attrelid, a.attnum)
                 from pg_catalog.pg_attribute a
                 where a.attrelid = any($1) and a.attnum > 0 and not a.attisdropped
                 order by a.attrelid, a.attnum",
                &[&oids],
            )
            .await?;
        let mut found: HashMap<u32, Vec<_>> = HashMap::new();
        for row in &rows {
            let column = DatabaseColumn {
                name: row.get(1),
                kind: row.get(2),
                nullable: row.get(3),
                comment: row.get(4),
            };
            let columns = found.entry(row.get(0)).or_default();
            columns.push(column_info((columns.len(), &column)));
        }
        Ok(found)
    }

    async fn constraints(&self, oids: &[u32]) -> Result<HashMap<u32, Vec<TableConstraint>>> {
        let names = |relation: &str, numbers: &str| {
            format!(
                "array(select a.attname::text
                       from unnest({numbers}) with ordinality k (number, position)
                       join pg_catalog.pg_attribute a
                         on a.attrelid = {relation} and a.attnum = k.number
                       order by k.position)"
            )
        };
        let sql = format!(
            "select c.conrelid, c.contype::text, c.conname::text, {}, pn.nspname::text,
                    p.relname::text, {}
             from pg_catalog.pg_constraint c
             left join pg_catalog.pg_class p on p.oid = c.confrelid
             left join pg_catalog.pg_namespace pn on pn.oid = p.relnamespace
             where c.conrelid = any($1) and c.contype in ('p', 'f')
             order by c.contype desc, c.conname",
            names("c.conrelid", "c.conkey"),
            names("c.confrelid", "c.confkey"),
        );
        let mut found: HashMap<u32, Vec<TableConstraint>> = HashMap::new();
        for row in &self.query(&sql, &[&oids]).await? {
            found.entry(row.get(0)).or_default().push(self.constraint(row));
        }
        Ok(found)
    }

    fn constraint(&self, row: &Row) -> TableConstraint {
        let (kind, name): (String, String) = (row.get(1), row.get(2));
        let child_columns = row.get(3);
        if kind == "p" {
            let key = PrimaryKey { name, child_columns, ..PrimaryKey::default() };
            return TableConstraint { primary_key_constraint: Some(key), ..Default::default() };
        }
        let (schema, table): (String, String) = (row.get(4), row.get(5));
        let key = ForeignKey {
            name,
            child_columns,
            parent_table: join_name(&[&self.catalog, &schema, &table]),
            parent_columns: row.get(6),
            rely: None,
        };
        TableConstraint { foreign_key_constraint: Some(key), ..Default::default() }
    }

    /// Schema, name and kind of the tables that match; a page begins after `schema` and `name`, with a
    /// control character between.
    pub(super) async fn summaries(
        &self,
        who: &Who,
        like: (&str, &str),
        after: &str,
        limit: i64,
    ) -> Result<Vec<(String, String, String)>> {
        let (schema, name) = after.split_once('\u{1}').unwrap_or_default();
        let sql = format!(
            "select n.nspname::text, c.relname::text, c.relkind::text
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
             where {TABLES} and {USERS_SCHEMA} and {MAY_USE_TABLE}
                 and n.nspname like $2 and c.relname like $3
                 and ({SCHEMA_NAME}, {TABLE_NAME}) > ($4::text, $5::text)
             order by {SCHEMA_NAME}, {TABLE_NAME} limit $6"
        );
        let values: &[&(dyn ToSql + Sync)] =
            &[&who.roles(), &like.0, &like.1, &schema, &name, &limit];
        let rows = self.query(&sql, values).await?;
        let summary =
            |row: &Row| (row.get(0), row.get(1), kind_and_format(row.get(2)).0.to_owned());
        Ok(rows.iter().map(summary).collect())
    }

    /// A registered table that the database no longer has.
    pub(super) fn table_is_gone(&self, row: &UnityTable) -> Error {
        Error::precondition(format!(
            "table \"{}\".\"{}\" was dropped from database \"{}\" of instance \"{}\": create it again, or \
             delete its registration",
            row.schema_name, row.name, self.database, self.instance.name
        ))
    }
}

fn schema_sql(condition: &str) -> String {
    format!(
        "select n.nspname::text, o.rolname::text,
                pg_catalog.obj_description(n.oid, 'pg_namespace'), n.oid
         from pg_catalog.pg_namespace n join pg_catalog.pg_roles o on o.oid = n.nspowner
         where {USERS_SCHEMA} and {MAY_USE_SCHEMA} and {condition}"
    )
}

fn table_sql(view: &str, condition: &str) -> String {
    format!(
        "select c.oid, c.relname::text, c.relkind::text, o.rolname::text,
                pg_catalog.obj_description(c.oid, 'pg_class'), {view}
         from pg_catalog.pg_class c
         join pg_catalog.pg_namespace n on n.oid = c.relnamespace
         join pg_catalog.pg_roles o on o.oid = c.relowner
         where n.nspname = $2 and {TABLES} and {USERS_SCHEMA} and {MAY_USE_TABLE} and {condition}"
    )
}

fn kind_and_format(relkind: String) -> (&'static str, Option<&'static str>) {
    match relkind.as_str() {
        "v" => ("VIEW", None),
        "m" => ("MATERIALIZED_VIEW", None),
        _ => ("FOREIGN", Some("POSTGRESQL_FORMAT")),
    }
}

/// Where a synced table comes from.
fn with_lineage(info: TableInfo, synced: &SyncedIn) -> TableInfo {
    let source = synced.request["spec"]["source_table_full_name"].as_str().unwrap_or_default();
    let table = TableDependency { table_full_name: source.to_owned() };
    TableInfo {
        pipeline_id: Some(synced.pipeline_id.to_string()),
        view_dependencies: Some(DependencyList { dependencies: vec![Dependency { table }] }),
        ..info
    }
}
