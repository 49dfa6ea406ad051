//! The part of an app that its client owns: validation and update masks. All pure.

use lakeport_api::app::{App, AppDatabase, AppFields, AppResource};
use lakeport_store::App as Row;

use crate::{Error, Result};

const PERMISSION: &str = "CAN_CONNECT_AND_CREATE";
const MAX_RESOURCES: usize = 20;
const MAX_KEY_CHARACTERS: usize = 30;
const MAX_TEXT_BYTES: usize = 1024;
/// Fields that an update may name. Bundles always name all of them.
const FIELDS: &[&str] = &[
    "budget_policy_id",
    "compute_max_instances",
    "compute_min_instances",
    "compute_size",
    "description",
    "forward_user_access_token",
    "git_repository",
    "resources",
    "telemetry_export_destinations",
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
        compute_max_instances: request.compute_max_instances,
        compute_min_instances: request.compute_min_instances,
        compute_size: request.compute_size.clone(),
        description: request.description.clone(),
        forward_user_access_token: request.forward_user_access_token,
        git_repository: request.git_repository.clone(),
        resources: request.resources.clone(),
        telemetry_export_destinations: request.telemetry_export_destinations.clone(),
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
    take!(
        budget_policy_id,
        compute_max_instances,
        compute_min_instances,
        compute_size,
        description
    );
    take!(forward_user_access_token, git_repository, resources, telemetry_export_destinations);
    take!(usage_policy_id, user_api_scopes);
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
    check_lacking(spec)?;
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

/// What an app can have elsewhere: a value that asks for no more than there is here is kept.
fn check_lacking(spec: &AppFields) -> Result<()> {
    let counts = [
        ("compute_min_instances", spec.compute_min_instances),
        ("compute_max_instances", spec.compute_max_instances),
    ];
    for (field, count) in counts {
        if let Some(count) = count.filter(|count| !(0..=1).contains(count)) {
            return Err(Error::unsupported(format!(
                "{field}: {count} is not supported; one process runs an app, so use 1 or leave it out"
            )));
        }
    }
    if spec.forward_user_access_token == Some(true) {
        return Err(Error::unsupported(
            "forward_user_access_token: this server is not between users and apps, so it has no tokens to \
             forward; use false or leave it out",
        ));
    }
    if spec.git_repository.is_some() {
        return Err(Error::unsupported(
            "git_repository: apps are deployed from a folder; use source_code_path of a deployment",
        ));
    }
    if spec.telemetry_export_destinations.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(Error::unsupported(
            "telemetry_export_destinations: telemetry of apps is not collected; leave it out",
        ));
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

    #[test]
    fn whatever_the_mask_only_what_somebody_has_set_is_there() {
        let all = json!({
            "budget_policy_id": "p", "compute_max_instances": 1, "compute_min_instances": 1,
            "compute_size": "LARGE", "description": "d", "forward_user_access_token": false,
            "resources": [database("x")], "telemetry_export_destinations": [],
            "usage_policy_id": "p", "user_api_scopes": ["sql"],
        });
        let body_of = |names: &[&str]| -> App {
            let given = names.iter().filter(|name| **name != "git_repository");
            let fields: serde_json::Map<_, _> =
                given.map(|name| ((*name).to_owned(), all[*name].clone())).collect();
            app(fields.into())
        };
        let every = 1usize << FIELDS.len();
        let chosen = |bits: usize| -> Vec<&str> {
            FIELDS
                .iter()
                .enumerate()
                .filter(|(at, _)| bits & (1 << at) != 0)
                .map(|(_, f)| *f)
                .collect()
        };
        for before_names in [chosen(0), chosen(every - 1)] {
            let before = from_request(&body_of(&before_names)).unwrap();
            // Each field with each of the others in the mask and in the body, without all combinations.
            for (named, bits) in (1..every).map(|n| (n, (n * 0x9e37) % every)) {
                let (mask, body_names) = (chosen(named), chosen(bits));
                let after = updated(&before, &body_of(&body_names), Some(&mask.join(","))).unwrap();
                let after = to_json(&after).unwrap();
                for name in FIELDS.iter().filter(|name| **name != "git_repository") {
                    let from = if mask.contains(name) { &body_names } else { &before_names };
                    let expected = from.contains(name).then(|| &all[*name]);
                    assert_eq!(after.get(name), expected, "{mask:?} {body_names:?}");
                }
            }
        }
    }

    #[test]
    fn what_asks_for_more_than_there_is_here_is_refused_by_name() {
        for (field, value) in [
            ("compute_max_instances", json!(2)),
            ("compute_min_instances", json!(-1)),
            ("forward_user_access_token", json!(true)),
            ("git_repository", json!({"url": "https://x", "provider": "gitHub"})),
            ("telemetry_export_destinations", json!([{"unity_catalog": {}}])),
        ] {
            let error = from_request(&app(json!({field: value}))).unwrap_err();
            assert!(error.message().starts_with(&format!("{field}: ")), "{error}");
        }
    }
}
