//! Fields of catalogs, schemas, tables and columns that the API has and that nothing here acts on. Null says
//! nothing. A value is kept if it asks for no more than there is here, and refused with the reason otherwise.

use lakeport_api::unity::{CatalogInfo, SchemaInfo, TableInfo, UpdateObject};
use lakeport_catalog::Location;
use serde_json::{Map, Value};

use crate::{Error, Result};

pub(super) const STORAGE_ROOT: &str = "storage_root";
pub(super) const OPTIMIZATION: &str = "enable_predictive_optimization";
/// This server is one workspace, so each catalog is open to all of them.
pub(super) const OPEN: &str = "OPEN";

/// What answers hold and requests may repeat.
const ANSWERED: &[&str] = &[
    "access_point",
    "browse_only",
    "data_access_configuration_id",
    "deleted_at",
    "delta_runtime_properties_kvpairs",
    "effective_predictive_optimization_flag",
    "encryption_details",
    "metastore_id",
    "securable_kind_manifest",
    "storage_location",
];

/// Fields of the API, each with the reason why no value is taken.
const LACKING: &[(&str, &str)] = &[
    ("connection_name", "catalogs of other systems are mounted in the server's configuration"),
    ("custom_max_retention_hours", "this server removes no files of tables"),
    ("managed_encryption_settings", "files are encrypted by the store that they lie in"),
    ("mask", "columns cannot be masked; grant SELECT on a view in a database instead"),
    ("provider_name", "catalogs cannot be made of shares"),
    ("row_filter", "rows cannot be filtered; grant SELECT on a view in a database instead"),
    ("share_name", "catalogs cannot be made of shares"),
    ("sql_path", "only tables of Delta Lake can be registered"),
    ("storage_credential_name", "credentials of stores are in the server's configuration"),
    ("storage_root", "it is set when a catalog or a schema is made"),
];

pub(super) fn of_new_catalog(request: &CatalogInfo) -> Result<Value> {
    check_other("", &request.other)?;
    check_isolation(request.isolation_mode.as_deref())?;
    if request.options.as_ref().is_some_and(|options| !options.is_empty()) {
        return Err(Error::unsupported(
            "options: only catalogs of other systems have them; leave it out",
        ));
    }
    kept(request.storage_root.as_deref(), request.enable_predictive_optimization.as_deref())
}

pub(super) fn of_new_schema(request: &SchemaInfo) -> Result<Value> {
    check_other("", &request.other)?;
    kept(request.storage_root.as_deref(), request.enable_predictive_optimization.as_deref())
}

pub(super) fn check_new_table(request: &TableInfo) -> Result<()> {
    let other = request.other.iter().filter(|(name, _)| *name != OPTIMIZATION);
    check_other("", other)?;
    let optimization = request.other.get(OPTIMIZATION).filter(|value| !value.is_null());
    check_optimization(optimization.map(|value| value.as_str().unwrap_or_default()))?;
    for (at, column) in request.columns.iter().flatten().enumerate() {
        check_other(&format!("columns[{at}]."), &column.other)?;
    }
    Ok(())
}

/// What a PATCH of a catalog or a schema sets; none if it sets nothing of these.
pub(super) fn of_update(request: &UpdateObject) -> Result<Option<Value>> {
    let other = request.other.iter().filter(|(name, _)| *name != "options");
    check_other("", other)?;
    check_isolation(request.isolation_mode.as_deref())?;
    let options = request.other.get("options").filter(|options| !options.is_null());
    if options.is_some_and(|options| options.as_object().is_none_or(|map| !map.is_empty())) {
        return Err(Error::unsupported(
            "options: only catalogs of other systems have them; leave it out",
        ));
    }
    let set = kept(None, request.enable_predictive_optimization.as_deref())?;
    Ok(request.enable_predictive_optimization.is_some().then_some(set))
}

fn kept(storage_root: Option<&str>, optimization: Option<&str>) -> Result<Value> {
    if let Some(root) = storage_root {
        Location::parse(root).map_err(|error| {
            let problem = error.to_string();
            Error::invalid(STORAGE_ROOT, problem.replace("storage_location", "the location"))
        })?;
    }
    check_optimization(optimization)?;
    let fields = [(STORAGE_ROOT, storage_root), (OPTIMIZATION, optimization)];
    let given =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into())));
    Ok(Value::Object(given.collect::<Map<_, _>>()))
}

