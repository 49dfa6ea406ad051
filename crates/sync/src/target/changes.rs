//! Changes that are reduced by PostgreSQL: collected aside as they come, and then what they come to for
//! each key found by one statement.
//!
//! That is how changes are reduced that memory does not hold, or whose effect the table's own rows decide.

use lakeport_pg::QualifiedName;
use tokio_postgres::Transaction;

use super::ddl::Layout;
use super::load::run;
use super::refresh::TYPE_NAME;
use super::session::Target;
use crate::copy::Effect::{CameAndWent, Delete, Insert, Unclear, Upsert};
use crate::copy::{Counts, Effect, Effects, RowStream};
use crate::error::Error;
use crate::failpoint;
use crate::job::TableName;

/// Named as the columns that Delta itself reserves in tables with a change data feed. Of net changes, the first is
/// the number under which a row was handed on.
const MARKS: &str = "_commit_version bigint, _change_type smallint";
pub(super) const MARK_NAMES: &str = "_commit_version, _change_type";

/// Copies changes into a table that is kept from run to run: making one is slower than emptying it.
pub(crate) async fn stage_changes(
    target: &mut Target,
    layout: &Layout,
    rows: RowStream,
) -> Result<Counts, Error> {
    keep_table(target, layout, &target.changes).await?;
    let (table, name) = (target.table.clone(), target.changes.clone());
    let transaction = target.begin().await?;
    run(&transaction, "stage", &table, &format!("truncate {name}")).await?;
    let columns = layout.column_list("");
    let copy = format!("copy {name} ({columns}, {MARK_NAMES}) from stdin (format binary, freeze)");
    let counts = rows.copy(&transaction, &copy, &table).await?;
    failpoint::reach("changes: collected");
    transaction.commit().await.map_err(Error::target("stage", &table))?;
    failpoint::reach("changes: staged");
    Ok(counts)
}

/// Fills the table of net changes, which is empty, from the changes that were collected.
pub(super) async fn reduce(
    transaction: &Transaction<'_>,
    table: &TableName,
    statement: &str,
    net: &QualifiedName,
) -> Result<Effects, Error> {
    let failed = || Error::target("reduce the changes of", table);
    transaction.execute(statement, &[]).await.map_err(failed())?;
    let kinds = [Insert, Upsert, Delete, CameAndWent, Unclear];
    let count = |kind: &Effect| format!("count(*) filter (where _change_type = {})", *kind as i16);
    let counts = kinds.iter().map(count).collect::<Vec<_>>().join(", ");
    let counts = format!("select {counts} from {net}");
    let row = transaction.query_one(&counts, &[]).await.map_err(failed())?;
    let number = |nth: usize| u64::try_from(row.get::<_, i64>(nth)).unwrap_or_default();
    Ok(Effects {
        inserts: number(0),
        upserts: number(1),
        deletes: number(2),
        came_and_went: number(3),
        unclear: number(4),
    })
}

/// The statement that reduces changes.
pub(super) fn reducing(target: &Target, layout: &Layout) -> String {
    match layout.newest_by {
        Some(_) => net_newest(target, layout),
        None => net_last(target, layout),
    }
}

/// Makes the table, unless it is there with the same columns.
pub(super) async fn keep_table(
    target: &Target,
    layout: &Layout,
    name: &QualifiedName,
) -> Result<(), Error> {
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

/// The last change of each key. In one version a row goes before its successor comes.
fn net_last(target: &Target, layout: &Layout) -> String {
    let (changes, net, key) = (&target.changes, &target.net, layout.key_list("s."));
    let columns = layout.column_list("");
    let (insert, upsert, delete) = (Insert as i16, Upsert as i16, Delete as i16);
    let (came_and_went, unclear) = (CameAndWent as i16, Unclear as i16);
    format!(
        "insert into {net} ({columns}, _change_type) select {columns}, case \
           when _change_type > 0 and balance = 1 then {insert} \
           when _change_type > 0 and balance < 1 then {upsert} \
           when _change_type < 0 and balance < 0 then {delete} \
           when _change_type < 0 and balance = 0 then {came_and_went} \
           else {unclear} end \
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
    let (upsert, unclear) = (Upsert as i16, Unclear as i16);
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
         select {columns}, case when held then {unclear} else {upsert} end \
         from newest where lost or not held"
    )
}
