//! Changes: collect them aside, find what they come to for each key, and apply that in one transaction.
//!
//! Owns: the net effect. The rule for a key is its last change; a balance of rows that came and went
//! proves that the rule was enough, and where it was not, the whole table has to be read.

use lakeport_pg::QualifiedName;
use tokio_postgres::Transaction;

use super::column::compared_list;
use super::ddl::Layout;
use super::load::run;
use super::position::{self, NewPosition, Position};
use super::refresh::{Changes, Differences, SETTINGS, TYPE_NAME, assignments};
use super::session::Target;
use crate::copy::{Counts, RowStream};
use crate::error::Error;
use crate::failpoint;
use crate::job::{Reload, TableName};
use crate::progress::{Phase, Progress};

/// Named as the columns that Delta itself reserves in tables with a change data feed.
const MARKS: &str = "_commit_version bigint, _change_type smallint";

/// What is to be done for a key, in `_change_type` of the net changes.
const INSERT: i16 = 1;
const UPSERT: i16 = 2;
const DELETE: i16 = -1;
/// The row came and went between two runs: there should be none.
const CAME_AND_WENT: i16 = -2;
const UNCLEAR: i16 = 0;

/// Fewer changes than these are applied whatever their share: reading the table anew saves nothing.
const ALWAYS_APPLIED: u64 = 10_000;

/// From one position to the next, with the changes staged.
pub(crate) struct Step<'a> {
    pub(crate) changes: &'a Changes,
    pub(crate) counts: Counts,
    pub(crate) before: &'a Position,
    pub(crate) position: &'a NewPosition,
    /// Of rows, above which the table is read anew.
    pub(crate) share: f64,
}

pub(crate) enum Applied {
    Done(Differences),
    /// Nothing was applied.
    Reload(Reload),
}

/// Changes that are worth applying one by one.
pub(crate) fn worthwhile(position: &Position, share: f64) -> u64 {
    ((position.rows as f64 * share) as u64).max(ALWAYS_APPLIED)
}

/// Copies changes into a table that is kept from run to run: making one is slower than emptying it.
pub(crate) async fn stage_changes(
    target: &mut Target,
    layout: &Layout,
    rows: RowStream,
) -> Result<Counts, Error> {
    for name in [target.changes.clone(), target.net.clone()] {
        keep_table(target, layout, &name).await?;
    }
    failpoint::reach("changes: tables kept");
    let (table, name) = (target.table.clone(), target.changes.clone());
    let transaction = target.begin().await?;
    run(&transaction, "stage", &table, &format!("truncate {name}")).await?;
    let columns = layout.column_list("");
    let copy = format!(
        "copy {name} ({columns}, _commit_version, _change_type) from stdin (format binary, freeze)"
    );
    let counts = rows.copy(&transaction, &copy, &table).await?;
    failpoint::reach("changes: copied");
    transaction.commit().await.map_err(Error::target("stage", &table))?;
    failpoint::reach("changes: staged");
    Ok(counts)
}

/// Makes the table, unless it is there with the same columns.
async fn keep_table(target: &Target, layout: &Layout, name: &QualifiedName) -> Result<(), Error> {
    let failed = || Error::target("stage", &target.table);
    let row = target
        .client()
        .query_one(
            &format!(
                "select coalesce(array_agg(a.attname || ' ' || {TYPE_NAME} \
             order by a.attnum), '{{}}') \
             from pg_attribute a join pg_type y on y.oid = a.atttypid \
             where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped"
            ),
            &[&name.to_string()],
        )
        .await
        .map_err(failed())?;
    let found: Vec<String> = row.get(0);
    let columns = layout.columns.iter();
    let mut wanted: Vec<String> = columns
        .map(|column| format!("{} {}", column.table_name, column.column_type.postgres()))
        .collect();
    wanted.extend(MARKS.split(", ").map(str::to_owned));
    if found == wanted {
        return Ok(());
    }
    let make = layout.create_loose(name, MARKS);
    target
        .client()
        .batch_execute(&format!("begin; drop table if exists {name}; {make}; commit"))
        .await
        .map_err(failed())
}

