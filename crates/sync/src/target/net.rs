//! Net changes: stage what is to be done for each key, and apply that in the same transaction.
//!
//! Owns: the statements that apply, and deciding that a range is not applied. The rule for a key is its
//! last change; a balance of rows that came and went proves that the rule was enough, and where it was not,
//! the whole table has to be read.

use lakeport_pg::QualifiedName;
use tokio_postgres::Transaction;

use super::changes::{Reducing, keep_table, reduce};
use super::column::compared_list;
use super::ddl::{Layout, Marks};
use super::load::{is_too_long, key_too_long, run};
use super::position::{NewPosition, Position};
use super::refresh::{Differences, SETTINGS, assignments};
use super::session::Target;
use super::shape::Changes;
use crate::copy::{Counts, Effect, Effects, Found, Netting};
use crate::error::Error;
use crate::failpoint;
use crate::job::{Options, Reload, TableName};
use crate::progress::{Phase, Progress};

/// Fewer changes than these are applied whatever their share: reading the table anew saves nothing.
const ALWAYS_APPLIED: u64 = 10_000;

/// Each change looks its row up by the key. The page that it finds has to be read and written anyway, so that a
/// scan of the table, which the planner would like better, only adds to that. To compile such a plan takes longer
/// than it saves.
const ROW_BY_ROW: &str =
    "set local enable_hashjoin = off; set local enable_mergejoin = off; set local jit = off";

/// From one position to the next.
pub(crate) struct Step<'a> {
    pub(crate) changes: &'a Changes,
    pub(crate) before: &'a Position,
    pub(crate) position: &'a NewPosition,
    /// More changes than these are not applied one by one.
    pub(crate) limit: u64,
    pub(crate) options: &'a Options,
}

/// Where changes come from.
pub(crate) enum Incoming {
    /// Their feed, from which comes what they come to for each key.
    Feed(Netting),
    /// So many were collected aside as they came.
    Aside(Counts),
}

pub(crate) enum Applied {
    Done(Differences),
    /// Nothing was applied.
    Reload(Reload),
    /// Nothing was applied: memory does not hold all keys.
    NoRoom,
}

/// Changes that are worth applying one by one.
pub(crate) fn worthwhile(position: &Position, share: f64) -> u64 {
    ((position.rows as f64 * share) as u64).max(ALWAYS_APPLIED)
}

pub(crate) async fn apply_changes(
    target: &mut Target,
    layout: &Layout,
    step: &Step<'_>,
    incoming: Incoming,
    progress: &Progress,
) -> Result<Applied, Error> {
    let Step { changes, before, position, limit, options } = *step;
    keep_table(target, layout, &target.aside.net).await?;
    failpoint::reach("changes: tables kept");
    let statements = Statements::new(target, layout);
    let (table, name) = (target.table.clone(), target.name.clone());
    let positions = target.positions.clone();
    let mut transaction = target.begin().await?;
    let altered_first = match &incoming {
        Incoming::Aside(counts) if counts.rows > limit => return Ok(too_many(counts, before)),
        // To reduce what was collected takes the table's new columns.
        Incoming::Aside(_) => {
            changes.make(&mut transaction, &table, &name).await?;
            true
        }
        // A feed is read without a lock on the table.
        Incoming::Feed(_) => false,
    };
    let Found { counts, mut effects, overtaken, no_room } =
        statements.stage(&transaction, &table, incoming).await?;
    failpoint::reach("changes: copied");
    progress.enter(Phase::Indexing);
    if no_room {
        return Ok(Applied::NoRoom);
    }
    if counts.rows > limit {
        return Ok(too_many(&counts, before));
    }
    run(&transaction, "apply changes to", &table, ROW_BY_ROW).await?;
    if !overtaken.is_empty() {
        let failed = Error::target("stage", &table);
        transaction.execute(&statements.forget, &[&overtaken]).await.map_err(failed)?;
    }
    if effects.came_and_went > 0 {
        effects.unclear += execute(&transaction, &table, &statements.left_over).await?;
    }
    if let Some(reload) = reload(&effects, layout, before, options) {
        return Ok(Applied::Reload(reload));
    }
    progress.enter(Phase::Applying);
    failpoint::reach("changes: reduced");
    if !altered_first {
        changes.make(&mut transaction, &table, &name).await?;
    }
    let (done, not_new) = statements.apply(&mut transaction, layout, &table, &effects).await?;
    if not_new > 0 {
        // Two rows have the key, or the table was changed by somebody else.
        return Ok(Applied::Reload(Reload::Unclear { keys: not_new }));
    }
    let rows = (before.rows + done.inserted).saturating_sub(done.deleted);
    positions.write(&transaction, &table, position, rows).await?;
    failpoint::reach("changes: ready");
    transaction.commit().await.map_err(Error::target("commit the changes of", &table))?;
    failpoint::reach("changes: committed");
    Ok(Applied::Done(Differences { counts: Counts { rows, ..counts }, ..done }))
}

