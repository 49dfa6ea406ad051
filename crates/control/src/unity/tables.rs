//! Tables: Delta tables that are registered in the embedded catalog, and the tables of databases.

use lakeport_api::unity::{TableInfo, TableSummary, UpdateObject};
use lakeport_catalog::{Location, Paging, check_part, join_name, split_name};
use lakeport_store::{GrantPlace, Principal, UnityTable};
use uuid::Uuid;

use super::info::{delta_column, json, table_info};
use super::rights::{CREATE_EXTERNAL_TABLE, CREATE_TABLE, Who, require, require_manager};
use super::{Behind, constraints, read_only, refuse_settings, settings};
use crate::page::PageRequest;
use crate::{Control, Error, Kind, Page, Result};

impl Control {
    /// Registers an external Delta table. Its log is read, so that what is no table is refused now, and
    /// columns, comments and properties are the table's own.
    pub async fn create_unity_table(
        &self,
        caller: &Principal,
        request: &TableInfo,
    ) -> Result<TableInfo> {
        check_part("table", &request.name).map_err(|error| Error::invalid("name", error))?;
        check_kind(request)?;
        settings::check_new_table(request)?;
        let location = Location::parse(request.storage_location.as_deref().unwrap_or_default())
            .map_err(|error| Error::invalid("storage_location", error))?;
        let full_name = join_name(&[&request.catalog_name, &request.schema_name, &request.name]);
        let taken = || Error::already_exists(format!("table \"{full_name}\" already exists"));
        self.check_new_table(caller, request).await?;
        if self
            .store
            .unity_table(&request.catalog_name, &request.schema_name, &request.name)
            .await?
            .is_some()
        {
            return Err(taken());
        }
        let mut table = self.described(&location).await?;
        table.catalog_name = request.catalog_name.clone();
        table.schema_name = request.schema_name.clone();
        table.name = request.name.clone();
        table.owner = caller.user_name.clone();
        table.comment = request.comment.clone().or(table.comment);
        if let Some(columns) = request.columns.as_ref().filter(|columns| !columns.is_empty()) {
            table.columns = constraints::with_comments(table.columns, columns)?;
        }
        if let Some(given) = &request.properties {
            table.properties = merged(table.properties, json(Some(given))?);
        }
        if let Some(declared) = &request.table_constraints {
            constraints::check_all(declared, &table.columns)?;
            table.constraints = json(Some(declared))?;
        }
        match self.store.add_unity_table(&table).await {
            Ok(table) => table_info(table),
            Err(error) if error.is_constraint("unity_tables_pkey") => Err(taken()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the caller may put a table where it is asked for.
    async fn check_new_table(&self, caller: &Principal, request: &TableInfo) -> Result<()> {
        let who = self.who(caller).await?;
        let (catalog, schema) = (request.catalog_name.as_str(), request.schema_name.as_str());
        let full_name = join_name(&[catalog, schema]);
        self.refuse_outside(&who, catalog, "create the table").await?;
        match self.catalog_behind(&who, catalog).await {
            Ok(Behind::Database(row)) => return Err(read_only(&row, "create the table")),
            Ok(Behind::Embedded(_)) => {}
            Err(error) if error.kind() == Kind::NotFound => {
                return Err(Error::not_found("schema", &full_name));
            }
            Err(error) => return Err(error),
        }
        let (_, held) = self.known_schema(&who, catalog, schema).await?;
        require(&held, CREATE_TABLE, &full_name)?;
        require(&held, CREATE_EXTERNAL_TABLE, &full_name)
    }

    /// A table as its log describes it, without a name.
    async fn described(&self, location: &Location) -> Result<UnityTable> {
        let invalid = |problem: &dyn std::fmt::Display| Error::invalid("storage_location", problem);
        let source = self.catalog.open(location).map_err(|error| invalid(&error))?;
        let found = self.runner.inspect(&source).await;
        let found = found.map_err(|error| invalid(&error.message))?;
        let columns: Vec<_> = found.columns.iter().enumerate().map(delta_column).collect();
        Ok(UnityTable {
            id: Uuid::new_v4(),
            catalog_name: String::new(),
            schema_name: String::new(),
            name: String::new(),
            owner: String::new(),
            storage_location: Some(location.as_str().to_owned()),
            comment: found.comment,
            columns: json(Some(&constraints::with_partitions(columns, &found.partition_columns)))?,
            properties: json(Some(&found.properties))?,
            created_at: jiff::Timestamp::now(),
            created_by: None,
            updated_at: None,
            updated_by: None,
            constraints: serde_json::json!([]),
            instance_uid: None,
            database_name: None,
        })
    }

    pub async fn get_unity_table(&self, caller: &Principal, full_name: &str) -> Result<TableInfo> {
        let not_found = || Error::not_found("table", full_name);
        let who = self.who(caller).await?;
        let [catalog, schema, table] = split_name(full_name).ok_or_else(not_found)?;
        match self.is_outside(&who, &catalog).await {
            Ok(true) => return self.outside_table(&catalog, &schema, &table).await,
            Err(error) if error.kind() == Kind::NotFound => return Err(not_found()),
            outside => outside?,
        };
        match self.catalog_behind(&who, &catalog).await {
            Ok(Behind::Database(row)) => {
                let mirror = self.mirror(&row).await?;
                mirror.table(&who, &schema, &table).await?.ok_or_else(not_found)
            }
            Ok(Behind::Embedded(_)) => {
                let (row, _) = self.known_table(&who, full_name).await?;
                self.shown(row).await
            }
            Err(error) if error.kind() == Kind::NotFound => Err(not_found()),
            Err(error) => Err(error),
        }
    }

    /// With the columns of the database, if it is one of a database.
    async fn shown(&self, row: UnityTable) -> Result<TableInfo> {
        let Some(uid) = row.instance_uid else { return table_info(row) };
        let database = row.database_name.clone().unwrap_or_default();
        let mirror = self.mirror_of(uid, &row.catalog_name, &database).await?;
        let live = mirror.unfiltered_table(&row.schema_name, &row.name).await?;
        let live = live.ok_or_else(|| mirror.table_is_gone(&row))?;
        let stored = table_info(row)?;
        Ok(TableInfo {
            columns: live.columns,
            table_constraints: live.table_constraints,
            comment: stored.comment.clone().or(live.comment),
            ..stored
        })
    }

    pub async fn unity_table_exists(&self, caller: &Principal, full_name: &str) -> Result<bool> {
        match self.get_unity_table(caller, full_name).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub async fn list_unity_tables(
        &self,
        caller: &Principal,
        catalog: &str,
        schema: &str,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<TableInfo>> {
        let who = self.who(caller).await?;
        if self.is_outside(&who, catalog).await? {
            let paging = Paging { max_results, page_token };
            return self.outside_tables(catalog, schema, paging).await;
        }
        let behind = self.catalog_behind(&who, catalog).await?;
        let list = format!("tables of {}", join_name(&[catalog, schema]));
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let (after, limit) = (&request.after, request.limit());
        if let Behind::Database(row) = behind {
            let mirror = self.mirror(&row).await?;
            if mirror.schema(&who, schema).await?.is_none() {
                return Err(Error::not_found("schema", &join_name(&[catalog, schema])));
            }
            let tables = mirror.tables(&who, schema, after, limit).await?;
            return Ok(request.page(tables, |table| table.name.clone()));
        }
        let rows = self.visible_tables(&who, catalog, schema, after, limit).await?;
        let page = request.page(rows, |row| row.name.clone());
        let items = page.items.into_iter().map(table_info).collect::<Result<_>>()?;
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    async fn visible_tables(
        &self,
        who: &Who,
        catalog: &str,
        schema: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<UnityTable>> {
        let (_, held) = self.known_schema(who, catalog, schema).await?;
        let names = who.filter().filter(|_| !held.sees_all_tables());
        Ok(self.store.unity_tables(catalog, schema, names, after, limit).await?)
    }

    /// Names and kinds of a catalog's tables. Patterns are those of SQL's LIKE.
    pub async fn list_table_summaries(
        &self,
        caller: &Principal,
        catalog: &str,
        patterns: (Option<&str>, Option<&str>),
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<TableSummary>> {
        let who = self.who(caller).await?;
        if self.is_outside(&who, catalog).await? {
            let paging = Paging { max_results, page_token };
            return self.outside_summaries(catalog, patterns, paging).await;
        }
        let behind = self.catalog_behind(&who, catalog).await?;
        let list = format!("summaries of {catalog}");
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let (after, limit) = (&request.after, request.limit());
        let like = (patterns.0.unwrap_or("%"), patterns.1.unwrap_or("%"));
        let found = match behind {
            Behind::Database(row) => {
                self.mirror(&row).await?.summaries(&who, like, after, limit).await?
            }
            Behind::Embedded(_) => {
                let place = GrantPlace { catalog: catalog.to_owned(), schema: None, table: None };
                let all = self.held(&who, &place).await?.sees_all_tables();
                let names = who.filter().filter(|_| !all);
                let found =
                    self.store.unity_table_summaries(catalog, names, like, after, limit).await?;
                found
                    .into_iter()
                    .map(|(schema, name, kind)| (schema, name, kind.to_owned()))
                    .collect()
            }
        };
        let page = request.page(found, |(schema, name, _)| format!("{schema}\u{1}{name}"));
        let summary = |(schema, name, kind): (String, String, String)| TableSummary {
            full_name: join_name(&[catalog, &schema, &name]),
            table_type: kind,
        };
        Ok(super::info::convert(page, summary))
    }

    pub async fn update_unity_table(
        &self,
        caller: &Principal,
        full_name: &str,
        request: &UpdateObject,
    ) -> Result<TableInfo> {
        let who = self.who(caller).await?;
        let patch = self.checked_patch(request).await?;
        refuse_settings(&patch, "a table")?;
        self.refuse_databases(&who, full_name, "change the table").await?;
        let (row, held) = self.known_table(&who, full_name).await?;
        require_manager(&held, full_name)?;
        let changed = self.store.update_unity_table(row.id, &who.name, &patch).await?;
        changed.map_or_else(|| Err(Error::not_found("table", full_name)), table_info)
    }

    /// Forgets the registration; the files stay.
    pub async fn delete_unity_table(&self, caller: &Principal, full_name: &str) -> Result<()> {
        let who = self.who(caller).await?;
        self.refuse_databases(&who, full_name, "drop the table").await?;
        let (row, held) = self.known_table(&who, full_name).await?;
        require_manager(&held, full_name)?;
        if self.store.delete_unity_table(row.id).await? {
            return Ok(());
        }
        Err(Error::not_found("table", full_name))
    }

    /// A table that is shown from a database is changed there.
    pub(super) async fn refuse_databases(
        &self,
        who: &Who,
        full_name: &str,
        what: &str,
    ) -> Result<()> {
        let Some([catalog, _, _]) = split_name(full_name) else { return Ok(()) };
        match self.refuse_outside(who, &catalog, what).await {
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            checked => checked?,
        }
        match self.catalog_behind(who, &catalog).await {
            Ok(Behind::Database(row)) => Err(read_only(&row, what)),
            Err(error) if error.kind() != Kind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn check_kind(request: &TableInfo) -> Result<()> {
    let kind = request.table_type.as_deref().unwrap_or("EXTERNAL");
    if kind != "EXTERNAL" {
        let problem = format!("\"{kind}\" cannot be created here; use EXTERNAL");
        return Err(Error::invalid("table_type", problem));
    }
    let format = request.data_source_format.as_deref().unwrap_or("DELTA");
    if format != "DELTA" {
        let problem = format!("\"{format}\" cannot be read; use DELTA");
        return Err(Error::invalid("data_source_format", problem));
    }
    Ok(())
}

/// The table's own properties, and what the request says of them.
fn merged(own: serde_json::Value, given: serde_json::Value) -> serde_json::Value {
    match (own, given) {
        (serde_json::Value::Object(mut own), serde_json::Value::Object(given)) => {
            own.extend(given);
            serde_json::Value::Object(own)
        }
        (own, _) => own,
    }
}
