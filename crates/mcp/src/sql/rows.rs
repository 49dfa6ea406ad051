//! Rows as an agent gets them: JSON where JSON has the type, text elsewhere, never more than was agreed.

use std::borrow::Cow;

use fallible_iterator::FallibleIterator;
use postgres_protocol::Oid;
use postgres_protocol::message::backend::{DataRowBody, RowDescriptionBody};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::error::SqlError;

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(skip)]
    pub(super) oid: Oid,
    #[serde(skip)]
    pub(super) modifier: i32,
}

/// A value of a row, for schemas: any JSON, but no string is longer than what values are cut to.
pub(crate) enum Cell {}

impl JsonSchema for Cell {
    fn schema_name() -> Cow<'static, str> {
        "Cell".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A value, or null", "maxLength": 20_000 })
    }
}

/// A part of a result.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) rows: Vec<Vec<Value>>,
    /// Whether there may be more rows.
    pub(crate) more: bool,
    /// Values that were cut, because they are long.
    pub(crate) cut: usize,
}

pub(super) fn columns(description: &RowDescriptionBody) -> Result<Vec<Column>, SqlError> {
    let fields = description.fields().map(|field| {
        Ok(Column {
            name: field.name().to_owned(),
            kind: String::new(),
            oid: field.type_oid(),
            modifier: field.type_modifier(),
        })
    });
    Ok(fields.collect()?)
}

/// A row, and the length of its text.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) values: Vec<Value>,
    pub(super) length: usize,
    pub(super) cut: usize,
}

/// `json` says which JSON is given on as such.
pub(super) fn row(
    body: &DataRowBody,
    columns: &[Column],
    longest_value: usize,
    json: fn(&str) -> Option<Value>,
) -> Result<Row, SqlError> {
    let mut row = Row { values: Vec::with_capacity(columns.len()), length: 0, cut: 0 };
    let mut ranges = body.ranges();
    let mut columns = columns.iter();
    while let Some(range) = ranges.next()? {
        let oid = columns.next().map_or(0, |column| column.oid);
        let Some(range) = range else {
            row.values.push(Value::Null);
            continue;
        };
        let bytes = &body.buffer()[range];
        let text = String::from_utf8_lossy(bytes);
        let (value, kept) = if text.len() > longest_value {
            row.cut += 1;
            (Value::from(cut(&text, longest_value)), longest_value)
        } else {
            (value(oid, &text, json), text.len())
        };
        row.length += kept;
        row.values.push(value);
    }
    Ok(row)
}

fn cut(text: &str, most: usize) -> String {
    let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… (cut; {} bytes in all)", &text[..end], text.len())
}

mod oid {
    pub(super) const BOOL: u32 = 16;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT2: u32 = 21;
    pub(super) const INT4: u32 = 23;
    pub(super) const OID: u32 = 26;
    pub(super) const JSON: u32 = 114;
    pub(super) const FLOAT4: u32 = 700;
    pub(super) const FLOAT8: u32 = 701;
    pub(super) const JSONB: u32 = 3802;
}

/// Whole numbers beyond this are not told apart by every reader of JSON.
pub(super) const LARGEST_EXACT: u64 = 1 << 53;

/// `numeric` stays text, because its digits are what it is for.
fn value(oid: Oid, text: &str, json: fn(&str) -> Option<Value>) -> Value {
    let parsed = match oid {
        oid::BOOL => Some(Value::Bool(text == "t")),
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID => {
            let number = text.parse::<i64>().ok();
            number.filter(|number| number.unsigned_abs() <= LARGEST_EXACT).map(Value::from)
        }
        oid::FLOAT4 | oid::FLOAT8 => {
            let number = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
            number.map(Value::Number)
        }
        oid::JSON | oid::JSONB => json(text),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_keep_their_meaning() {
        let value = |oid, text| value(oid, text, super::super::json::parse);
        assert_eq!(value(oid::BOOL, "t"), json!(true));
        assert_eq!(value(oid::INT8, "9007199254740992"), json!(9_007_199_254_740_992_i64));
        assert_eq!(value(oid::INT8, "9007199254740993"), json!("9007199254740993"));
        assert_eq!(value(oid::INT8, "-9223372036854775808"), json!("-9223372036854775808"));
        assert_eq!(value(oid::FLOAT8, "1e-05"), json!(1e-5));
        assert_eq!(value(oid::FLOAT8, "NaN"), json!("NaN"));
        assert_eq!(value(oid::JSONB, "{\"a\": [1]}"), json!({"a": [1]}));
        assert_eq!(value(oid::JSON, "{\"a\": 1.10}"), json!("{\"a\": 1.10}"));
        assert_eq!(value(1700, "1.10"), json!("1.10"));
    }

    #[test]
    fn a_cut_ends_between_characters() {
        assert_eq!(cut("aüb", 2), "a… (cut; 4 bytes in all)");
        assert_eq!(cut("aüb", 3), "aü… (cut; 4 bytes in all)");
    }
}
