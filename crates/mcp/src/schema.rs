//! JSON Schemas of arguments and results, as plain as every vendor's model takes them.
//!
//! Owns: the flat form (no references, no `null` beside a type). Never: a schema that says more than
//! the type it is made from.

use std::sync::Arc;

use rmcp::model::JsonObject;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

pub(crate) fn of<T: JsonSchema>() -> Arc<JsonObject> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let generator = settings.with_transform(RecursiveTransform(plain)).into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.remove("title");
    schema.remove("description");
    match schema.to_value() {
        Value::Object(object) => Arc::new(object),
        // A type that is written as an object has a schema that is one.
        _ => Arc::default(),
    }
}

/// Optional means that a field may be left out; a client that sends `null` is understood all the same.
/// Formats of Rust's integers mean nothing elsewhere.
fn plain(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert(String::from("type"), only);
        }
    }
    if let Some(Value::Array(values)) = object.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    flatten_nullable(object);
    if object.get("format").and_then(Value::as_str).is_some_and(|name| name.contains("int")) {
        object.remove("format");
    }
    if object.get("default").is_some_and(Value::is_null) {
        object.remove("default");
    }
}

/// `anyOf: [X, null]` becomes X.
fn flatten_nullable(object: &mut JsonObject) {
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return };
    choices.retain(|choice| choice.get("type").and_then(Value::as_str) != Some("null"));
    if let [Value::Object(only)] = choices.as_mut_slice() {
        let only = std::mem::take(only);
        object.remove("anyOf");
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code, reason = "only its schema is of interest")]
    enum Choice {
        One,
        Two,
    }

    #[derive(JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only its schema is of interest")]
    struct Arguments {
        /// Which
        choice: Choice,
        other: Option<Choice>,
        count: Option<u32>,
        names: Option<Vec<String>>,
    }

    #[test]
    fn schemas_are_flat_and_without_null() {
        let schema = Value::Object((*of::<Arguments>()).clone());
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["required"], json!(["choice"]));
        let properties = &schema["properties"];
        assert_eq!(properties["choice"]["enum"], json!(["one", "two"]));
        assert_eq!(properties["choice"]["description"], "Which");
        assert_eq!(properties["other"]["enum"], json!(["one", "two"]));
        assert_eq!(properties["count"]["type"], "integer");
        assert_eq!(properties["names"]["type"], "array");
        let text = schema.to_string();
        assert!(
            !text.contains("$ref") && !text.contains("null") && !text.contains("uint32"),
            "{text}"
        );
    }
}
