//! What a synced table's spec may say, as far as the spec and its source tell.
//!
//! Owns: the checks that need no database, each naming its field. Never: anything that has a side effect.

use lakeport_api::{SyncedDatabaseTable, SyncedTableSpec, TypeOverride};
use lakeport_catalog::TableName;

use crate::sync_settings;
use crate::synced_table_wire::Policy;
use crate::{Error, Inspection, PgType, Result, TableShape, TypeChoice};

/// The table property without which a source has no changes to follow.
const CHANGE_DATA_FEED: &str = "delta.enableChangeDataFeed";

/// PostgreSQL's limit on the length of a varchar, and pgvector's on the dimensions of an indexed vector.
const MAX_VARCHAR: i64 = 10_485_760;
const MAX_DIMENSIONS: i64 = 16_000;

pub(crate) fn check_spec(spec: &SyncedTableSpec) -> Result<()> {
    policy(spec)?;
    if spec.source_table_full_name.as_deref().unwrap_or_default().is_empty() {
        return Err(Error::invalid("spec.source_table_full_name", "it is missing"));
    }
    check_pipeline(spec)?;
    type_choices(spec)?;
    sync_settings::check(spec.lakeport.as_ref(), "spec.lakeport")
}

pub(crate) fn policy(spec: &SyncedTableSpec) -> Result<Policy> {
    let field = "spec.scheduling_policy";
    let Some(policy) = spec.scheduling_policy.as_deref() else {
        let problem = "it is missing; set SNAPSHOT, TRIGGERED or CONTINUOUS";
        return Err(Error::invalid(field, problem));
    };
    Policy::of(policy).ok_or_else(|| {
        let problem = format!("\"{policy}\" is not one of SNAPSHOT, TRIGGERED, CONTINUOUS");
        Error::invalid(field, problem)
    })
}

/// A new pipeline or one that is there. The storage of a new one is not used here, but a request that
/// would be refused elsewhere is refused.
fn check_pipeline(spec: &SyncedTableSpec) -> Result<()> {
    let Some(new) = &spec.new_pipeline_spec else { return Ok(()) };
    if spec.existing_pipeline_id.is_some() {
        let problem =
            "it cannot be set together with spec.new_pipeline_spec; leave one of them out";
        return Err(Error::invalid("spec.existing_pipeline_id", problem));
    }
    let given = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    let missing = match (given(&new.storage_catalog), given(&new.storage_schema)) {
        (true, false) => "storage_schema",
        (false, true) => "storage_catalog",
        _ => return Ok(()),
    };
    let problem = "it is missing; storage_catalog and storage_schema go together";
    Err(Error::invalid(&format!("spec.new_pipeline_spec.{missing}"), problem))
}

/// The stored request was checked when it came.
pub(crate) fn shape_of(spec: &SyncedTableSpec) -> Result<TableShape> {
    Ok(TableShape {
        primary_key: spec.primary_key_columns.clone().unwrap_or_default(),
        timeseries_key: spec.timeseries_key.clone(),
        type_choices: type_choices(spec)?,
    })
}

fn type_choices(spec: &SyncedTableSpec) -> Result<Vec<TypeChoice>> {
    let overrides = spec.type_overrides.as_deref().unwrap_or_default();
    let choices: Vec<TypeChoice> = overrides.iter().map(type_choice).collect::<Result<_>>()?;
    for (index, choice) in choices.iter().enumerate() {
        if choices[..index].iter().any(|before| before.column == choice.column) {
            let problem = format!("column \"{}\" is named twice", choice.column);
            return Err(Error::invalid("spec.type_overrides", problem));
        }
    }
    Ok(choices)
}

fn type_choice(choice: &TypeOverride) -> Result<TypeChoice> {
    let field = "spec.type_overrides";
    let column = &choice.column_name;
    if column.is_empty() {
        return Err(Error::invalid(field, "column_name is missing"));
    }
    let name = choice.pg_type.strip_prefix("PG_SPECIFIC_TYPE_").unwrap_or(&choice.pg_type);
    let limit = match name {
        "VARCHAR" => MAX_VARCHAR,
        "VECTOR" | "HALFVEC" => MAX_DIMENSIONS,
        other => {
            let problem = format!(
                "pg_type \"{other}\" of column \"{column}\" is not one of PG_SPECIFIC_TYPE_VARCHAR, \
                 PG_SPECIFIC_TYPE_VECTOR, PG_SPECIFIC_TYPE_HALFVEC"
            );
            return Err(Error::invalid(field, problem));
        }
    };
    let size = choice.size.filter(|size| (1..=limit).contains(size)).ok_or_else(|| {
        Error::invalid(field, format!("size of column \"{column}\" must be 1 to {limit}"))
    })?;
    let pg_type = match name {
        "VARCHAR" => PgType::Varchar(u32::try_from(size).unwrap_or(u32::MAX)),
        "VECTOR" => PgType::Vector(u16::try_from(size).unwrap_or(u16::MAX)),
        _ => PgType::HalfVector(u16::try_from(size).unwrap_or(u16::MAX)),
    };
    Ok(TypeChoice { column: column.clone(), pg_type })
}

