//! Columns as Spark writes the fields of a schema in JSON.

use delta_kernel::schema::StructField;
use serde_json::Value;

/// As Delta's log has it, without what Delta alone reads, at any depth.
pub(super) fn field_json(field: &StructField) -> serde_json::Result<String> {
    let mut json = serde_json::to_value(field)?;
    drop_internal(&mut json);
    Ok(json.to_string())
}

/// Column mapping, identities, generated columns and changes of types are between Delta's readers and writers.
fn drop_internal(json: &mut Value) {
    match json {
        Value::Object(map) => {
            if let Some(Value::Object(metadata)) = map.get_mut("metadata") {
                metadata.retain(|key, _| !key.starts_with("delta."));
            }
            let nested = map.iter_mut().filter(|(name, _)| *name != "metadata");
            nested.for_each(|(_, value)| drop_internal(value));
        }
        Value::Array(items) => items.iter_mut().for_each(drop_internal),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The log holds a schema in Spark's own JSON, with keys of Delta's beside.
    #[test]
    fn fields_are_written_as_spark_writes_them() {
        let logged = serde_json::json!({
            "name": "c", "nullable": false,
            "metadata": {"comment": "x", "delta.columnMapping.id": 1, "n": 2.5},
            "type": {"type": "struct", "fields": [
                {"name": "a", "nullable": true, "metadata": {"delta.typeChanges": []}, "type": {
                    "type": "array", "elementType": "long", "containsNull": false}},
                {"name": "m", "nullable": true, "metadata": {}, "type": {"type": "map",
                    "keyType": "string", "valueType": "decimal(10,2)", "valueContainsNull": false}},
                {"name": "v", "nullable": true, "metadata": {}, "type": "variant"},
                {"name": "s", "nullable": true, "type": "string",
                 "metadata": {"__CHAR_VARCHAR_TYPE_STRING": "char(5)"}},
            ]},
        });
        let field: StructField = serde_json::from_value(logged.clone()).unwrap();
        let mut expected = logged;
        expected["metadata"] = serde_json::json!({"comment": "x", "n": 2.5});
        expected["type"]["fields"][0]["metadata"] = serde_json::json!({});
        let written: Value = serde_json::from_str(&field_json(&field).unwrap()).unwrap();
        assert_eq!(written, expected);
    }

    #[test]
    fn types_have_sparks_names() {
        for name in [
            "string",
            "long",
            "integer",
            "short",
            "byte",
            "float",
            "double",
            "boolean",
            "binary",
            "date",
            "timestamp",
            "timestamp_ntz",
            "decimal(38,18)",
            "variant",
        ] {
            let logged = serde_json::json!(
                {"name": "c", "type": name, "nullable": true, "metadata": {}}
            );
            let field: StructField = serde_json::from_value(logged.clone()).unwrap();
            let written: Value = serde_json::from_str(&field_json(&field).unwrap()).unwrap();
            assert_eq!(written, logged);
        }
    }
}
