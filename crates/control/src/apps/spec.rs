//! The part of an app that its client owns: validation and update masks. All pure.

use lakeport_api::app::{App, AppDatabase, AppFields, AppResource};
use lakeport_store::App as Row;

use crate::{Error, Result};

const PERMISSION: &str = "CAN_CONNECT_AND_CREATE";
const MAX_RESOURCES: usize = 20;
const MAX_KEY_CHARACTERS: usize = 30;
const MAX_TEXT_BYTES: usize = 1024;
const FIELDS: &[&str] = &[
    "budget_policy_id",
    "compute_size",
    "description",
    "resources",
    "usage_policy_id",
    "user_api_scopes",
];
const COMPUTE_SIZES: &[&str] = &["MEDIUM", "LARGE", "XLARGE"];

pub(super) fn of(app: &Row) -> Result<AppFields> {
    serde_json::from_value(app.spec.clone())
        .map_err(|error| Error::internal("reading an app's spec", error))
}

pub(super) fn to_json(spec: &AppFields) -> Result<serde_json::Value> {
    serde_json::to_value(spec).map_err(|error| Error::internal("writing an app's spec", error))
}

pub(super) fn from_request(request: &App) -> Result<AppFields> {
    let spec = AppFields {
        budget_policy_id: request.budget_policy_id.clone(),
        compute_size: request.compute_size.clone(),
        description: request.description.clone(),
        resources: request.resources.clone(),
        usage_policy_id: request.usage_policy_id.clone(),
        user_api_scopes: request.user_api_scopes.clone(),
    };
    check(&spec)?;
    Ok(spec)
}

/// What an update makes of a spec; see [`crate::Control::update_app`].
pub(super) fn updated(before: &AppFields, request: &App, mask: Option<&str>) -> Result<AppFields> {
    let named = named_fields(mask)?;
    let new = from_request(request)?;
    let takes = |field: &str, present: bool| match &named {
        Some(fields) => fields.contains(&field),
        None => present,
    };
    let mut after = before.clone();
    macro_rules! take {
        ($($field:ident),*) => {$(
            if takes(stringify!($field), new.$field.is_some()) {
                after.$field = new.$field.clone();
            }
        )*};
    }
    take!(budget_policy_id, compute_size, description, resources, usage_policy_id, user_api_scopes);
    Ok(after)
}

/// None for no mask and for `*`: what the body holds.
fn named_fields(mask: Option<&str>) -> Result<Option<Vec<&str>>> {
    let Some(mask) = mask.filter(|mask| !mask.is_empty() && *mask != "*") else { return Ok(None) };
    let fields: Vec<_> = mask.split(',').map(str::trim).collect();
    match fields.iter().find(|field| !FIELDS.contains(field)) {
        Some(unknown) => Err(Error::invalid(
            "update_mask",
            format!("\"{unknown}\" cannot be updated; use some of: {}", FIELDS.join(", ")),
        )),
        None => Ok(Some(fields)),
    }
}

/// The databases among the resources, and their positions.
pub(super) fn databases(spec: &AppFields) -> impl Iterator<Item = (usize, &AppDatabase)> {
    let resources = spec.resources.iter().flatten().enumerate();
    resources.filter_map(|(at, resource)| Some((at, resource.database.as_ref()?)))
}

fn check(spec: &AppFields) -> Result<()> {
    let texts = [
        ("description", &spec.description),
        ("budget_policy_id", &spec.budget_policy_id),
        ("usage_policy_id", &spec.usage_policy_id),
    ];
    for (field, text) in texts {
        if text.as_ref().is_some_and(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(Error::invalid(field, "it is longer than 1024 bytes"));
        }
    }
    if let Some(size) = &spec.compute_size
        && !COMPUTE_SIZES.contains(&size.as_str())
    {
        return Err(Error::invalid(
            "compute_size",
            format!("\"{size}\" is not one of {}", COMPUTE_SIZES.join(", ")),
        ));
    }
    let resources = spec.resources.as_deref().unwrap_or_default();
    if resources.len() > MAX_RESOURCES {
        return Err(Error::invalid("resources", "an app has at most 20"));
    }
    for (at, resource) in resources.iter().enumerate() {
        check_resource(&format!("resources[{at}]"), resource)?;
        if resources[..at].iter().any(|other| other.name == resource.name) {
            return Err(Error::invalid(
                &format!("resources[{at}].name"),
                format!("\"{}\" is the name of another resource too", resource.name),
            ));
        }
    }
    Ok(())
}

