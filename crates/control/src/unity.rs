//! The embedded Unity Catalog: the service behind `/api/2.1/unity-catalog`, as far as registering and
//! looking up a Delta table goes.

use std::collections::{BTreeMap, HashMap};

use lakeport_api::unity::{CatalogInfo, ColumnInfo, SchemaInfo, TableInfo};
use lakeport_catalog::{DeltaLocation, Location, TableName, check_part};
use lakeport_store::{UnityCatalog, UnitySchema, UnityTable};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::page::PageRequest;
use crate::{ColumnInspection, Control, Error, Page, Result};

impl Control {
    pub async fn create_unity_catalog(
        &self,
        caller: &str,
        request: &CatalogInfo,
    ) -> Result<CatalogInfo> {
        check_part("catalog", &request.name).map_err(|error| Error::invalid("name", error))?;
        let taken =
            || Error::already_exists(format!("catalog \"{}\" already exists", request.name));
        if self.store.database_catalog(&request.name).await?.is_some() {
            return Err(taken());
        }
        let properties = json(request.properties.as_ref())?;
        let comment = request.comment.as_deref();
        match self.store.add_unity_catalog(&request.name, caller, comment, &properties).await {
            Ok(catalog) => Ok(catalog_info(catalog)),
            Err(error) if error.is_constraint("unity_catalogs_pkey") => Err(taken()),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn get_unity_catalog(&self, name: &str) -> Result<CatalogInfo> {
        let catalog = self.store.unity_catalog(name).await?;
        catalog.map(catalog_info).ok_or_else(|| Error::not_found("catalog", name))
    }

    pub async fn list_unity_catalogs(
        &self,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<CatalogInfo>> {
        let list = String::from("catalogs");
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let rows = self.store.unity_catalogs(&request.after, request.limit()).await?;
        Ok(convert(request.page(rows, |row| row.name.clone()), catalog_info))
    }

    /// `force` also forgets the catalog's schemas and tables. Data files are never touched.
    pub async fn delete_unity_catalog(&self, name: &str, force: bool) -> Result<()> {
        let deleted = if force {
            self.store.delete_unity_catalog_whole(name).await
        } else {
            self.store.delete_unity_catalog(name).await
        };
        match deleted {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::not_found("catalog", name)),
            Err(lakeport_store::Error::Constraint(_)) => Err(Error::precondition(format!(
                "catalog \"{name}\" is not empty: delete its schemas first, or use force"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn create_unity_schema(
        &self,
        caller: &str,
        request: &SchemaInfo,
    ) -> Result<SchemaInfo> {
        check_part("schema", &request.name).map_err(|error| Error::invalid("name", error))?;
        let properties = json(request.properties.as_ref())?;
        let added = self
            .store
            .add_unity_schema(
                &request.catalog_name,
                &request.name,
                caller,
                request.comment.as_deref(),
                &properties,
            )
            .await;
        match added {
            Ok(schema) => Ok(schema_info(schema)),
            Err(error) if error.is_constraint("unity_schemas_pkey") => Err(Error::already_exists(
                format!("schema \"{}.{}\" already exists", request.catalog_name, request.name),
            )),
            Err(lakeport_store::Error::Constraint(_)) => {
                Err(Error::not_found("catalog", &request.catalog_name))
            }
            Err(error) => Err(error.into()),
        }
    }

    pub async fn get_unity_schema(&self, full_name: &str) -> Result<SchemaInfo> {
        let not_found = || Error::not_found("schema", full_name);
        let (catalog, name) = full_name.split_once('.').ok_or_else(not_found)?;
        self.store.unity_schema(catalog, name).await?.map(schema_info).ok_or_else(not_found)
    }

    pub async fn list_unity_schemas(
        &self,
        catalog: &str,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<SchemaInfo>> {
        self.get_unity_catalog(catalog).await?;
        let list = format!("schemas of {catalog}");
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let rows = self.store.unity_schemas(catalog, &request.after, request.limit()).await?;
        Ok(convert(request.page(rows, |row| row.name.clone()), schema_info))
    }

    pub async fn delete_unity_schema(&self, full_name: &str) -> Result<()> {
        let not_found = || Error::not_found("schema", full_name);
        let (catalog, name) = full_name.split_once('.').ok_or_else(not_found)?;
        match self.store.delete_unity_schema(catalog, name).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(not_found()),
            Err(lakeport_store::Error::Constraint(_)) => Err(Error::precondition(format!(
                "schema \"{full_name}\" is not empty: delete its tables first"
            ))),
            Err(error) => Err(error.into()),
        }
    }

    /// Registers an external Delta table. Its log is read, so that what is no table is refused now.
    pub async fn create_unity_table(&self, caller: &str, request: &TableInfo) -> Result<TableInfo> {
        check_part("table", &request.name).map_err(|error| Error::invalid("name", error))?;
        check_kind(request)?;
        let location = Location::parse(request.storage_location.as_deref().unwrap_or_default())
            .map_err(|error| Error::invalid("storage_location", error))?;
        if self.store.unity_schema(&request.catalog_name, &request.schema_name).await?.is_none() {
            let schema = format!("{}.{}", request.catalog_name, request.schema_name);
            return Err(Error::not_found("schema", &schema));
        }
        let full_name =
            format!("{}.{}.{}", request.catalog_name, request.schema_name, request.name);
        let taken = || Error::already_exists(format!("table \"{full_name}\" already exists"));
        if self.unity_table_exists(&full_name).await? {
            return Err(taken());
        }
        let source = DeltaLocation { location: location.clone(), options: HashMap::new() };
        let inspection = self
            .runner
            .inspect(&source)
            .await
            .map_err(|error| Error::invalid("storage_location", error.message))?;
        let columns = match &request.columns {
            Some(columns) if !columns.is_empty() => columns.clone(),
            _ => inspection.columns.iter().enumerate().map(column_info).collect(),
        };
        let table = UnityTable {
            id: Uuid::new_v4(),
            catalog_name: request.catalog_name.clone(),
            schema_name: request.schema_name.clone(),
            name: request.name.clone(),
            owner: caller.to_owned(),
            storage_location: location.as_str().to_owned(),
            comment: request.comment.clone(),
            columns: json(Some(&columns))?,
            properties: json(request.properties.as_ref())?,
            created_at: jiff::Timestamp::now(),
        };
        match self.store.add_unity_table(&table).await {
            Ok(table) => table_info(table),
            Err(error) if error.is_constraint("unity_tables_pkey") => Err(taken()),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn get_unity_table(&self, full_name: &str) -> Result<TableInfo> {
        let table = self.find_unity_table(full_name).await?;
        table.map_or_else(|| Err(Error::not_found("table", full_name)), table_info)
    }

    pub async fn unity_table_exists(&self, full_name: &str) -> Result<bool> {
        Ok(self.find_unity_table(full_name).await?.is_some())
    }

    async fn find_unity_table(&self, full_name: &str) -> Result<Option<UnityTable>> {
        let Ok(name) = full_name.parse::<TableName>() else { return Ok(None) };
        Ok(self.store.unity_table(&name.catalog, &name.schema, &name.table).await?)
    }

    pub async fn list_unity_tables(
        &self,
        catalog: &str,
        schema: &str,
        max_results: Option<i64>,
        page_token: Option<&str>,
    ) -> Result<Page<TableInfo>> {
        self.get_unity_schema(&format!("{catalog}.{schema}")).await?;
        let list = format!("tables of {catalog}.{schema}");
        let request = PageRequest::new(&self.vault, list, max_results, page_token)?;
        let rows =
            self.store.unity_tables(catalog, schema, &request.after, request.limit()).await?;
        let page = request.page(rows, |row| row.name.clone());
        let items = page.items.into_iter().map(table_info).collect::<Result<_>>()?;
        Ok(Page { items, next_page_token: page.next_page_token })
    }

    pub async fn delete_unity_table(&self, full_name: &str) -> Result<()> {
        let not_found = || Error::not_found("table", full_name);
        let name: TableName = full_name.parse().map_err(|_| not_found())?;
        if self.store.delete_unity_table(&name.catalog, &name.schema, &name.table).await? {
            return Ok(());
        }
        Err(not_found())
    }
}

fn convert<A, B>(page: Page<A>, to: impl Fn(A) -> B) -> Page<B> {
    Page { items: page.items.into_iter().map(to).collect(), next_page_token: page.next_page_token }
}

fn json<T: Serialize + Default>(value: Option<&T>) -> Result<Value> {
    let written = match value {
        Some(value) => serde_json::to_value(value),
        None => serde_json::to_value(T::default()),
    };
    written.map_err(|error| Error::internal("writing JSON", error))
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

fn column_info((position, column): (usize, &ColumnInspection)) -> ColumnInfo {
    let base = column.delta_type.split(['(', '<']).next().unwrap_or_default();
    ColumnInfo {
        name: column.name.clone(),
        comment: column.comment.clone(),
        nullable: Some(column.nullable),
        position: i64::try_from(position).ok(),
        type_name: Some(type_name(base)),
        type_text: Some(column.delta_type.clone()),
        ..ColumnInfo::default()
    }
}

/// Unity Catalog's names for Delta's primitive types.
fn type_name(delta: &str) -> String {
    let name = match delta {
        "byte" => "BYTE",
        "short" => "SHORT",
        "integer" => "INT",
        "timestamp_ntz" => "TIMESTAMP_NTZ",
        other => return other.to_uppercase(),
    };
    name.to_owned()
}

fn catalog_info(row: UnityCatalog) -> CatalogInfo {
    CatalogInfo {
        catalog_type: Some(String::from("MANAGED_CATALOG")),
        comment: row.comment,
        created_at: Some(row.created_at.as_millisecond()),
        created_by: Some(row.owner.clone()),
        full_name: Some(row.name.clone()),
        name: row.name,
        owner: Some(row.owner),
        properties: properties(row.properties),
        securable_type: Some(String::from("CATALOG")),
    }
}

fn schema_info(row: UnitySchema) -> SchemaInfo {
    SchemaInfo {
        comment: row.comment,
        created_at: Some(row.created_at.as_millisecond()),
        created_by: Some(row.owner.clone()),
        full_name: Some(format!("{}.{}", row.catalog_name, row.name)),
        name: row.name,
        catalog_name: row.catalog_name,
        owner: Some(row.owner),
        properties: properties(row.properties),
        schema_id: Some(row.id.to_string()),
    }
}

fn table_info(row: UnityTable) -> Result<TableInfo> {
    let columns: Vec<ColumnInfo> = serde_json::from_value(row.columns)
        .map_err(|error| Error::internal("reading a table's columns", error))?;
    Ok(TableInfo {
        full_name: Some(format!("{}.{}.{}", row.catalog_name, row.schema_name, row.name)),
        columns: Some(columns),
        comment: row.comment,
        created_at: Some(row.created_at.as_millisecond()),
        created_by: Some(row.owner.clone()),
        data_source_format: Some(String::from("DELTA")),
        name: row.name,
        catalog_name: row.catalog_name,
        schema_name: row.schema_name,
        owner: Some(row.owner),
        pipeline_id: None,
        properties: properties(row.properties),
        storage_location: Some(row.storage_location),
        table_id: Some(row.id.to_string()),
        table_type: Some(String::from("EXTERNAL")),
    })
}

fn properties(value: Value) -> Option<BTreeMap<String, String>> {
    serde_json::from_value(value).ok().filter(|map: &BTreeMap<_, _>| !map.is_empty())
}
