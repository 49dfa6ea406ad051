//! What has to change in a table's definition, because the source's has changed.
//!
//! Owns: comparing the two before any row is read, and the statements that follow. Additions and wider types are
//! followed in place. All else takes a reading of all rows, in whose transaction the table is altered: it stays the
//! same object, with its grants, and with the indexes and views that still fit.

use std::collections::HashMap;

use lakeport_pg::{QualifiedName, QuotedIdent};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::column::LayoutColumn;
use super::ddl::Layout;
use super::load::run;
use super::position::Position;
use super::session::Target;
use crate::error::Error;
use crate::job::TableName;

/// The type of a column `a` with the type `y`, by its bare name if it is an extension's.
pub(super) const TYPE_NAME: &str = "case when y.typnamespace = 'pg_catalog'::regnamespace \
    then format_type(a.atttypid, a.atttypmod) \
    else y.typname || case when a.atttypmod < 0 then '' else '(' || a.atttypmod || ')' end end";

/// What has to change in the table's definition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Of columns, one statement each: they come first.
    renames: Vec<String>,
    /// Statements after `alter table …`.
    clauses: Vec<String>,
    /// The same, where what users have made of a column does not fit its new type.
    without_dependents: Vec<String>,
    /// The key gets another type, which only an empty table takes.
    empties: bool,
    /// Why rows that are there do not tell what the new ones are.
    misfit: Option<String>,
}

/// A column that the table has.
struct Existing {
    name: String,
    pg_type: String,
    not_null: bool,
    /// Its place in the primary key.
    key_place: Option<i16>,
}

impl Changes {
    pub(crate) async fn find(
        target: &Target,
        layout: &Layout,
        before: &Position,
    ) -> Result<Self, Error> {
        let existing = existing_columns(target.client(), &target.table).await?;
        plan(existing, layout, &before.columns).map_err(|message| {
            let state = &SqlState::FEATURE_NOT_SUPPORTED;
            Error::refused("refresh", &target.table, state, message)
        })
    }

    /// Why only a reading of all rows follows the source, if that is so.
    pub(crate) fn misfit(&self) -> Option<&str> {
        self.misfit.as_deref()
    }

    /// Alters the table, if there is anything to alter.
    pub(super) async fn make(
        &self,
        transaction: &mut Transaction<'_>,
        table: &TableName,
        name: &QualifiedName,
    ) -> Result<(), Error> {
        for rename in &self.renames {
            run(transaction, "alter", table, &format!("alter table {name} {rename}")).await?;
        }
        if self.clauses.is_empty() {
            return Ok(());
        }
        if self.empties {
            run(transaction, "empty", table, &format!("delete from {name}")).await?;
        }
        let alter = |clauses: &[String]| format!("alter table {name} {}", clauses.join(", "));
        if self.without_dependents.is_empty() {
            return run(transaction, "alter", table, &alter(&self.clauses)).await;
        }
        let failed = || Error::target("alter", table);
        let attempt = transaction.savepoint("shape").await.map_err(failed())?;
        match attempt.batch_execute(&alter(&self.clauses)).await {
            Ok(()) => attempt.commit().await.map_err(failed()),
            Err(error) if is_dependent(&error) => {
                attempt.rollback().await.map_err(failed())?;
                run(transaction, "alter", table, &alter(&self.without_dependents)).await
            }
            Err(error) => Err(failed()(error)),
        }
    }
}

/// Something that was made of the column does not fit the new type: an index, a check, a view.
fn is_dependent(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| ["42", "0A"].contains(&&code.code()[..2]))
}

/// Columns that users generate from others are theirs, and not compared.
async fn existing_columns(client: &Client, table: &TableName) -> Result<Vec<Existing>, Error> {
    let rows = client
        .query(
            &format!(
                "select a.attname::text, {TYPE_NAME}, a.attnotnull, \
               (array_position(i.indkey::smallint[], a.attnum))::smallint \
             from pg_attribute a \
             join pg_type y on y.oid = a.atttypid \
             join pg_class c on c.oid = a.attrelid \
             join pg_namespace n on n.oid = c.relnamespace \
             left join pg_index i on i.indrelid = c.oid and i.indisprimary \
             where n.nspname = $1 and c.relname = $2 \
               and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' \
             order by a.attnum"
            ),
            &[&table.schema, &table.table],
        )
        .await
        .map_err(Error::target("look at the columns of", table))?;
    let columns = rows.iter().map(|row| Existing {
        name: row.get(0),
        pg_type: row.get(1),
        not_null: row.get(2),
        key_place: row.get(3),
    });
    Ok(columns.collect())
}

