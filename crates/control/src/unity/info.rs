//! Rows as the API shows them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lakeport_api::unity::{CatalogInfo, ColumnInfo, ProvisioningInfo, SchemaInfo, TableInfo};
use lakeport_catalog::join_name;
use lakeport_store::{DatabaseCatalogRow, UnityCatalog, UnitySchema, UnityTable};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::settings;
use super::spark_type::healed;
use crate::{ColumnInspection, Error, Page, Result};

pub(super) const MANAGED: &str = "MANAGED_CATALOG";
/// A registered database. The reference names no value for it; this one is the enum's for databases.
pub(super) const ONLINE: &str = "MANAGED_ONLINE_CATALOG";

pub(super) fn convert<A, B>(page: Page<A>, to: impl Fn(A) -> B) -> Page<B> {
    Page { items: page.items.into_iter().map(to).collect(), next_page_token: page.next_page_token }
}

pub(super) fn json<T: Serialize + Default>(value: Option<&T>) -> Result<Value> {
    let written = match value {
        Some(value) => serde_json::to_value(value),
        None => serde_json::to_value(T::default()),
    };
    written.map_err(|error| Error::internal("writing JSON", error))
}

pub(super) fn stored<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::internal("reading stored JSON", error))
}

fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millisecond)
}

/// What was never changed was last changed when it was made.
fn last_change(
    created_at: Timestamp,
    created_by: Option<&String>,
    updated_at: Option<Timestamp>,
    updated_by: Option<String>,
) -> (Option<Timestamp>, Option<String>) {
    match updated_at {
        Some(at) => (Some(at), updated_by),
        None => (Some(created_at), created_by.cloned()),
    }
}

pub(super) fn catalog_info(row: UnityCatalog) -> CatalogInfo {
    let (changed_at, changed_by) =
        last_change(row.created_at, row.created_by.as_ref(), row.updated_at, row.updated_by);
    CatalogInfo {
        catalog_type: Some(String::from(MANAGED)),
        comment: row.comment,
        created_at: millis(Some(row.created_at)),
        created_by: row.created_by,
        enable_predictive_optimization: settings::text(&row.settings, settings::OPTIMIZATION),
        full_name: Some(row.name.clone()),
        isolation_mode: Some(String::from(settings::OPEN)),
        name: row.name,
        owner: Some(row.owner),
        properties: properties(row.properties),
        securable_type: Some(String::from("CATALOG")),
        storage_root: settings::text(&row.settings, settings::STORAGE_ROOT),
        updated_at: millis(changed_at),
        updated_by: changed_by,
        ..CatalogInfo::default()
    }
}

pub(super) fn database_catalog_info(row: DatabaseCatalogRow, state: Option<&str>) -> CatalogInfo {
    let (changed_at, changed_by) =
        last_change(row.created_at, Some(&row.creator), row.updated_at, row.updated_by);
    let options = BTreeMap::from([
        (String::from("database_instance_name"), row.instance_name),
        (String::from("database_name"), row.database_name),
    ]);
    CatalogInfo {
        catalog_type: Some(String::from(ONLINE)),
        comment: row.comment,
        created_at: millis(Some(row.created_at)),
        created_by: Some(row.creator),
        full_name: Some(row.name.clone()),
        isolation_mode: Some(String::from(settings::OPEN)),
        name: row.name,
        owner: Some(row.owner),
        properties: properties(row.properties),
        securable_type: Some(String::from("CATALOG")),
        options: Some(options),
        provisioning_info: state.map(|state| ProvisioningInfo { state: state.to_owned() }),
        updated_at: millis(changed_at),
        updated_by: changed_by,
        ..CatalogInfo::default()
    }
}

