//! A refresh: load the new version aside, then apply the differences in one transaction.
//!
//! The table stays the same object, so that views, indexes, grants and comments that users have made
//! survive, and readers see the old rows until the commit, without waiting.

use lakeport_pg::QualifiedName;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Transaction};

use super::column::{LayoutColumn, compared_list};
use super::ddl::Layout;
use super::load::{duplicate_key, keep_newest, run};
use super::position::{self, NewPosition};
use super::session::Target;
use super::swap::Swap;
use crate::copy::{Counts, RowStream};
use crate::error::Error;
use crate::failpoint;
use crate::job::TableName;
use crate::progress::{Phase, Progress};

/// Anti-joins of whole tables spill to disk with the default of 4 MB.
pub(super) const SETTINGS: &str = "set local work_mem = '64MB'";

/// The type of a column `a` with the type `y`, by its bare name if it is an extension's.
pub(super) const TYPE_NAME: &str = "case when y.typnamespace = 'pg_catalog'::regnamespace \
    then format_type(a.atttypid, a.atttypmod) \
    else y.typname || case when a.atttypmod < 0 then '' else '(' || a.atttypmod || ')' end end";

pub(crate) struct Differences {
    pub(crate) counts: Counts,
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    /// All rows were replaced at once.
    pub(crate) swapped: bool,
}

/// What has to change in the table's definition; found before any row is read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// Statements after `alter table …`.
    clauses: Vec<String>,
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
    pub(crate) async fn find(target: &Target, layout: &Layout) -> Result<Self, Error> {
        let existing = existing_columns(target.client(), &target.table).await?;
        plan(&existing, layout).map_err(|message| {
            let message = format!(
                "{message}; drop the synced table and create it again to follow the source"
            );
            Error::refused("refresh", &target.table, &SqlState::FEATURE_NOT_SUPPORTED, message)
        })
    }

    /// Alters the table, if there is anything to alter.
    pub(super) async fn make(
        &self,
        transaction: &Transaction<'_>,
        table: &TableName,
        name: &QualifiedName,
    ) -> Result<(), Error> {
        if self.clauses.is_empty() {
            return Ok(());
        }
        let alter = format!("alter table {name} {}", self.clauses.join(", "));
        run(transaction, "alter", table, &alter).await
    }
}

pub(crate) async fn refresh(
    target: &mut Target,
    layout: &Layout,
    changes: &Changes,
    rows: RowStream,
    position: &NewPosition,
    swap_share: Option<f64>,
    progress: &Progress,
) -> Result<Differences, Error> {
    let staged = stage(target, layout, rows, progress).await;
    let differences = match staged {
        Ok(counts) => {
            progress.enter(Phase::Applying);
            let swap = swap_share.map(|share| Swap::new(target, layout, share));
            apply(target, layout, changes, counts, position, swap).await
        }
        Err(error) => Err(error),
    };
    let dropped = target.drop_stage().await;
    if let (Ok(_), Err(error)) = (&differences, dropped) {
        // The version is applied; the next run drops the stage.
        tracing::warn!(table = %target.table, %error, "the staged rows remain");
    }
    differences
}

/// Loads all rows into an unlogged table with the key's unique index, so that a duplicate is found
/// before anything is applied.
async fn stage(
    target: &mut Target,
    layout: &Layout,
    rows: RowStream,
    progress: &Progress,
) -> Result<Counts, Error> {
    let (table, stage) = (target.table.clone(), target.stage.clone());
    let transaction = target.begin().await?;
    run(&transaction, "stage", &table, &layout.create("unlogged table", &stage)).await?;
    failpoint::reach("refresh: stage created");
    let mut counts = rows.copy(&transaction, &layout.copy(&stage), &table).await?;
    failpoint::reach("refresh: stage copied");

    progress.enter(Phase::Indexing);
    counts.rows -= keep_newest(&transaction, layout, &stage, &table).await?;
    transaction
        .batch_execute(&format!("create unique index on {stage} ({})", layout.key_list("")))
        .await
        .map_err(|error| duplicate_key(layout, &table, error))?;
    run(&transaction, "stage", &table, &format!("analyze {stage}")).await?;
    transaction.commit().await.map_err(Error::target("stage", &table))?;
    failpoint::reach("refresh: staged");
    Ok(counts)
}

async fn apply(
    target: &mut Target,
    layout: &Layout,
    changes: &Changes,
    counts: Counts,
    position: &NewPosition,
    swap: Option<Swap>,
) -> Result<Differences, Error> {
    let statements = Statements::new(target, layout);
    let (table, name) = (target.table.clone(), target.name.clone());
    let mut transaction = target.begin().await?;
    run(&transaction, "refresh", &table, SETTINGS).await?;
    changes.make(&transaction, &table, &name).await?;
    let swapped = match swap {
        Some(swap) => swap.try_now(&mut transaction, &table, counts).await?,
        None => None,
    };
    let differences = match swapped {
        Some(differences) => differences,
        None => statements.apply(&transaction, &table, counts).await?,
    };
    position::write(&transaction, &table, position, counts.rows).await?;
    failpoint::reach("refresh: ready");
    transaction.commit().await.map_err(Error::target("commit the refresh of", &table))?;
    failpoint::reach("refresh: committed");
    Ok(differences)
}

async fn execute(
    transaction: &Transaction<'_>,
    table: &TableName,
    statement: &str,
) -> Result<u64, Error> {
    transaction.execute(statement, &[]).await.map_err(Error::target("refresh", table))
}