fn check_isolation(mode: Option<&str>) -> Result<()> {
    match mode {
        None | Some(OPEN) => Ok(()),
        Some("ISOLATED") => Err(Error::unsupported(
            "isolation_mode: ISOLATED binds a catalog to some of many workspaces, and this server is one; \
             use OPEN",
        )),
        Some(other) => Err(Error::invalid(
            "isolation_mode",
            format!("\"{other}\" is not one of OPEN, ISOLATED"),
        )),
    }
}

fn check_optimization(flag: Option<&str>) -> Result<()> {
    match flag {
        None | Some("DISABLE" | "INHERIT") => Ok(()),
        Some("ENABLE") => Err(Error::unsupported(
            "enable_predictive_optimization: nothing here optimizes tables; use DISABLE or INHERIT",
        )),
        Some(other) => Err(Error::invalid(
            OPTIMIZATION,
            format!("\"{other}\" is not one of DISABLE, ENABLE, INHERIT"),
        )),
    }
}

fn check_other<'a>(
    place: &str,
    other: impl IntoIterator<Item = (&'a String, &'a Value)>,
) -> Result<()> {
    for (name, value) in other {
        let lacking = LACKING.iter().find(|(field, _)| field == name);
        match lacking {
            _ if ANSWERED.contains(&name.as_str()) => {}
            Some(_) if value.is_null() => {}
            Some((_, reason)) => {
                return Err(Error::unsupported(format!("{place}{name}: {reason}; leave it out")));
            }
            None => {
                let problem = "there is no such field; check its spelling";
                return Err(Error::invalid(&format!("{place}{name}"), problem));
            }
        }
    }
    Ok(())
}

/// A field of what is kept.
pub(super) fn text(settings: &Value, field: &str) -> Option<String> {
    settings.get(field).and_then(Value::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Kind;

    fn catalog(body: Value) -> Result<Value> {
        of_new_catalog(&serde_json::from_value(body).unwrap())
    }

    fn table(body: Value) -> Result<()> {
        check_new_table(&serde_json::from_value(body).unwrap())
    }

    #[test]
    fn null_is_accepted_for_each_field() {
        let names = LACKING.iter().map(|(name, _)| *name).chain(ANSWERED.iter().copied());
        let names = names.chain([STORAGE_ROOT, OPTIMIZATION, "isolation_mode", "options"]);
        let nulls: Map<_, _> = names.map(|name| (name.to_owned(), Value::Null)).collect();
        assert_eq!(catalog(nulls.clone().into()).unwrap(), json!({}));
        let update: UpdateObject = serde_json::from_value(nulls.into()).unwrap();
        assert_eq!(of_update(&update).unwrap(), None);
        table(json!({"row_filter": null, "columns": [{"name": "a", "mask": null}]})).unwrap();
    }

    #[test]
    fn what_asks_for_no_more_than_there_is_is_kept() {
        let asked = json!({"storage_root": "s3://lake/x", "isolation_mode": "OPEN",
            "enable_predictive_optimization": "INHERIT", "options": {}});
        let kept = catalog(asked).unwrap();
        assert_eq!(text(&kept, STORAGE_ROOT).as_deref(), Some("s3://lake/x"));
        assert_eq!(text(&kept, OPTIMIZATION).as_deref(), Some("INHERIT"));
    }

    #[test]
    fn what_is_not_there_is_refused_by_name_and_with_a_reason() {
        for (field, value, kind) in [
            ("storage_root", json!("x/y"), Kind::InvalidArgument),
            ("isolation_mode", json!("ISOLATED"), Kind::NotImplemented),
            ("isolation_mode", json!("open"), Kind::InvalidArgument),
            ("enable_predictive_optimization", json!("ENABLE"), Kind::NotImplemented),
            ("enable_predictive_optimization", json!("ON"), Kind::InvalidArgument),
            ("options", json!({"a": "b"}), Kind::NotImplemented),
            ("share_name", json!("s"), Kind::NotImplemented),
            ("custom_max_retention_hours", json!(24), Kind::NotImplemented),
            ("colour", json!("red"), Kind::InvalidArgument),
            ("colour", Value::Null, Kind::InvalidArgument),
        ] {
            let error = catalog(json!({field: value})).unwrap_err();
            assert!(error.message().starts_with(&format!("{field}: ")), "{error}");
            assert_eq!(error.kind(), kind, "{error}");
        }
        let mask =
            json!({"columns": [{"name": "a"}, {"name": "b", "mask": {"function_name": "f"}}]});
        assert!(table(mask).unwrap_err().message().starts_with("columns[1].mask: "));
        assert!(table(json!({"row_filter": {}})).is_err());
    }
}
