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
        let Some([catalog, schema, table]) = split_name(text) else {
            return Err(NameError::NotThreeParts(text.to_owned()));
        };
        check_part("catalog", &catalog)?;
        check_part("schema", &schema)?;
        check_part("table", &table)?;
        Ok(Self { catalog, schema, table })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.catalog, self.schema, self.table)
    }
}

/// The parts of a dotted name. A part that holds dots stands in backticks, as in SQL; a backtick in it is
/// written twice. None if the parts are not as many as expected.
#[must_use]
pub fn split_name<const N: usize>(text: &str) -> Option<[String; N]> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = first_part(rest)?;
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return parts.try_into().ok(),
            None => return None,
        }
    }
}

/// The first part, and what follows it.
fn first_part(text: &str) -> Option<(String, &str)> {
    let Some(mut quoted) = text.strip_prefix('`') else {
        let end = text.find('.').unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut part = String::new();
    loop {
        let end = quoted.find('`')?;
        part.push_str(&quoted[..end]);
        quoted = &quoted[end + 1..];
        match quoted.strip_prefix('`') {
            Some(next) => {
                part.push('`');
                quoted = next;
            }
            None => return (!part.is_empty()).then_some((part, quoted)),
        }
    }
}

/// Parts as one dotted name that [`split_name`] reads.
#[must_use]
pub fn join_name(parts: &[&str]) -> String {
    let written = parts.iter().map(|part| {
        if part.contains(['.', '`']) {
            format!("`{}`", part.replace('`', "``"))
        } else {
            (*part).to_owned()
        }
    });
    written.collect::<Vec<_>>().join(".")
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

    #[test]
    fn names_with_dots_stand_in_backticks() {
        for parts in [["a", "b", "c"], ["a", "b.c", "d"], ["a", "`", "..``"], ["a", "B c", "ü\""]]
        {
            let joined = join_name(&parts);
            assert_eq!(split_name(&joined).unwrap(), parts, "{joined}");
        }
        assert_eq!(join_name(&["a", "b.c"]), "a.`b.c`");
        for bad in ["a.`b", "a.`b`c", "``.a", "a.``", "a.b.c"] {
            assert!(split_name::<2>(bad).is_none(), "{bad}");
        }
    }
}
