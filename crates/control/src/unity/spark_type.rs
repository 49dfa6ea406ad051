//! Types in SQL spelling, as Spark's JSON of schemas has them: `bigint` is `"long"`, and what is nested is an
//! object.

use lakeport_api::unity::ColumnInfo;
use serde_json::{Value, json};

/// A column as Spark writes a field of a schema.
pub(super) fn field_json(name: &str, kind: &str, nullable: bool, metadata: Value) -> String {
    json!({"name": name, "type": spark_type(kind), "nullable": nullable, "metadata": metadata})
        .to_string()
}

/// A column whose `type_json` an earlier version wrote in SQL spelling. Whether nested values may be null was
/// not written, so they may.
pub(super) fn healed(mut column: ColumnInfo) -> ColumnInfo {
    let field = column.type_json.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let Some(Value::Object(mut field)) = field else { return column };
    let Some(kind) = field.get("type").and_then(Value::as_str) else { return column };
    let spark = spark_type(kind);
    if spark != *kind {
        field.insert(String::from("type"), spark);
        column.type_json = Some(Value::Object(field).to_string());
    }
    column
}

/// Text that is no type stays as it is.
fn spark_type(sql: &str) -> Value {
    let mut rest = sql;
    match parse(&mut rest) {
        Some(found) if rest.is_empty() => found,
        _ => Value::from(sql),
    }
}

/// The type that the text begins with; what follows it is left.
fn parse(rest: &mut &str) -> Option<Value> {
    let end = rest.find(['<', '>', ',']).unwrap_or(rest.len());
    match rest.split_at(end) {
        ("array", inner) => {
            *rest = inner.strip_prefix('<')?;
            let element = parse(rest)?;
            eat(rest, '>')?;
            Some(json!({"type": "array", "elementType": element, "containsNull": true}))
        }
        ("map", inner) => {
            *rest = inner.strip_prefix('<')?;
            let key = parse(rest)?;
            eat(rest, ',')?;
            let value = parse(rest)?;
            eat(rest, '>')?;
            Some(json!({
                "type": "map", "keyType": key, "valueType": value, "valueContainsNull": true,
            }))
        }
        ("struct", inner) => {
            *rest = inner.strip_prefix('<')?;
            fields(rest)
        }
        _ => primitive(rest),
    }
}

/// `a:int,b:string>`. A name reaches as far as the first colon.
fn fields(rest: &mut &str) -> Option<Value> {
    let mut fields = Vec::new();
    while eat(rest, '>').is_none() {
        if !fields.is_empty() {
            eat(rest, ',')?;
        }
        let (name, after) = rest.split_once(':')?;
        *rest = after;
        let kind = parse(rest)?;
        fields.push(json!({"name": name, "type": kind, "nullable": true, "metadata": {}}));
    }
    Some(json!({"type": "struct", "fields": fields}))
}

fn primitive(rest: &mut &str) -> Option<Value> {
    let word = rest.find(['<', '>', ',', '(']).unwrap_or(rest.len());
    let end = match rest[word..].starts_with('(') {
        true => word + rest[word..].find(')')? + 1,
        false => word,
    };
    let (text, after) = rest.split_at(end);
    *rest = after;
    let name = match text {
        "tinyint" => "byte",
        "smallint" => "short",
        "int" => "integer",
        "bigint" => "long",
        "real" => "float",
        "" => return None,
        other => other,
    };
    Some(Value::from(name))
}

fn eat(rest: &mut &str, expected: char) -> Option<()> {
    *rest = rest.strip_prefix(expected)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_spelled_as_spark_spells_them() {
        for (sql, spark) in [
            ("bigint", json!("long")),
            ("int", json!("integer")),
            ("smallint", json!("short")),
            ("tinyint", json!("byte")),
            ("string", json!("string")),
            ("timestamp_ntz", json!("timestamp_ntz")),
            ("decimal(10,2)", json!("decimal(10,2)")),
            ("varchar(5)", json!("varchar(5)")),
            ("variant", json!("variant")),
            ("interval day to second", json!("interval day to second")),
            (
                "array<decimal(10,2)>",
                json!({"type": "array", "elementType": "decimal(10,2)", "containsNull": true}),
            ),
            (
                "map<string,array<bigint>>",
                json!({"type": "map", "keyType": "string", "valueContainsNull": true, "valueType":
                    {"type": "array", "elementType": "long", "containsNull": true}}),
            ),
            (
                "struct<a b:int,c:struct<>>",
                json!({"type": "struct", "fields": [
                    {"name": "a b", "type": "integer", "nullable": true, "metadata": {}},
                    {"name": "c", "type": {"type": "struct", "fields": []}, "nullable": true,
                     "metadata": {}}]}),
            ),
        ] {
            assert_eq!(spark_type(sql), spark, "{sql}");
        }
    }

    #[test]
    fn what_is_no_type_stays() {
        for text in ["array<int", "map<string>", "struct<a>", "array<int>>", "decimal(1", ""] {
            assert_eq!(spark_type(text), json!(text), "{text}");
        }
    }

    #[test]
    fn what_an_earlier_version_wrote_is_healed_once() {
        let written = r#"{"metadata":{"k":1},"name":"n","nullable":false,"type":"array<bigint>"}"#;
        let old = ColumnInfo { type_json: Some(written.to_owned()), ..ColumnInfo::default() };
        let new = healed(old);
        let field: Value = serde_json::from_str(new.type_json.as_deref().unwrap()).unwrap();
        assert_eq!(field["type"]["elementType"], "long");
        assert_eq!((&field["nullable"], &field["metadata"]["k"]), (&json!(false), &json!(1)));
        assert_eq!(healed(new.clone()).type_json, new.type_json);
    }
}
