//! SCIM PATCH: operations on single attributes of a principal.

use lakeport_api::scim::{Password, PatchOperation};
use lakeport_control::PrincipalDraft;
use serde_json::Value;

use super::error::ScimError;
use super::resource::member_id;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Add,
    Remove,
    Replace,
}

/// Applies all operations, or none: the draft is only kept if every one succeeds.
pub(super) fn apply(
    draft: &mut PrincipalDraft,
    operations: &[PatchOperation],
) -> Result<(), ScimError> {
    if operations.is_empty() {
        return Err(ScimError::bad("invalidSyntax", "Operations: give at least one"));
    }
    operations.iter().try_for_each(|operation| apply_one(draft, operation))
}

fn apply_one(draft: &mut PrincipalDraft, operation: &PatchOperation) -> Result<(), ScimError> {
    let op = match operation.op.to_ascii_lowercase().as_str() {
        "add" => Op::Add,
        "remove" => Op::Remove,
        "replace" => Op::Replace,
        other => {
            return Err(ScimError::bad(
                "invalidSyntax",
                format!("op: \"{other}\" is not one of: add, remove, replace"),
            ));
        }
    };
    let value = operation.value.as_ref().unwrap_or(&Value::Null);
    match operation.path.as_deref().filter(|path| !path.is_empty()) {
        Some(path) => attribute(draft, op, path, value),
        None if op == Op::Remove => Err(ScimError::bad("noTarget", "path: remove needs one")),
        None => {
            let fields = value.as_object().ok_or_else(|| {
                ScimError::bad("invalidValue", "value: without a path it must be an object")
            })?;
            fields.iter().try_for_each(|(name, value)| attribute(draft, op, name, value))
        }
    }
}

fn attribute(
    draft: &mut PrincipalDraft,
    op: Op,
    path: &str,
    value: &Value,
) -> Result<(), ScimError> {
    let (name, selected) = split(path)?;
    match (name.to_ascii_lowercase().as_str(), selected) {
        ("displayname", None) => draft.display_name = required(op, path, value)?,
        ("username", None) => draft.user_name = required(op, path, value)?,
        ("externalid", None) => {
            draft.external_id = if op == Op::Remove { None } else { Some(string(path, value)?) };
        }
        ("active", None) => draft.active = boolean(op, path, value)?,
        ("password", None) => draft.password = Some(Password(required(op, path, value)?)),
        ("members", selected) => {
            let ids = values(path, selected, value)?;
            let ids: Vec<i64> = ids.iter().map(|id| member_id(id)).collect::<Result<_, _>>()?;
            change(&mut draft.members, op, selected.is_some() || !value.is_null(), ids);
        }
        ("entitlements", selected) => {
            let named = values(path, selected, value)?;
            change(&mut draft.entitlements, op, selected.is_some() || !value.is_null(), named);
        }
        // Clients send these back from a body that they have read.
        ("id" | "schemas" | "groups" | "emails" | "meta", None) if op != Op::Remove => {}
        _ => {
            return Err(ScimError::bad(
                "invalidPath",
                format!(
                    "path: \"{path}\" cannot be changed; use displayName, active, externalId, \
                     password, entitlements or members"
                ),
            ));
        }
    }
    Ok(())
}

/// `members[value eq "7"]` is the attribute `members` and the value `7`.
fn split(path: &str) -> Result<(&str, Option<&str>), ScimError> {
    let bad = || {
        ScimError::bad(
            "invalidPath",
            format!("path: \"{path}\" is not like members[value eq \"ID\"]"),
        )
    };
    let Some((name, condition)) = path.split_once('[') else { return Ok((path, None)) };
    let condition = condition.strip_suffix(']').ok_or_else(bad)?;
    let mut words = condition.split_whitespace();
    let (attribute, operator) = (words.next(), words.next());
    let value = words.next().and_then(|v| v.strip_prefix('"')?.strip_suffix('"'));
    match (attribute, operator, value, words.next()) {
        (Some("value"), Some(operator), Some(value), None)
            if operator.eq_ignore_ascii_case("eq") =>
        {
            Ok((name, Some(value)))
        }
        _ => Err(bad()),
    }
}

/// What is added, removed or set; a selected value stands for itself, and an entry that says nothing is none.
fn values(path: &str, selected: Option<&str>, value: &Value) -> Result<Vec<String>, ScimError> {
    if let Some(selected) = selected {
        return Ok(vec![selected.to_owned()]);
    }
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    let text = |item: &Value| {
        let text = item.as_str().or_else(|| item.get("value")?.as_str());
        text.map(str::to_owned).ok_or_else(|| {
            ScimError::bad(
                "invalidValue",
                format!("{path}: its value must be a list of {{\"value\": \"…\"}}"),
            )
        })
    };
    let says_nothing = |item: &&Value| {
        let fields = item.as_object();
        fields.is_some_and(|fields| fields.values().all(|v| v.is_null() || v == "")) || *item == ""
    };
    items.iter().filter(|item| !says_nothing(item)).map(text).collect()
}

