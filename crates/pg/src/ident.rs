//! Identifiers and literals for statements that take no parameters. The one way from outside text into
//! SQL text.

use std::fmt;

/// PostgreSQL cuts longer names silently (`NAMEDATALEN - 1`), so they are refused here.
const MAX_BYTES: usize = 63;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentError {
    #[error("the name is empty")]
    Empty,
    #[error("the name contains a NUL character")]
    Nul,
    #[error("the name \"{0}\" is longer than 63 bytes, PostgreSQL's limit")]
    TooLong(String),
}

/// An identifier that is safe to write into SQL; displays with its quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QuotedIdent(String);

impl QuotedIdent {
    pub fn new(name: &str) -> Result<Self, IdentError> {
        if name.is_empty() {
            return Err(IdentError::Empty);
        }
        if name.contains('\0') {
            return Err(IdentError::Nul);
        }
        if name.len() > MAX_BYTES {
            return Err(IdentError::TooLong(name.to_owned()));
        }
        Ok(Self(format!("\"{}\"", name.replace('"', "\"\""))))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QuotedIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `"schema"."name"`, so that no `search_path` decides what is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QualifiedName {
    pub schema: QuotedIdent,
    pub name: QuotedIdent,
}

impl QualifiedName {
    pub fn new(schema: &str, name: &str) -> Result<Self, IdentError> {
        Ok(Self { schema: QuotedIdent::new(schema)?, name: QuotedIdent::new(name)? })
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// A string literal, right under either setting of `standard_conforming_strings`.
#[must_use]
pub fn quote_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_limits_kept() {
        assert_eq!(QuotedIdent::new("a\"b").unwrap().as_str(), "\"a\"\"b\"");
        assert_eq!(QuotedIdent::new(""), Err(IdentError::Empty));
        assert_eq!(QuotedIdent::new("a\0"), Err(IdentError::Nul));
        assert!(QuotedIdent::new(&"x".repeat(63)).is_ok());
        assert!(QuotedIdent::new(&"é".repeat(32)).is_err());
        assert_eq!(QualifiedName::new("s", "T").unwrap().to_string(), "\"s\".\"T\"");
    }

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(quote_literal("it's"), "'it''s'");
        assert_eq!(quote_literal(r"a\'"), r"E'a\\'''");
    }
}