/// An update is two changes.
fn too_many(counts: &Counts, before: &Position) -> Applied {
    Applied::Reload(Reload::TooManyChanges { changes: counts.rows / 2, rows: before.rows })
}

/// Why these are not to be applied one by one.
fn reload(
    effects: &Effects,
    layout: &Layout,
    before: &Position,
    options: &Options,
) -> Option<Reload> {
    if effects.unclear > 0 {
        let keys = effects.unclear;
        return Some(match layout.newest_by {
            Some(_) => Reload::NewestDeleted { keys },
            None => Reload::Unclear { keys },
        });
    }
    let changes = effects.keys();
    (changes > worthwhile(before, options.reload_share))
        .then_some(Reload::TooManyChanges { changes, rows: before.rows })
}

async fn execute(
    transaction: &Transaction<'_>,
    table: &TableName,
    statement: &str,
) -> Result<u64, Error> {
    transaction.execute(statement, &[]).await.map_err(Error::target("apply changes to", table))
}

struct Statements {
    net: QualifiedName,
    empty: String,
    copy: String,
    reduce: Reducing,
    /// Removes rows by their numbers.
    forget: String,
    /// Selects keys that came and went, and are there.
    left_over: String,
    delete: String,
    /// Absent where all columns are the key.
    update: Option<String>,
    /// Inserts rows that came and are not there.
    insert: String,
}

impl Statements {
    fn new(target: &Target, layout: &Layout) -> Self {
        let (name, net) = (&target.name, &target.aside.net);
        let Marks { version, change } = &layout.marks();
        let marks = layout.marks().names();
        let came = came(layout);
        let (key_match, columns) = (layout.key_match(), layout.column_list(""));
        let (from_net, key) = (layout.column_list("s."), layout.key_list(""));
        Self {
            net: net.clone(),
            empty: format!("{SETTINGS}; truncate {net}"),
            copy: format!("copy {net} ({columns}, {marks}) from stdin (format binary, freeze)"),
            reduce: Reducing::new(target, layout),
            forget: format!("delete from {net} where {version} = any ($1)"),
            left_over: format!(
                "select from {net} s join {name} t on {key_match} where s.{change} = {}",
                Effect::CameAndWent as i16
            ),
            delete: format!(
                "delete from {name} t using {net} s where {key_match} and s.{change} = {}",
                Effect::Delete as i16
            ),
            update: update_statement(target, layout),
            insert: format!(
                "insert into {name} ({columns}) select {from_net} from {net} s where {came} \
                 on conflict ({key}) do nothing"
            ),
        }
    }

    /// Fills the table of net changes.
    async fn stage(
        &self,
        transaction: &Transaction<'_>,
        table: &TableName,
        incoming: Incoming,
    ) -> Result<Found, Error> {
        run(transaction, "stage", table, &self.empty).await?;
        match incoming {
            Incoming::Feed(netting) => netting.copy(transaction, &self.copy, table).await,
            Incoming::Aside(counts) => {
                let effects = reduce(transaction, table, &self.reduce).await?;
                Ok(Found { counts, effects, ..Found::default() })
            }
        }
    }