/// The three statements that make the table equal to its stage.
struct Statements {
    delete: String,
    /// Absent where all columns are the key.
    update: Option<String>,
    insert: String,
}

impl Statements {
    async fn apply(
        &self,
        transaction: &Transaction<'_>,
        table: &TableName,
        counts: Counts,
    ) -> Result<Differences, Error> {
        let deleted = execute(transaction, table, &self.delete).await?;
        failpoint::reach("refresh: deleted");
        let updated = match &self.update {
            Some(update) => execute(transaction, table, update).await?,
            None => 0,
        };
        failpoint::reach("refresh: updated");
        let inserted = execute(transaction, table, &self.insert).await?;
        failpoint::reach("refresh: inserted");
        Ok(Differences { counts, inserted, updated, deleted, swapped: false })
    }

    fn new(target: &Target, layout: &Layout) -> Self {
        let (name, stage, key_match) = (&target.name, &target.stage, layout.key_match());
        let payload = layout.payload();
        let update = (!payload.is_empty()).then(|| {
            format!(
                "update {name} t set {} from {stage} s where {key_match} \
                 and ({}) is distinct from ({})",
                assignments(&payload),
                compared_list(payload.iter().copied(), "t."),
                compared_list(payload.iter().copied(), "s."),
            )
        });
        Self {
            delete: format!(
                "delete from {name} t where not exists (select from {stage} s where {key_match})"
            ),
            update,
            insert: format!(
                "insert into {name} ({}) select {} from {stage} s \
                 where not exists (select from {name} t where {key_match})",
                layout.column_list(""),
                layout.column_list("s."),
            ),
        }
    }
}

pub(super) fn assignments(columns: &[&LayoutColumn]) -> String {
    let parts = columns.iter().map(|column| format!("{0} = s.{0}", column.ident));
    parts.collect::<Vec<_>>().join(", ")
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

/// Compares the table with the wanted layout. Only additions can be followed in place.
fn plan(existing: &[Existing], layout: &Layout) -> Result<Changes, String> {
    let find = |name: &str| existing.iter().find(|column| column.name == name);
    let mut clauses = Vec::new();
    for column in &layout.columns {
        let wanted = column.column_type.postgres();
        match find(&column.table_name) {
            // Rows that are there have no value yet, so it cannot be NOT NULL.
            None => clauses.push(format!("add column {} {}", column.ident, layout.type_of(column))),
            Some(found) if found.pg_type != wanted && column.column_type.widens(&found.pg_type) => {
                clauses.push(format!("alter column {} type {wanted}", column.ident));
                if found.not_null && !column.not_null {
                    clauses.push(format!("alter column {} drop not null", column.ident));
                }
            }
            Some(found) if found.pg_type != wanted => {
                return Err(format!(
                    "the source's column \"{}\" is now {wanted}, and was {}",
                    column.name, found.pg_type
                ));
            }
            Some(found) if found.not_null && !column.not_null => {
                clauses.push(format!("alter column {} drop not null", column.ident));
            }
            Some(_) => {}
        }
    }
    let wanted = |name: &str| layout.columns.iter().any(|column| column.table_name == name);
    if let Some(gone) = existing.iter().find(|column| !wanted(&column.name)) {
        return Err(format!("the source no longer has the column \"{}\"", gone.name));
    }
    same_key(existing, layout)?;
    Ok(Changes { clauses })
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
    Err(format!("the primary key is ({}), and was ({})", wanted.join(", "), found.join(", ")))
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
        let key = ["id".to_owned()];
        Layout::of(&columns.collect::<Vec<_>>(), &key, &Options::default()).unwrap()
    }

    fn table() -> Vec<Existing> {
        let column = |name: &str, pg_type: &str, not_null, key_place| Existing {
            name: name.to_owned(),
            pg_type: pg_type.to_owned(),
            not_null,
            key_place,
        };
        vec![column("id", "bigint", true, Some(0)), column("name", "text", true, None)]
    }

    #[test]
    fn additions_and_wider_nulls_are_followed() {
        let wanted = layout(&[
            ("id", ColumnType::Long, false),
            ("name", ColumnType::Text, true),
            ("New", ColumnType::Date, false),
        ]);
        let changes = plan(&table(), &wanted).unwrap();
        assert_eq!(
            changes.clauses,
            ["alter column \"name\" drop not null", "add column \"New\" date"]
        );
    }

    #[test]
    fn wider_types_are_followed() {
        let mut narrow = table();
        narrow[0].pg_type = "integer".to_owned();
        let wanted = layout(&[("id", ColumnType::Long, false), ("name", ColumnType::Text, false)]);
        let changes = plan(&narrow, &wanted).unwrap();
        assert_eq!(changes.clauses, ["alter column \"id\" type bigint"]);
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let retyped = layout(&[("id", ColumnType::Long, false), ("name", ColumnType::Json, true)]);
        assert!(plan(&table(), &retyped).unwrap_err().contains("\"name\" is now jsonb"));
        let dropped = layout(&[("id", ColumnType::Long, false)]);
        assert!(
            plan(&table(), &dropped).unwrap_err().contains("no longer has the column \"name\"")
        );
        let mut rekeyed = table();
        rekeyed[0].key_place = None;
        rekeyed[1].key_place = Some(0);
        let same = layout(&[("id", ColumnType::Long, false), ("name", ColumnType::Text, false)]);
        assert!(plan(&rekeyed, &same).unwrap_err().contains("(id), and was (name)"));
    }
}