/// What whoever creates the table should know at once: its first run will fail, because the source records no
/// changes to follow.
pub(crate) fn feed_warning(
    spec: &SyncedTableSpec,
    source: &TableName,
    inspection: &Inspection,
) -> Result<Option<String>> {
    let on = inspection.properties.get(CHANGE_DATA_FEED);
    let on = on.is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let reloads = spec.lakeport.as_ref().is_some_and(|set| set.reload_on_gap == Some(true));
    let policy = policy(spec)?;
    if on || reloads || policy == Policy::Snapshot {
        return Ok(None);
    }
    Ok(Some(format!(
        "{} needs the change data feed of {source}, which is off: set the table property \
         {CHANGE_DATA_FEED} = true and start an update, or use SNAPSHOT.",
        policy.name()
    )))
}

pub(crate) fn check_columns(spec: &SyncedTableSpec, inspection: &Inspection) -> Result<()> {
    let known = |column: &str| inspection.columns.iter().any(|known| known.name == column);
    let unknown = |field: &str, column: &str| {
        Err(Error::invalid(field, format!("the source has no column \"{column}\"")))
    };
    let field = "spec.primary_key_columns";
    let key = spec.primary_key_columns.as_deref().unwrap_or_default();
    if key.is_empty() {
        return Err(Error::invalid(field, "it is missing; name the columns that identify a row"));
    }
    for (index, column) in key.iter().enumerate() {
        if !known(column) {
            return unknown(field, column);
        }
        if key[..index].contains(column) {
            return Err(Error::invalid(field, format!("\"{column}\" is named twice")));
        }
    }
    if let Some(column) = spec.timeseries_key.as_deref()
        && !known(column)
    {
        return unknown("spec.timeseries_key", column);
    }
    let overrides = spec.type_overrides.as_deref().unwrap_or_default();
    match overrides.iter().find(|choice| !known(&choice.column_name)) {
        Some(choice) => unknown("spec.type_overrides", &choice.column_name),
        None => Ok(()),
    }
}

/// Whether the table needs pgvector's types.
pub(crate) fn needs_vectors(spec: &SyncedTableSpec) -> Result<bool> {
    let choices = type_choices(spec)?;
    Ok(choices.iter().any(|choice| !matches!(choice.pg_type, PgType::Varchar(_))))
}

/// The spec of a request that was checked when it came.
pub(crate) fn stored_spec(request: &serde_json::Value) -> Result<SyncedTableSpec> {
    let request: SyncedDatabaseTable = serde_json::from_value(request.clone())
        .map_err(|error| Error::internal("reading a synced table's request", error))?;
    Ok(request.spec.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use lakeport_api::NewPipelineSpec;

    use super::*;
    use crate::Kind;

    fn spec() -> SyncedTableSpec {
        SyncedTableSpec {
            scheduling_policy: Some(String::from("SNAPSHOT")),
            source_table_full_name: Some(String::from("a.b.c")),
            ..SyncedTableSpec::default()
        }
    }

    fn choice(pg_type: &str, size: Option<i64>) -> TypeOverride {
        TypeOverride { column_name: String::from("c"), pg_type: pg_type.to_owned(), size }
    }

    #[test]
    fn a_pipeline_is_new_or_shared() {
        let new = |catalog: Option<&str>, schema: Option<&str>| NewPipelineSpec {
            budget_policy_id: None,
            storage_catalog: catalog.map(str::to_owned),
            storage_schema: schema.map(str::to_owned),
        };
        let with = |new_pipeline_spec, existing: Option<&str>| SyncedTableSpec {
            new_pipeline_spec: Some(new_pipeline_spec),
            existing_pipeline_id: existing.map(str::to_owned),
            ..spec()
        };
        assert!(check_spec(&with(new(Some("main"), Some("tmp")), None)).is_ok());
        assert!(check_spec(&with(new(None, None), None)).is_ok());
        let refusal = check_spec(&with(new(None, None), Some("x"))).unwrap_err();
        assert!(refusal.message().starts_with("spec.existing_pipeline_id"), "{refusal}");
        let refusal = check_spec(&with(new(Some("main"), None), None)).unwrap_err();
        assert!(refusal.message().contains("storage_schema"), "{refusal}");
    }

    #[test]
    fn types_are_chosen_within_their_limits() {
        let check = |choice| {
            type_choices(&SyncedTableSpec { type_overrides: Some(vec![choice]), ..spec() })
        };
        let vector = check(choice("PG_SPECIFIC_TYPE_VECTOR", Some(16_000))).unwrap();
        assert_eq!(vector[0].pg_type, PgType::Vector(16_000));
        for wrong in [
            choice("PG_SPECIFIC_TYPE_VECTOR", Some(16_001)),
            choice("PG_SPECIFIC_TYPE_VECTOR", None),
            choice("PG_SPECIFIC_TYPE_VARCHAR", Some(0)),
            choice("PG_SPECIFIC_TYPE_BIT", Some(8)),
        ] {
            let refusal = check(wrong).unwrap_err();
            assert_eq!(refusal.kind(), Kind::InvalidArgument);
            assert!(refusal.message().starts_with("spec.type_overrides"), "{refusal}");
        }
    }
}
