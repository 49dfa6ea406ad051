//! The shape of the target: columns, key, and the SQL text made of them.
//!
//! Owns: refusing a job whose table PostgreSQL cannot hold, before anything is touched. Runs nothing.

use lakeport_pg::{QualifiedName, QuotedIdent, quote_literal};

use super::column::{LayoutColumn, compared_list, list};
use crate::error::Error;
use crate::job::Options;
use crate::source::{Column, ColumnType};

/// Names of the columns that changes carry beside their row: those that Delta itself uses, if the source leaves them
/// free. Of net changes, the first is the number under which a row was handed on.
pub(super) struct Marks {
    pub(super) version: String,
    pub(super) change: String,
}

impl Marks {
    pub(super) fn names(&self) -> String {
        format!("{}, {}", self.version, self.change)
    }

    pub(super) fn columns(&self) -> [String; 2] {
        [format!("{} bigint", self.version), format!("{} smallint", self.change)]
    }
}

/// PostgreSQL's limit is 1600, of which changes on their way need two.
const MAX_COLUMNS: usize = 1598;

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
        if columns.len() > MAX_COLUMNS {
            return Err(Error::config(format!(
                "the source has {} columns, and a synced table has {MAX_COLUMNS} at most: PostgreSQL's \
                 limit is 1,600, and changes on their way take two; sync a table with fewer columns",
                columns.len()
            )));
        }
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

    /// The columns are called so in the source's files, in the same order.
    pub(crate) fn with_physical_names(mut self, names: Vec<String>) -> Self {
        for (column, name) in self.columns.iter_mut().zip(names) {
            column.physical_name = name;
        }
        self
    }

    /// What a position keeps of the columns: their names in the table and in the files.
    pub(crate) fn physical_columns(&self) -> Vec<(String, String)> {
        let columns = self.columns.iter();
        columns.map(|column| (column.table_name.clone(), column.physical_name.clone())).collect()
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

    /// A name of ours beside the columns, whatever the source calls these. Ours carry no quotes and no capitals.
    pub(super) fn own(&self, name: &str) -> String {
        let mut own = name.to_owned();
        while self.columns.iter().any(|column| column.table_name == own) {
            own.push('_');
        }
        own
    }

    /// What changes carry beside their row.
    pub(super) fn marks(&self) -> Marks {
        Marks { version: self.own("_commit_version"), change: self.own("_change_type") }
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
        // No column of the source leaves the inner query.
        Some(format!(
            "delete from {name} where ctid in (select ranked.place from (select s.ctid as place, \
             row_number() over (partition by {key} order by {newest_first}) as nth \
             from {name} s) ranked where ranked.nth > 1)"
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

    /// Selects the beginning of the longest key among a table's rows, and its bytes.
    pub(crate) fn longest_key(&self, name: &QualifiedName) -> String {
        let parts = self.key.iter().map(|part| format!("s.{}::text", self.columns[*part].ident));
        let parts = parts.collect::<Vec<_>>();
        let bytes = parts.iter().map(|part| format!("octet_length({part})"));
        let bytes = bytes.collect::<Vec<_>>().join(" + ");
        let texts = parts.iter().map(|part| format!("left({part}, 40)"));
        let texts = texts.collect::<Vec<_>>().join(", ");
        format!("select concat_ws(', ', {texts}), {bytes} from {name} s order by 2 desc limit 1")
    }

    /// Whether a key may be too long for its index.
    pub(crate) fn has_long_key(&self) -> bool {
        use ColumnType::{Binary, Text, Varchar};
        let kinds = self.key.iter().map(|part| self.columns[*part].column_type);
        kinds.into_iter().any(|kind| matches!(kind, Text | Binary | Varchar(_)))
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