/// Compares the table with the wanted layout. `before` are the source's columns when all rows were read last, by
/// their names in the table and in the files.
fn plan(
    mut existing: Vec<Existing>,
    layout: &Layout,
    before: &[(String, String)],
) -> Result<Changes, String> {
    let mut changes = Changes::default();
    rename(&mut existing, layout, before, &mut changes)?;
    let find = |name: &str| existing.iter().find(|column| column.name == name);
    for column in &layout.columns {
        let wanted = column.column_type.postgres();
        let Some(found) = find(&column.table_name) else {
            // Rows that are there have no value yet, so it cannot be NOT NULL.
            changes.follow(format!("add column {} {}", column.ident, layout.type_of(column)));
            continue;
        };
        let widens = column.column_type.widens(&found.pg_type);
        if found.pg_type != wanted && !widens {
            changes.retype(found, column, &layout.type_of(column));
            continue;
        }
        if found.pg_type != wanted {
            changes.follow(format!("alter column {} type {wanted}", column.ident));
        }
        if found.not_null && !column.not_null {
            changes.follow(format!("alter column {} drop not null", column.ident));
        }
    }
    let wanted = |name: &str| layout.columns.iter().any(|column| column.table_name == name);
    for gone in existing.iter().filter(|column| !wanted(&column.name)) {
        // A column that the source never had is somebody's own.
        if !before.is_empty() && !before.iter().any(|(name, _)| *name == gone.name) {
            return Err(format!(
                "the column \"{}\" was added to the table, and the source does not have it; drop it",
                gone.name
            ));
        }
        changes.explain(format!("the source no longer has the column \"{}\"", gone.name));
        changes.follow(format!("drop column {}", ident(&gone.name)?));
    }
    same_key(&existing, layout)?;
    if changes.without_dependents == changes.clauses {
        changes.without_dependents.clear();
    }
    Ok(changes)
}

/// A column that is called otherwise in the source and the same in its files keeps its values.
fn rename(
    existing: &mut [Existing],
    layout: &Layout,
    before: &[(String, String)],
    changes: &mut Changes,
) -> Result<(), String> {
    let files: HashMap<&str, &str> =
        before.iter().map(|(name, file)| (file.as_str(), name.as_str())).collect();
    for column in &layout.columns {
        let Some(old) = files.get(column.physical_name.as_str()) else { continue };
        let taken = |name: &str| existing.iter().any(|found| found.name == name);
        let wanted = layout.columns.iter().any(|column| column.table_name == *old);
        if *old == column.table_name || wanted || taken(&column.table_name) {
            continue;
        }
        let Some(found) = existing.iter_mut().find(|found| found.name == *old) else { continue };
        changes.explain(format!(
            "the source's column \"{old}\" is now called \"{}\"",
            column.table_name
        ));
        changes.renames.push(format!("rename column {} to {}", ident(old)?, column.ident));
        found.name.clone_from(&column.table_name);
    }
    Ok(())
}

fn ident(name: &str) -> Result<QuotedIdent, String> {
    QuotedIdent::new(name).map_err(|error| error.to_string())
}

impl Changes {
    fn explain(&mut self, why: String) {
        self.misfit.get_or_insert(why);
    }

    fn follow(&mut self, clause: String) {
        self.clauses.push(clause.clone());
        self.without_dependents.push(clause);
    }

    /// Values of the one type say nothing about those of the other: all are read again.
    fn retype(&mut self, found: &Existing, column: &LayoutColumn, wanted: &str) {
        let ident = &column.ident;
        self.explain(format!(
            "the source's column \"{}\" is now {}, and was {}",
            column.name,
            column.column_type.postgres(),
            found.pg_type
        ));
        if found.key_place.is_some() {
            self.empties = true;
            return self.follow(format!("alter column {ident} type {wanted} using null"));
        }
        if found.not_null {
            self.clauses.push(format!("alter column {ident} drop not null"));
        }
        self.clauses.push(format!("alter column {ident} type {wanted} using null"));
        self.without_dependents.push(format!("drop column {ident}"));
        self.without_dependents.push(format!("add column {ident} {wanted}"));
    }
}

