//! One column of the target: its name, its type and what they become in SQL text.
//!
//! Owns: refusing a column that PostgreSQL cannot hold, and names that fit. Runs nothing.

use aws_lc_rs::digest::{SHA256, digest};
use lakeport_pg::QuotedIdent;

use crate::error::Error;
use crate::job::TypeChoice;
use crate::source::{Column, ColumnType};

/// PostgreSQL's limit on the bytes of a name.
const NAME_BYTES: usize = 63;

/// Columns that every table of PostgreSQL has.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

pub(crate) struct LayoutColumn {
    /// In the source.
    pub(crate) name: String,
    /// In the source's files, which may call it otherwise.
    pub(crate) physical_name: String,
    /// In the table.
    pub(crate) table_name: String,
    pub(crate) ident: QuotedIdent,
    pub(crate) column_type: ColumnType,
    pub(crate) not_null: bool,
    pub(super) comment: Option<String>,
}

impl LayoutColumn {
    pub(super) fn of(
        column: &Column,
        column_type: ColumnType,
        choices: &[TypeChoice],
    ) -> Result<Self, Error> {
        let name = &column.name;
        let table_name = fitting(name);
        let problem = |problem: &dyn std::fmt::Display| {
            Error::config(format!(
                "the source's column \"{name}\" cannot be a PostgreSQL column: {problem}; rename \
                 it there"
            ))
        };
        if SYSTEM_COLUMNS.contains(&name.as_str()) {
            return Err(problem(&"every table has a system column of that name"));
        }
        let ident = QuotedIdent::new(&table_name).map_err(|error| problem(&error))?;
        let choice = choices.iter().find(|choice| choice.column == *name);
        let column_type = match choice {
            None => column_type,
            Some(choice) => {
                let kind = &column.delta_type;
                column_type.chosen(kind, choice.pg_type).ok_or_else(|| {
                    Error::config(format!(
                        "the column \"{name}\" has the type {kind}; a varchar needs a string, a \
                         vector an array of float or double"
                    ))
                })?
            }
        };
        Ok(Self {
            name: name.clone(),
            physical_name: name.clone(),
            table_name,
            ident,
            column_type,
            not_null: !column.nullable,
            comment: column.comment.clone(),
        })
    }

    /// What is compared to find out whether a value has changed: our sessions do not see the operators
    /// of extensions, and to jsonb 1.5 and 1.50 are equal.
    fn compared(&self, prefix: &str) -> String {
        let cast = match self.column_type {
            ColumnType::Vector(_) | ColumnType::HalfVector(_) => "::real[]",
            ColumnType::Json => "::text",
            _ => "",
        };
        format!("{prefix}{}{cast}", self.ident)
    }
}

pub(crate) fn list<'a>(columns: impl Iterator<Item = &'a LayoutColumn>, prefix: &str) -> String {
    let names = columns.map(|column| format!("{prefix}{}", column.ident));
    names.collect::<Vec<_>>().join(", ")
}

pub(crate) fn compared_list<'a>(
    columns: impl Iterator<Item = &'a LayoutColumn>,
    prefix: &str,
) -> String {
    columns.map(|column| column.compared(prefix)).collect::<Vec<_>>().join(", ")
}

/// A longer name is cut, and told from others that begin alike by a digest of all of it.
fn fitting(name: &str) -> String {
    const DIGEST_BYTES: usize = 4;
    if name.len() <= NAME_BYTES {
        return name.to_owned();
    }
    let mut end = NAME_BYTES - 1 - 2 * DIGEST_BYTES;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let hash = digest(&SHA256, name.as_bytes());
    let hash: String = hash.as_ref()[..DIGEST_BYTES].iter().map(|b| format!("{b:02x}")).collect();
    format!("{}_{hash}", &name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_fit_and_stay_apart() {
        assert_eq!(fitting(&"x".repeat(63)), "x".repeat(63));
        let (one, other) = (fitting(&"é".repeat(40)), fitting(&format!("{}!", "é".repeat(40))));
        assert!(one.len() <= 63 && other.len() <= 63 && one != other, "{one} {other}");
        assert!(one.starts_with(&"é".repeat(27)), "{one}");
        assert_eq!(one, fitting(&"é".repeat(40)));
    }
}
