//! The shape of the target: columns, key, and the SQL text made of them.
//!
//! Owns: refusing a job whose table PostgreSQL cannot hold, before anything is touched. Runs nothing.

use lakeport_pg::{QualifiedName, QuotedIdent, quote_literal};

use super::column::{LayoutColumn, compared_list, list};
use crate::error::Error;
use crate::job::Options;
use crate::source::{Column, ColumnType};

/// The wanted table, as it follows from the source's columns and the chosen key.
pub(crate) struct Layout {
    pub(crate) columns: Vec<LayoutColumn>,
    /// Positions of the key's columns, in the key's order.
    pub(crate) key: Vec<usize>,
    /// The column that tells which of several rows with one key is kept.
    pub(crate) newest_by: Option<usize>,
    /// Where the types of the extension `vector` are, once that is known.
    pub(crate) vectors_in: Option<QuotedIdent>,
}

impl Layout {
    pub(crate) fn of(
        columns: &[(Column, ColumnType)],
        primary_key: &[String],
        options: &Options,
    ) -> Result<Self, Error> {
        let choices = &options.type_choices;
        let unknown = |name: &String| !columns.iter().any(|(column, _)| column.name == *name);
        if let Some(choice) = choices.iter().find(|choice| unknown(&choice.column)) {
            let name = &choice.column;
            return Err(Error::config(format!("the column \"{name}\" is not in the source")));
        }
        let columns = columns.iter();
        let mut columns: Vec<LayoutColumn> = columns
            .map(|(column, kind)| LayoutColumn::of(column, *kind, choices))
            .collect::<Result<_, _>>()?;
        let key = key_positions(&columns, primary_key)?;
        for part in &key {
            columns[*part].not_null = true;
        }
        let newest_by = options.timeseries_key.as_deref();
        let newest_by = newest_by.map(|name| timeseries_position(&columns, name)).transpose()?;
        Ok(Self { columns, key, newest_by, vectors_in: None })
    }

    pub(crate) fn has_vectors(&self) -> bool {
        self.columns.iter().any(|column| column.column_type.is_vector())
    }

    /// Whether a key's last change tells what is to be done for it, and keys are told apart by their bytes.
    pub(crate) fn nets_in_memory(&self) -> bool {
        let by_bytes = |part: &usize| self.columns[*part].column_type.equals_by_bytes();
        self.newest_by.is_none() && self.key.iter().all(by_bytes)
    }

    /// The column's type in a statement: our sessions only see PostgreSQL's own by their bare names.
    pub(super) fn type_of(&self, column: &LayoutColumn) -> String {
        let bare = column.column_type.postgres();
        match &self.vectors_in {
            Some(schema) if column.column_type.is_vector() => format!("{schema}.{bare}"),
            _ => bare,
        }
    }

    /// `create table`, or `create unlogged table`, under a name.
    pub(crate) fn create(&self, kind: &str, name: &QualifiedName) -> String {
        let columns = self.columns.iter().map(|column| {
            let not_null = if column.not_null { " not null" } else { "" };
            format!("{} {}{not_null}", column.ident, self.type_of(column))
        });
        format!("create {kind} {name} ({})", columns.collect::<Vec<_>>().join(", "))
    }

    /// A table of all columns, none of them required, and some more.
    pub(crate) fn create_loose(&self, name: &QualifiedName, more: &str) -> String {
        let columns = self.columns.iter();
        let columns = columns.map(|column| format!("{} {}", column.ident, self.type_of(column)));
        let columns = columns.collect::<Vec<_>>().join(", ");
        format!("create unlogged table {name} ({columns}, {more})")
    }

    /// Sorts the row to keep first among rows `s` of one key. Rows that are equally new differ
    /// elsewhere, and always in the same way.
    pub(crate) fn newest_first(&self, prefix: &str) -> Option<String> {
        let newest = &self.columns[self.newest_by?].ident;
        let all = self.column_list(prefix);
        Some(format!("{prefix}{newest} desc nulls last, row({all}) desc"))
    }

    /// Removes all but the newest row of each key; `None` where keys are unique.
    pub(crate) fn keep_newest(&self, name: &QualifiedName) -> Option<String> {
        let (key, newest_first) = (self.key_list("s."), self.newest_first("s.")?);
        Some(format!(
            "delete from {name} where ctid in (select place from (select s.ctid as place, \
             row_number() over (partition by {key} order by {newest_first}) as nth \
             from {name} s) ranked where nth > 1)"
        ))
    }

    pub(crate) fn copy(&self, name: &QualifiedName) -> String {
        format!("copy {name} ({}) from stdin (format binary, freeze)", self.column_list(""))
    }

    pub(crate) fn comments(&self, name: &QualifiedName) -> Vec<String> {
        let columns = self.columns.iter();
        columns
            .filter_map(|column| {
                let comment = quote_literal(&column.comment.as_ref()?.replace('\0', ""));
                Some(format!("comment on column {name}.{} is {comment}", column.ident))
            })
            .collect()
    }

    /// All columns, each with a prefix such as `s.`.
    pub(crate) fn column_list(&self, prefix: &str) -> String {
        list(self.columns.iter(), prefix)
    }

    /// All columns, in a form whose values have an equality.
    pub(crate) fn compared_list(&self, prefix: &str) -> String {
        compared_list(self.columns.iter(), prefix)
    }

    pub(crate) fn key_list(&self, prefix: &str) -> String {
        list(self.key.iter().map(|part| &self.columns[*part]), prefix)
    }

    /// As the table calls them.
    pub(crate) fn key_names(&self) -> Vec<&str> {
        self.key.iter().map(|part| self.columns[*part].table_name.as_str()).collect()
    }

    /// `t."id" = s."id"`.
    pub(crate) fn key_match(&self) -> String {
        let parts = self.key.iter().map(|part| {
            let ident = &self.columns[*part].ident;
            format!("t.{ident} = s.{ident}")
        });
        parts.collect::<Vec<_>>().join(" and ")
    }

    /// The columns outside the key.
    pub(crate) fn payload(&self) -> Vec<&LayoutColumn> {
        let columns = self.columns.iter().enumerate();
        columns.filter(|(nth, _)| !self.key.contains(nth)).map(|(_, column)| column).collect()
    }
}

fn timeseries_position(columns: &[LayoutColumn], name: &str) -> Result<usize, Error> {
    let position = columns.iter().position(|column| column.name == name).ok_or_else(|| {
        Error::config(format!("the timeseries key's column \"{name}\" is not in the source"))
    })?;
    if columns[position].column_type.can_be_key() {
        return Ok(position);
    }
    let kind = columns[position].column_type.postgres();
    Err(Error::config(format!(
        "the column \"{name}\" becomes {kind}, which has no order to be a timeseries key"
    )))
}

fn key_positions(columns: &[LayoutColumn], primary_key: &[String]) -> Result<Vec<usize>, Error> {
    if primary_key.is_empty() {
        return Err(Error::config("the primary key is empty; name at least one column"));
    }
    let mut positions = Vec::new();
    for part in primary_key {
        let position = columns.iter().position(|column| column.name == *part).ok_or_else(|| {
            Error::config(format!("the primary key's column \"{part}\" is not in the source"))
        })?;
        if positions.contains(&position) {
            return Err(Error::config(format!("the primary key names \"{part}\" twice")));
        }
        if !columns[position].column_type.can_be_key() {
            let kind = columns[position].column_type.postgres();
            return Err(Error::config(format!(
                "the column \"{part}\" becomes {kind}, which cannot be part of a primary key"
            )));
        }
        positions.push(position);
    }
    Ok(positions)
}