fn same_key(existing: &[Existing], layout: &Layout) -> Result<(), String> {
    let mut parts: Vec<(i16, &str)> = existing
        .iter()
        .filter_map(|column| Some((column.key_place?, column.name.as_str())))
        .collect();
    parts.sort_unstable();
    let found: Vec<&str> = parts.into_iter().map(|(_, name)| name).collect();
    let wanted = layout.key_names();
    if found == wanted {
        return Ok(());
    }
    Err(format!(
        "the primary key is ({}), and was ({}); name the key that the table has, or sync into another one",
        wanted.join(", "),
        found.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Options;
    use crate::source::{Column, ColumnType};

    fn layout(columns: &[(&str, ColumnType, bool)]) -> Layout {
        let columns = columns.iter().map(|(name, column_type, nullable)| {
            let column = Column {
                name: (*name).to_owned(),
                delta_type: String::new(),
                pg_type: column_type.postgres(),
                nullable: *nullable,
                comment: None,
            };
            (column, *column_type)
        });
        let columns = columns.collect::<Vec<_>>();
        Layout::of(&columns, &["id".to_owned()], &Options::default()).unwrap()
    }

    fn existing(name: &str, pg_type: &str, key_place: Option<i16>) -> Existing {
        Existing { name: name.to_owned(), pg_type: pg_type.to_owned(), not_null: true, key_place }
    }

    fn table() -> Vec<Existing> {
        vec![existing("id", "bigint", Some(0)), existing("name", "text", None)]
    }

    fn physical(names: &[(&str, &str)]) -> Vec<(String, String)> {
        names.iter().map(|(name, file)| ((*name).to_owned(), (*file).to_owned())).collect()
    }

    #[test]
    fn additions_and_wider_nulls_are_followed() {
        let wanted = layout(&[
            ("id", ColumnType::Long, false),
            ("name", ColumnType::Text, true),
            ("New", ColumnType::Date, false),
        ]);
        let changes = plan(table(), &wanted, &[]).unwrap();
        assert_eq!(
            changes.clauses,
            ["alter column \"name\" drop not null", "add column \"New\" date"]
        );
        assert_eq!((changes.misfit(), changes.without_dependents.len()), (None, 0));
    }

    #[test]
    fn wider_types_are_followed() {
        let mut narrow = table();
        narrow[0].pg_type = "integer".to_owned();
        let wanted = layout(&[("id", ColumnType::Long, false), ("name", ColumnType::Text, false)]);
        let changes = plan(narrow, &wanted, &[]).unwrap();
        assert_eq!(changes.clauses, ["alter column \"id\" type bigint"]);
        assert_eq!(changes.misfit(), None);
    }

    #[test]
    fn what_takes_all_rows_is_named() {
        let retyped = layout(&[("id", ColumnType::Long, false), ("name", ColumnType::Json, true)]);
        let changes = plan(table(), &retyped, &[]).unwrap();
        assert!(changes.misfit().unwrap().contains("\"name\" is now jsonb"), "{changes:?}");
        assert_eq!(
            changes.clauses,
            ["alter column \"name\" drop not null", "alter column \"name\" type jsonb using null"]
        );
        assert_eq!(
            changes.without_dependents,
            ["drop column \"name\"", "add column \"name\" jsonb"]
        );

        let dropped = layout(&[("id", ColumnType::Long, false)]);
        let changes = plan(table(), &dropped, &[]).unwrap();
        assert!(changes.misfit().unwrap().contains("no longer has the column \"name\""));
        assert_eq!(changes.clauses, ["drop column \"name\""]);

        let narrower =
            layout(&[("id", ColumnType::Integer, false), ("name", ColumnType::Text, false)]);
        let changes = plan(table(), &narrower, &[]).unwrap();
        assert!(changes.empties && changes.misfit().is_some());
    }

    #[test]
    fn a_column_of_the_same_files_is_renamed() {
        let mut wanted =
            layout(&[("id", ColumnType::Long, false), ("title", ColumnType::Text, true)]);
        wanted.columns[1].physical_name = "col-1".to_owned();
        let before = physical(&[("id", "id"), ("name", "col-1")]);
        let changes = plan(table(), &wanted, &before).unwrap();
        assert_eq!(changes.renames, ["rename column \"name\" to \"title\""]);
        assert_eq!(changes.clauses, ["alter column \"title\" drop not null"]);
        assert!(changes.misfit().unwrap().contains("\"name\" is now called \"title\""));

        // Two that have changed places are read again; nothing is renamed.
        let mut places =
            layout(&[("id", ColumnType::Long, false), ("name", ColumnType::Text, false)]);
        places.columns[1].physical_name = "col-2".to_owned();
        assert_eq!(plan(table(), &places, &before).unwrap(), Changes::default());
    }

    #[test]
    fn what_is_somebodys_own_is_left_alone() {
        let mut extended = table();
        extended.push(existing("note", "text", None));
        let wanted = layout(&[("id", ColumnType::Long, false), ("name", ColumnType::Text, false)]);
        let before = physical(&[("id", "id"), ("name", "name")]);
        assert!(plan(extended, &wanted, &before).unwrap_err().contains("\"note\" was added"));

        let mut rekeyed = table();
        rekeyed[0].key_place = None;
        rekeyed[1].key_place = Some(0);
        assert!(plan(rekeyed, &wanted, &before).unwrap_err().contains("(id), and was (name)"));
    }
}