pub(super) fn schema_info(row: UnitySchema) -> SchemaInfo {
    let (changed_at, changed_by) =
        last_change(row.created_at, row.created_by.as_ref(), row.updated_at, row.updated_by);
    SchemaInfo {
        comment: row.comment,
        created_at: millis(Some(row.created_at)),
        created_by: row.created_by,
        enable_predictive_optimization: settings::text(&row.settings, settings::OPTIMIZATION),
        full_name: Some(join_name(&[&row.catalog_name, &row.name])),
        name: row.name,
        catalog_name: row.catalog_name,
        owner: Some(row.owner),
        properties: properties(row.properties),
        schema_id: Some(row.id.to_string()),
        storage_root: settings::text(&row.settings, settings::STORAGE_ROOT),
        catalog_type: Some(String::from(MANAGED)),
        updated_at: millis(changed_at),
        updated_by: changed_by,
        ..SchemaInfo::default()
    }
}

pub(super) fn table_info(row: UnityTable) -> Result<TableInfo> {
    let of_database = row.instance_uid.is_some();
    let (changed_at, changed_by) =
        last_change(row.created_at, row.created_by.as_ref(), row.updated_at, row.updated_by);
    let columns: Vec<ColumnInfo> = stored(row.columns)?;
    let columns = columns.into_iter().map(healed).collect();
    let constraints: Vec<_> = stored(row.constraints)?;
    let kind = |delta: &str, database: &str| {
        Some(String::from(if of_database { database } else { delta }))
    };
    Ok(TableInfo {
        full_name: Some(join_name(&[&row.catalog_name, &row.schema_name, &row.name])),
        columns: Some(columns).filter(|_| !of_database),
        comment: row.comment,
        created_at: millis(Some(row.created_at)),
        created_by: row.created_by,
        data_source_format: kind("DELTA", "POSTGRESQL_FORMAT"),
        name: row.name,
        catalog_name: row.catalog_name,
        schema_name: row.schema_name,
        owner: Some(row.owner),
        properties: properties(row.properties),
        storage_location: row.storage_location,
        table_id: Some(row.id.to_string()),
        table_type: kind("EXTERNAL", "FOREIGN"),
        table_constraints: Some(constraints).filter(|list: &Vec<_>| !list.is_empty()),
        updated_at: millis(changed_at),
        updated_by: changed_by,
        ..TableInfo::default()
    })
}

/// There are always some, if only none: clients count on it.
fn properties(value: Value) -> Option<BTreeMap<String, String>> {
    Some(serde_json::from_value(value).unwrap_or_default())
}

/// A column as a Delta log declares it.
pub(super) fn delta_column((position, column): (usize, &ColumnInspection)) -> ColumnInfo {
    let base = column.delta_type.split(['(', '<']).next().unwrap_or_default();
    let (precision, scale) = digits(&column.delta_type);
    ColumnInfo {
        name: column.name.clone(),
        comment: column.comment.clone(),
        nullable: Some(column.nullable),
        position: i64::try_from(position).ok(),
        type_name: Some(type_name(base)),
        type_text: Some(column.delta_type.clone()),
        type_json: Some(column.spark_json.clone()),
        type_precision: precision,
        type_scale: scale,
        ..ColumnInfo::default()
    }
}

/// Of `decimal(10,2)`.
pub(super) fn digits(kind: &str) -> (Option<i64>, Option<i64>) {
    let inner = kind.strip_prefix("decimal(").and_then(|rest| rest.strip_suffix(')'));
    let parts = inner.and_then(|inner| inner.split_once(','));
    parts.map_or((None, None), |(p, s)| (p.trim().parse().ok(), s.trim().parse().ok()))
}

/// Unity Catalog's names for Delta's types.
pub(super) fn type_name(delta: &str) -> String {
    let name = match delta {
        "tinyint" | "byte" => "BYTE",
        "smallint" | "short" => "SHORT",
        "integer" => "INT",
        "bigint" => "LONG",
        "void" => "NULL",
        interval if interval.starts_with("interval") => "INTERVAL",
        other => return other.to_uppercase(),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_the_catalogs_names() {
        for (delta, name) in
            [("bigint", "LONG"), ("int", "INT"), ("timestamp_ntz", "TIMESTAMP_NTZ")]
        {
            assert_eq!(type_name(delta), name);
        }
        assert_eq!(digits("decimal(10,2)"), (Some(10), Some(2)));
        assert_eq!(digits("array<decimal(1,0)>"), (None, None));
    }
}