/// Removing without naming values removes all.
fn change<T: PartialEq>(list: &mut Vec<T>, op: Op, named: bool, values: Vec<T>) {
    match op {
        Op::Replace => *list = values,
        Op::Remove if !named => list.clear(),
        Op::Remove => list.retain(|item| !values.contains(item)),
        Op::Add => {
            for value in values {
                if !list.contains(&value) {
                    list.push(value);
                }
            }
        }
    }
}

fn required(op: Op, path: &str, value: &Value) -> Result<String, ScimError> {
    if op == Op::Remove {
        return Err(ScimError::bad("mutability", format!("{path}: it cannot be removed")));
    }
    string(path, value)
}

fn string(path: &str, value: &Value) -> Result<String, ScimError> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| ScimError::bad("invalidValue", format!("{path}: it must be a string")))
}

/// Some directories send booleans as text.
fn boolean(op: Op, path: &str, value: &Value) -> Result<bool, ScimError> {
    let text = value.as_str().map(str::to_ascii_lowercase);
    match (value.as_bool(), text.as_deref()) {
        _ if op == Op::Remove => {
            Err(ScimError::bad("mutability", format!("{path}: it cannot be removed")))
        }
        (Some(value), _) => Ok(value),
        (None, Some("true")) => Ok(true),
        (None, Some("false")) => Ok(false),
        _ => Err(ScimError::bad("invalidValue", format!("{path}: it must be true or false"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(operations: Value) -> Result<PrincipalDraft, ScimError> {
        let mut draft = PrincipalDraft {
            display_name: String::from("old"),
            active: true,
            members: vec![1, 2, 3],
            ..PrincipalDraft::default()
        };
        let operations: Vec<PatchOperation> = serde_json::from_value(operations).unwrap();
        apply(&mut draft, &operations).map(|()| draft)
    }

    #[test]
    fn members_come_and_go() {
        for (operation, expected) in [
            (json!({"op": "add", "path": "members", "value": [{"value": "4"}]}), vec![1, 2, 3, 4]),
            (json!({"op": "add", "value": {"members": [{"value": "3"}]}}), vec![1, 2, 3]),
            (json!({"op": "remove", "path": "members[value eq \"2\"]"}), vec![1, 3]),
            (json!({"op": "remove", "path": "members", "value": [{"value": "1"}]}), vec![2, 3]),
            (json!({"op": "remove", "path": "members"}), vec![]),
            (json!({"op": "Replace", "path": "members", "value": [{"value": "9"}]}), vec![9]),
            (
                json!({"op": "add", "path": "members", "value": [{}, {"value": "4"}]}),
                vec![1, 2, 3, 4],
            ),
            (json!({"op": "remove", "path": "members", "value": [{}]}), vec![1, 2, 3]),
        ] {
            let draft = patched(json!([operation])).unwrap_or_else(|e| panic!("{operation} {e:?}"));
            assert_eq!(draft.members, expected, "{operation}");
        }
    }

    #[test]
    fn attributes_without_a_path_are_in_the_value() {
        let draft = patched(json!([
            {"op": "replace", "value": {"displayName": "new", "active": "False"}}
        ]));
        let draft = draft.unwrap();
        assert_eq!((draft.display_name.as_str(), draft.active), ("new", false));
    }

    #[test]
    fn what_does_not_exist_or_fit_is_refused() {
        for operation in [
            json!({"op": "replace", "path": "shoeSize", "value": "44"}),
            json!({"op": "explode", "path": "active", "value": true}),
            json!({"op": "replace", "path": "active", "value": "maybe"}),
            json!({"op": "replace", "path": "displayName", "value": 1}),
            json!({"op": "remove", "path": "displayName"}),
            json!({"op": "remove"}),
            json!({"op": "remove", "path": "members[display eq \"x\"]"}),
            json!({"op": "remove", "path": "members[value eq \"x\""}),
            json!({"op": "add", "path": "members", "value": [{"value": "x"}]}),
            json!({"op": "add", "path": "members", "value": [{"display": "x"}]}),
        ] {
            assert!(patched(json!([operation])).is_err(), "{operation}");
        }
        assert!(patched(json!([])).is_err());
    }
}