    /// Names the row whose key is too long for its index.
    async fn insert(
        &self,
        transaction: &mut Transaction<'_>,
        layout: &Layout,
        table: &TableName,
    ) -> Result<u64, Error> {
        if !layout.has_long_key() {
            return execute(transaction, table, &self.insert).await;
        }
        let failed = || Error::target("apply changes to", table);
        let attempt = transaction.savepoint("inserting").await.map_err(failed())?;
        match attempt.execute(&self.insert, &[]).await {
            Ok(inserted) => attempt.commit().await.map(|()| inserted).map_err(failed()),
            Err(error) if is_too_long(&error) => {
                attempt.rollback().await.map_err(failed())?;
                match self.is_about_key(transaction, layout, table, &error).await? {
                    true => Err(key_too_long(transaction, layout, table, &self.net, &error).await),
                    false => Err(failed()(error)),
                }
            }
            Err(error) => Err(failed()(error)),
        }
    }

    /// Whether an index that refuses an entry is the primary key's, not one that users have made.
    async fn is_about_key(
        &self,
        transaction: &Transaction<'_>,
        layout: &Layout,
        table: &TableName,
        error: &tokio_postgres::Error,
    ) -> Result<bool, Error> {
        /// Of so long an entry no index is named.
        const LONGEST_ENTRY: i32 = 8191;
        let failed = Error::target("look at the keys of", table);
        let Some(index) = error.as_db_error().and_then(|db| db.constraint()) else {
            let longest = transaction.query_opt(&layout.longest_key(&self.net), &[]).await;
            let bytes = longest.map_err(failed)?.and_then(|row| row.get::<_, Option<i32>>(1));
            return Ok(bytes.is_some_and(|bytes| bytes > LONGEST_ENTRY));
        };
        let found = transaction
            .query_opt(
                "select from pg_index i join pg_class c on c.oid = i.indexrelid \
                 join pg_namespace n on n.oid = c.relnamespace \
                 where n.nspname = $1 and c.relname = $2 and i.indisprimary",
                &[&table.schema, &index],
            )
            .await;
        Ok(found.map_err(failed)?.is_some())
    }

    /// Gives also how many rows that were to be new are there.
    async fn apply(
        &self,
        transaction: &mut Transaction<'_>,
        layout: &Layout,
        table: &TableName,
        effects: &Effects,
    ) -> Result<(Differences, u64), Error> {
        let deleted = match effects.deletes {
            0 => 0,
            _ => execute(transaction, table, &self.delete).await?,
        };
        failpoint::reach("changes: deleted");
        // To update a row is much cheaper than to insert it and find it there, and most are there.
        let updated = match &self.update {
            Some(update) if effects.upserts > 0 => execute(transaction, table, update).await?,
            _ => 0,
        };
        failpoint::reach("changes: updated");
        // Those that were not updated are new, or equal to what is there.
        let inserted = match effects.inserts + effects.upserts.saturating_sub(updated) {
            0 => 0,
            _ => self.insert(transaction, layout, table).await?,
        };
        failpoint::reach("changes: inserted");
        let not_new = effects.inserts.saturating_sub(inserted);
        let counts = Counts::default();
        Ok((Differences { counts, inserted, updated, deleted, swapped: false }, not_new))
    }
}

/// Of rows that came, the numbers of effects say how many are new.
fn came(layout: &Layout) -> String {
    format!("s.{} > 0", layout.marks().change)
}

/// Rows that are equal are left alone.
fn update_statement(target: &Target, layout: &Layout) -> Option<String> {
    let (name, net, payload) = (&target.name, &target.aside.net, layout.payload());
    (!payload.is_empty()).then(|| {
        format!(
            "update {name} t set {} from {net} s where {} and {} \
             and ({}) is distinct from ({})",
            assignments(&payload),
            layout.key_match(),
            came(layout),
            compared_list(payload.iter().copied(), "t."),
            compared_list(payload.iter().copied(), "s.")
        )
    })
}