pub(crate) async fn apply_changes(
    target: &mut Target,
    layout: &Layout,
    step: &Step<'_>,
    progress: &Progress,
) -> Result<Applied, Error> {
    let Step { changes, counts, before, position, share } = *step;
    progress.enter(Phase::Indexing);
    let statements = Statements::new(target, layout);
    let (table, name, net) = (target.table.clone(), target.name.clone(), target.net.clone());
    let transaction = target.begin().await?;
    run(&transaction, "refresh", &table, SETTINGS).await?;
    changes.make(&transaction, &table, &name).await?;
    run(&transaction, "stage", &table, &format!("truncate {net}")).await?;
    execute(&transaction, &table, &statements.net).await?;

    let found = found(&transaction, &table, &statements).await?;
    if let Some(reload) = found.reload(layout, before, share) {
        return Ok(Applied::Reload(reload));
    }
    progress.enter(Phase::Applying);
    failpoint::reach("changes: reduced");
    let deleted = match found.deletes {
        0 => 0,
        _ => execute(&transaction, &table, &statements.delete).await?,
    };
    failpoint::reach("changes: deleted");
    let (appeared, updated) = upsert(&transaction, &table, &statements.upsert).await?;
    failpoint::reach("changes: put");
    let inserted = execute(&transaction, &table, &statements.insert).await?;
    failpoint::reach("changes: inserted");
    if inserted < found.inserts {
        // A row of the key is there: two rows have it, or the table was changed by somebody else.
        return Ok(Applied::Reload(Reload::Unclear { keys: found.inserts - inserted }));
    }
    let inserted = inserted + appeared;
    let rows = (before.rows + inserted).saturating_sub(deleted);
    position::write(&transaction, &table, position, rows).await?;
    failpoint::reach("changes: ready");
    transaction.commit().await.map_err(Error::target("commit the changes of", &table))?;
    failpoint::reach("changes: committed");
    let counts = Counts { rows, ..counts };
    Ok(Applied::Done(Differences { counts, inserted, updated, deleted }))
}

async fn execute(
    transaction: &Transaction<'_>,
    table: &TableName,
    statement: &str,
) -> Result<u64, Error> {
    transaction.execute(statement, &[]).await.map_err(Error::target("apply changes to", table))
}

/// Gives the rows that were not there, and those that were.
async fn upsert(
    transaction: &Transaction<'_>,
    table: &TableName,
    statement: &str,
) -> Result<(u64, u64), Error> {
    let failed = Error::target("apply changes to", table);
    let row = transaction.query_one(statement, &[]).await.map_err(failed)?;
    let number = |nth: usize| u64::try_from(row.get::<_, i64>(nth)).unwrap_or_default();
    Ok((number(0), number(1)))
}

struct Found {
    keys: u64,
    inserts: u64,
    deletes: u64,
    unclear: u64,
}

impl Found {
    fn reload(&self, layout: &Layout, before: &Position, share: f64) -> Option<Reload> {
        if self.unclear > 0 {
            let keys = self.unclear;
            return Some(match layout.newest_by {
                Some(_) => Reload::NewestDeleted { keys },
                None => Reload::Unclear { keys },
            });
        }
        (self.keys > worthwhile(before, share))
            .then_some(Reload::TooManyChanges { changes: self.keys, rows: before.rows })
    }
}

async fn found(
    transaction: &Transaction<'_>,
    table: &TableName,
    statements: &Statements,
) -> Result<Found, Error> {
    let failed = || Error::target("count the changes of", table);
    let row = transaction.query_one(&statements.count, &[]).await.map_err(failed())?;
    let number = |nth: usize| u64::try_from(row.get::<_, i64>(nth)).unwrap_or_default();
    let (keys, inserts, deletes) = (number(0), number(1), number(4));
    let mut found = Found { keys, inserts, deletes, unclear: number(2) };
    let came_and_went = number(3);
    if deletes + came_and_went > 0 {
        // Only these are joined with the table, which needs a plan.
        run(transaction, "stage", table, &statements.analyze).await?;
    }
    if came_and_went > 0 {
        let row = transaction.query_one(&statements.left_over, &[]).await.map_err(failed())?;
        found.unclear += u64::try_from(row.get::<_, i64>(0)).unwrap_or_default();
    }
    Ok(found)
}

struct Statements {
    net: String,
    analyze: String,
    count: String,
    /// Counts keys that came and went, and are there.
    left_over: String,
    delete: String,
    upsert: String,
    insert: String,
}

