//! The body of a request: fields given by flag, and JSON given whole.
//!
//! Owns: merging them, and refusing a field that both give differently. Never: which fields there are;
//! what this program does not know is the server's to judge.

use std::fs;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::failure::Failure;

pub(crate) type Body = Map<String, Value>;

/// `json` is JSON text, or `@` and a file that holds it.
pub(crate) fn merge(flags: &impl Serialize, json: Option<&str>) -> Result<Body, Failure> {
    let flags = match serde_json::to_value(flags) {
        Ok(Value::Object(flags)) => flags,
        _ => Map::new(),
    };
    let mut body = json.map(read).transpose()?.unwrap_or_default();
    for (key, value) in flags {
        if value.is_null() {
            continue;
        }
        match body.get(&key) {
            Some(other) if *other != value => {
                return Err(Failure::usage(format!(
                    "`{key}` is {value} by argument and {other} in --json"
                ))
                .hint("give it once"));
            }
            _ => body.insert(key, value),
        };
    }
    Ok(body)
}

/// The text of a field that the request cannot do without.
pub(crate) fn required<'a>(body: &'a Body, field: &str) -> Result<&'a str, Failure> {
    match body.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(other) => Err(Failure::usage(format!("`{field}` must be a text, but is {other}"))),
        None => Err(Failure::usage(format!("`{field}` is missing"))
            .hint("give it as an argument or in --json")),
    }
}

fn read(json: &str) -> Result<Body, Failure> {
    let text = match json.strip_prefix('@') {
        Some(path) => {
            fs::read_to_string(path).map_err(Failure::while_doing(format!("read {path}")))?
        }
        None => json.to_owned(),
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("--json is not a JSON object: {error}"))
            .hint("quote it for the shell, or put it in a file and give @FILE")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arguments_and_json_complete_each_other() {
        let flags = json!({"name": "x", "capacity": null});
        let body = merge(&flags, Some(r#"{"capacity": "CU_2", "name": "x", "new": 1}"#)).unwrap();
        assert_eq!(Value::Object(body), json!({"name": "x", "capacity": "CU_2", "new": 1}));
    }

    #[test]
    fn json_can_be_in_a_file() {
        let path = std::env::temp_dir().join(format!("{}.json", uuid::Uuid::new_v4()));
        fs::write(&path, r#"{"name": "y"}"#).unwrap();
        let body = merge(&json!({}), Some(&format!("@{}", path.display()))).unwrap();
        fs::remove_file(&path).unwrap();
        assert_eq!(required(&body, "name").unwrap(), "y");
    }

    #[test]
    fn contradictions_and_nonsense_are_refused() {
        for json in [r#"{"name": "y"}"#, "[]", "{", "@"] {
            assert!(merge(&json!({"name": "x"}), Some(json)).is_err(), "{json}");
        }
        assert!(required(&Body::new(), "name").is_err());
    }
}
