//! A refresh: load the new version aside, then apply the differences in one transaction.
//!
//! The table stays the same object, so that views, indexes, grants and comments that users have made
//! survive, and readers see the old rows until the commit, without waiting.

use tokio_postgres::Transaction;

use super::column::{LayoutColumn, compared_list};
use super::ddl::Layout;
use super::load::{index_key, keep_newest, run};
use super::position::NewPosition;
use super::session::Target;
use super::shape::Changes;
use super::swap::Swap;
use crate::copy::{Counts, RowStream};
use crate::error::Error;
use crate::failpoint;
use crate::job::TableName;
use crate::progress::{Phase, Progress};

/// Anti-joins of whole tables spill to disk with the default of 4 MB.
pub(super) const SETTINGS: &str = "set local work_mem = '64MB'";

pub(crate) struct Differences {
    pub(crate) counts: Counts,
    pub(crate) inserted: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    /// All rows were replaced at once.
    pub(crate) swapped: bool,
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
    let (table, stage) = (target.table.clone(), target.aside.stage.clone());
    let mut transaction = target.begin().await?;
    run(&transaction, "stage", &table, &layout.create("unlogged table", &stage)).await?;
    failpoint::reach("refresh: stage created");
    let mut counts = rows.copy(&transaction, &layout.copy(&stage), &table).await?;
    failpoint::reach("refresh: stage copied");

    progress.enter(Phase::Indexing);
    counts.rows -= keep_newest(&transaction, layout, &stage, &table).await?;
    let index = format!("create unique index on {stage} ({})", layout.key_list(""));
    index_key(&mut transaction, layout, &table, &stage, &index).await?;
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
    let positions = target.positions.clone();
    let mut transaction = target.begin().await?;
    run(&transaction, "refresh", &table, SETTINGS).await?;
    changes.make(&mut transaction, &table, &name).await?;
    let swapped = match swap {
        Some(swap) => swap.try_now(&mut transaction, &table, counts).await?,
        None => None,
    };
    let differences = match swapped {
        Some(differences) => differences,
        None => statements.apply(&transaction, &table, counts).await?,
    };
    positions.write(&transaction, &table, position, counts.rows).await?;
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
        let (name, stage, key_match) = (&target.name, &target.aside.stage, layout.key_match());
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