impl Statements {
    fn new(target: &Target, layout: &Layout) -> Self {
        let (name, net) = (&target.name, &target.net);
        let (key_match, columns) = (layout.key_match(), layout.column_list(""));
        let from_net = layout.column_list("s.");
        let count = |kind: i16| format!("count(*) filter (where _change_type = {kind})");
        Self {
            net: match layout.newest_by {
                Some(_) => net_newest(target, layout),
                None => net_last(target, layout),
            },
            analyze: format!("analyze {net}"),
            count: format!(
                "select count(*), {}, {}, {}, {} from {net}",
                count(INSERT),
                count(UNCLEAR),
                count(CAME_AND_WENT),
                count(DELETE)
            ),
            left_over: format!(
                "select count(*) from {net} s join {name} t on {key_match} \
                 where s._change_type = {CAME_AND_WENT}"
            ),
            delete: format!(
                "delete from {name} t using {net} s where {key_match} and s._change_type = {DELETE}"
            ),
            upsert: upsert_statement(name, net, layout),
            insert: format!(
                "insert into {name} ({columns}) select {from_net} from {net} s \
                 where s._change_type = {INSERT} on conflict ({}) do nothing",
                layout.key_list("")
            ),
        }
    }
}

/// A row that was not there has no deleting transaction; one that was updated carries ours.
fn upsert_statement(name: &QualifiedName, net: &QualifiedName, layout: &Layout) -> String {
    let payload = layout.payload();
    let resolve = if payload.is_empty() {
        "do nothing".to_owned()
    } else {
        format!(
            "do update set {} where ({}) is distinct from ({})",
            assignments(&payload).replace("= s.", "= excluded."),
            compared_list(payload.iter().copied(), "t."),
            compared_list(payload.iter().copied(), "excluded.")
        )
    };
    format!(
        "with put as (insert into {name} as t ({}) select {} from {net} s \
         where s._change_type = {UPSERT} on conflict ({}) {resolve} \
         returning (t.xmax = 0) as appeared) \
         select count(*) filter (where appeared), count(*) filter (where not appeared) from put",
        layout.column_list(""),
        layout.column_list("s."),
        layout.key_list("")
    )
}

/// The last change of each key. In one version a row goes before its successor comes.
fn net_last(target: &Target, layout: &Layout) -> String {
    let (changes, net, key) = (&target.changes, &target.net, layout.key_list("s."));
    let columns = layout.column_list("");
    format!(
        "insert into {net} ({columns}, _change_type) select {columns}, case \
           when _change_type > 0 and balance = 1 then {INSERT} \
           when _change_type > 0 and balance < 1 then {UPSERT} \
           when _change_type < 0 and balance < 0 then {DELETE} \
           when _change_type < 0 and balance = 0 then {CAME_AND_WENT} \
           else {UNCLEAR} end \
         from (select s.*, \
           row_number() over (partition by {key} \
             order by s._commit_version desc, s._change_type desc) as nth, \
           sum(s._change_type) over (partition by {key}) as balance \
           from {changes} s) ranked \
         where nth = 1"
    )
}

/// The newest row of each key among those that have come and the one that is there. If that one has
/// gone and nothing newer has come, older rows may be left, which only the source knows.
fn net_newest(target: &Target, layout: &Layout) -> String {
    let Target { name, changes, net, .. } = target;
    let (columns, there) = (layout.column_list(""), layout.column_list("t."));
    let (gone, held) = (layout.compared_list("s."), layout.compared_list("t."));
    let key = layout.key_list("");
    let (key_there, key_match) = (layout.key_list("t."), layout.key_match());
    let newest_first = layout.newest_first("").unwrap_or_default();
    format!(
        "with changed as materialized ( \
           select {columns}, sum(_change_type) as n from {changes} s \
           group by {columns} having sum(_change_type) <> 0), \
         candidates as ( \
           select {columns}, false as held, false as lost from changed where n > 0 \
           union all \
           select {there}, true, s.n is not null from {name} t left join changed s \
             on {key_match} and s.n < 0 and row({gone}) is not distinct from row({held}) \
           where ({key_there}) in (select {key} from changed)), \
         newest as (select distinct on ({key}) * from candidates \
           order by {key}, {newest_first}, held desc) \
         insert into {net} ({columns}, _change_type) \
         select {columns}, case when held then {UNCLEAR} else {UPSERT} end \
         from newest where lost or not held"
    )
}
