//! Columns of a database in the catalog's types. The database's own spelling stays in the metadata of `type_json`.

use lakeport_api::unity::ColumnInfo;
use serde_json::json;

use super::info::{digits, type_name};
use super::spark_type::field_json;

/// A column as PostgreSQL's catalog has it; `kind` is `format_type`'s spelling.
pub(super) struct DatabaseColumn {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) nullable: bool,
    pub(super) comment: Option<String>,
}

pub(super) fn column_info((position, column): (usize, &DatabaseColumn)) -> ColumnInfo {
    let text = catalog_type(&column.kind);
    let base = text.split(['(', '<']).next().unwrap_or_default();
    let (type_precision, type_scale) = digits(&text);
    let metadata = json!({"postgres_type": column.kind});
    ColumnInfo {
        name: column.name.clone(),
        comment: column.comment.clone(),
        nullable: Some(column.nullable),
        position: i64::try_from(position).ok(),
        type_name: Some(type_name(base)),
        type_json: Some(field_json(&column.name, &text, column.nullable, metadata)),
        type_text: Some(text),
        type_precision,
        type_scale,
        ..ColumnInfo::default()
    }
}

/// What has no counterpart is read as a string.
fn catalog_type(kind: &str) -> String {
    if let Some(element) = kind.strip_suffix("[]") {
        return format!("array<{}>", catalog_type(element));
    }
    if let Some(digits) = kind.strip_prefix("numeric(").and_then(|rest| rest.strip_suffix(')')) {
        return decimal(digits);
    }
    let text = match kind {
        "boolean" => "boolean",
        "smallint" => "smallint",
        "integer" => "int",
        "bigint" => "bigint",
        "real" => "float",
        "double precision" => "double",
        // Without digits PostgreSQL takes any; this is as far as the catalog's type goes.
        "numeric" => "decimal(38,18)",
        "date" => "date",
        "bytea" => "binary",
        "timestamp with time zone" => "timestamp",
        "timestamp without time zone" => "timestamp_ntz",
        _ if kind.starts_with("timestamp(") && kind.ends_with("without time zone") => {
            "timestamp_ntz"
        }
        _ if kind.starts_with("timestamp(") => "timestamp",
        _ => "string",
    };
    text.to_owned()
}

fn decimal(digits: &str) -> String {
    let parts = digits.split_once(',');
    let parsed = parts.and_then(|(p, s)| Some((p.parse::<u16>().ok()?, s.parse::<i16>().ok()?)));
    match parsed {
        Some((precision @ 1..=38, scale @ 0..)) => format!("decimal({precision},{scale})"),
        _ => String::from("string"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_postgresql_have_counterparts() {
        for (kind, text) in [
            ("bigint", "bigint"),
            ("numeric(10,2)", "decimal(10,2)"),
            ("numeric(100,2)", "string"),
            ("numeric(4,-2)", "string"),
            ("integer[]", "array<int>"),
            ("timestamp(3) without time zone", "timestamp_ntz"),
            ("timestamp(3) with time zone", "timestamp"),
            ("character varying(20)", "string"),
            ("jsonb", "string"),
        ] {
            assert_eq!(catalog_type(kind), text, "{kind}");
        }
        let column = DatabaseColumn {
            name: String::from("n"),
            kind: String::from("bigint"),
            nullable: false,
            comment: None,
        };
        let info = column_info((3, &column));
        assert_eq!((info.type_name.as_deref(), info.position), (Some("LONG"), Some(3)));
        assert!(info.type_json.unwrap().contains("\"postgres_type\":\"bigint\""));
    }
}
