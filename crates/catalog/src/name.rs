//! Names of Unity Catalog: catalog, schema and table, each of one part.

use std::fmt;
use std::str::FromStr;

/// Unity Catalog's limit on each part.
const MAX_CHARACTERS: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("\"{0}\" is not a three-part name: write it as catalog.schema.table")]
    NotThreeParts(String),
    #[error("{what} \"{name}\": {problem}")]
    Part { what: &'static str, name: String, problem: &'static str },
}

/// `catalog.schema.table`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TableName {
    pub catalog: String,
    pub schema: String,
    pub table: String,
}

impl FromStr for TableName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let parts: Vec<_> = text.split('.').collect();
        let [catalog, schema, table] = parts.as_slice() else {
            return Err(NameError::NotThreeParts(text.to_owned()));
        };
        check_part("catalog", catalog)?;
        check_part("schema", schema)?;
        check_part("table", table)?;
        Ok(Self {
            catalog: (*catalog).to_owned(),
            schema: (*schema).to_owned(),
            table: (*table).to_owned(),
        })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.schema, self.table)
    }
}

/// One part of a name: what Unity Catalog refuses is refused, and what would break a path.
pub fn check_part(what: &'static str, name: &str) -> Result<(), NameError> {
    let problem = if name.is_empty() {
        "the name is empty"
    } else if name.chars().count() > MAX_CHARACTERS {
        "the name is longer than 255 characters"
    } else if name.chars().any(|c| c.is_control() || ". /".contains(c)) {
        "the name may not hold a dot, a space, a slash or a control character"
    } else {
        return Ok(());
    };
    Err(NameError::Part { what, name: name.to_owned(), problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_parts_and_no_more() {
        let name: TableName = "main.sales.orders".parse().unwrap();
        assert_eq!((name.catalog.as_str(), name.table.as_str()), ("main", "orders"));
        assert_eq!(name.to_string(), "main.sales.orders");
        for bad in ["", "a", "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", "a.b.c d", "a.b.c/d"] {
            assert!(bad.parse::<TableName>().is_err(), "{bad}");
        }
        assert!(format!("a.b.{}", "x".repeat(256)).parse::<TableName>().is_err());
    }
}