fn check_resource(place: &str, resource: &AppResource) -> Result<()> {
    let key = &resource.name;
    let plain = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if key.is_empty() || key.len() > MAX_KEY_CHARACTERS || !plain {
        return Err(Error::invalid(
            &format!("{place}.name"),
            format!("\"{key}\" must have 1 to 30 letters, digits, hyphens or underscores"),
        ));
    }
    if let Some((kind, _)) = resource.other.iter().find(|(_, value)| !value.is_null()) {
        return Err(Error::unsupported(format!(
            "{place}.{kind}: this server has resources of the kind \"database\" only"
        )));
    }
    let Some(database) = &resource.database else {
        return Err(Error::invalid(place, "it names nothing; give it a \"database\""));
    };
    for (field, value) in [
        ("instance_name", &database.instance_name),
        ("database_name", &database.database_name),
        ("permission", &database.permission),
    ] {
        if value.is_empty() {
            return Err(Error::invalid(&format!("{place}.database.{field}"), "it is missing"));
        }
    }
    if database.permission != PERMISSION {
        return Err(Error::invalid(
            &format!("{place}.database.permission"),
            format!("\"{}\" is unknown; the only one is {PERMISSION}", database.permission),
        ));
    }
    crate::target::check_place(&database.database_name, "public")
        .map_err(|error| Error::invalid(&format!("{place}.database.database_name"), error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn app(json: serde_json::Value) -> App {
        serde_json::from_value(json).unwrap()
    }

    fn database(name: &str) -> serde_json::Value {
        json!({"name": name, "database": {
            "instance_name": "i", "database_name": "d", "permission": PERMISSION}})
    }

    #[test]
    fn what_is_wrong_is_named() {
        let problem = |resource: serde_json::Value| {
            from_request(&app(json!({"resources": [database("ok"), resource]})))
                .unwrap_err()
                .message()
                .to_owned()
        };
        let mut wrong = database("x");
        wrong["database"]["permission"] = "CAN_READ".into();
        assert!(problem(wrong).starts_with("resources[1].database.permission: "));
        let mut missing = database("x");
        missing["database"]["instance_name"] = "".into();
        assert!(problem(missing).starts_with("resources[1].database.instance_name: "));
        let mut system = database("x");
        system["database"]["database_name"] = "lakeport".into();
        assert!(problem(system).starts_with("resources[1].database.database_name: "));
        assert!(problem(database("ok")).starts_with("resources[1].name: "));
        assert!(problem(database("a b")).starts_with("resources[1].name: "));
        assert!(problem(json!({"name": "x"})).starts_with("resources[1]: "));
        let job = json!({"name": "x", "job": {"id": "1"}});
        assert!(problem(job).starts_with("resources[1].job: "));
    }

    #[test]
    fn a_mask_says_what_is_set_and_what_is_cleared() {
        let before =
            from_request(&app(json!({"description": "a", "resources": [database("x")]}))).unwrap();
        let only_text = app(json!({"description": "b"}));
        let kept = updated(&before, &only_text, None).unwrap();
        assert_eq!((kept.description.as_deref(), &kept.resources), (Some("b"), &before.resources));
        let cleared = updated(&before, &only_text, Some("resources")).unwrap();
        assert_eq!((cleared.description.as_deref(), cleared.resources), (Some("a"), None));
        assert!(updated(&before, &only_text, Some("name")).is_err());
    }
}
