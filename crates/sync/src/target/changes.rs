//! Changes that are reduced by PostgreSQL: collected aside as they come, and then what they come to for
//! each key found by one statement.
//!
//! That is how changes are reduced that memory does not hold, or whose effect the table's own rows decide.

use lakeport_pg::QualifiedName;
use tokio_postgres::Transaction;

use super::ddl::{Layout, Marks};
use super::load::run;
use super::session::{Aside, Target};
use super::shape::TYPE_NAME;
use crate::copy::Effect::{CameAndWent, Delete, Insert, Unclear, Upsert};
use crate::copy::{Counts, Effect, Effects, RowStream};
use crate::error::Error;
use crate::failpoint;
use crate::job::TableName;

/// Copies changes into a table that is kept from run to run: making one is slower than emptying it.
pub(crate) async fn stage_changes(
    target: &mut Target,
    layout: &Layout,
    rows: RowStream,
) -> Result<Counts, Error> {
    keep_table(target, layout, &target.aside.changes).await?;
    let (table, name) = (target.table.clone(), target.aside.changes.clone());
    let transaction = target.begin().await?;
    run(&transaction, "stage", &table, &format!("truncate {name}")).await?;
    let (columns, marks) = (layout.column_list(""), layout.marks().names());
    let copy = format!("copy {name} ({columns}, {marks}) from stdin (format binary, freeze)");
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
    reducing: &Reducing,
) -> Result<Effects, Error> {
    let failed = || Error::target("reduce the changes of", table);
    transaction.execute(&reducing.fill, &[]).await.map_err(failed())?;
    let row = transaction.query_one(&reducing.count, &[]).await.map_err(failed())?;
    let number = |nth: usize| u64::try_from(row.get::<_, i64>(nth)).unwrap_or_default();
    Ok(Effects {
        inserts: number(0),
        upserts: number(1),
        deletes: number(2),
        came_and_went: number(3),
        unclear: number(4),
    })
}

/// The statements that reduce changes and count what they have come to.
pub(super) struct Reducing {
    fill: String,
    count: String,
}

impl Reducing {
    pub(super) fn new(target: &Target, layout: &Layout) -> Self {
        let (net, change) = (&target.aside.net, layout.marks().change);
        let kinds = [Insert, Upsert, Delete, CameAndWent, Unclear];
        let count = |kind: Effect| format!("count(*) filter (where {change} = {})", kind as i16);
        let counts = kinds.map(count).join(", ");
        let fill = match layout.newest_by {
            Some(_) => net_newest(target, layout),
            None => net_last(target, layout),
        };
        Self { fill, count: format!("select {counts} from {net}") }
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
    let marks = layout.marks().columns();
    wanted.extend(marks.clone());
    if found == wanted {
        return Ok(());
    }
    let make = layout.create_loose(name, &marks.join(", "));
    target
        .client()
        .batch_execute(&format!("begin; drop table if exists {name}; {make}; commit"))
        .await
        .map_err(failed())
}

/// The last change of each key. In one version a row goes before its successor comes.
fn net_last(target: &Target, layout: &Layout) -> String {
    let (changes, net, key) = (&target.aside.changes, &target.aside.net, layout.key_list("s."));
    let (columns, there) = (layout.column_list(""), layout.column_list("ranked."));
    let Marks { version, change } = layout.marks();
    let (nth, balance) = (layout.own("nth"), layout.own("balance"));
    let (insert, upsert, delete) = (Insert as i16, Upsert as i16, Delete as i16);
    let (came_and_went, unclear) = (CameAndWent as i16, Unclear as i16);
    format!(
        "insert into {net} ({columns}, {change}) select {there}, case \
           when ranked.{change} > 0 and ranked.{balance} = 1 then {insert} \
           when ranked.{change} > 0 and ranked.{balance} < 1 then {upsert} \
           when ranked.{change} < 0 and ranked.{balance} < 0 then {delete} \
           when ranked.{change} < 0 and ranked.{balance} = 0 then {came_and_went} \
           else {unclear} end \
         from (select s.*, \
           row_number() over (partition by {key} \
             order by s.{version} desc, s.{change} desc) as {nth}, \
           sum(s.{change}) over (partition by {key}) as {balance} \
           from {changes} s) ranked \
         where ranked.{nth} = 1"
    )
}

/// The newest row of each key among those that have come and the one that is there. If that one has
/// gone and nothing newer has come, older rows may be left, which only the source knows.
fn net_newest(target: &Target, layout: &Layout) -> String {
    let (name, Aside { changes, net, .. }) = (&target.name, &target.aside);
    let (columns, there) = (layout.column_list(""), layout.column_list("t."));
    let of = |prefix: &str| (layout.column_list(prefix), layout.key_list(prefix));
    let ((all_s, _), (all_c, key_c), (all_n, _)) = (of("s."), of("c."), of("n."));
    let (gone, compared) = (layout.compared_list("s."), layout.compared_list("t."));
    let (key_there, key_match) = (layout.key_list("t."), layout.key_match());
    let newest_first = layout.newest_first("c.").unwrap_or_default();
    let change = layout.marks().change;
    let (sum, held, lost) = (layout.own("sum"), layout.own("held"), layout.own("lost"));
    let (upsert, unclear) = (Upsert as i16, Unclear as i16);
    format!(
        "with changed as materialized ( \
           select {all_s}, sum(s.{change}) as {sum} from {changes} s \
           group by {all_s} having sum(s.{change}) <> 0), \
         candidates as ( \
           select {all_c}, false as {held}, false as {lost} from changed c where c.{sum} > 0 \
           union all \
           select {there}, true, s.{sum} is not null from {name} t left join changed s \
             on {key_match} and s.{sum} < 0 and row({gone}) is not distinct from row({compared}) \
           where ({key_there}) in (select {key_c} from changed c)), \
         newest as (select distinct on ({key_c}) c.* from candidates c \
           order by {key_c}, {newest_first}, c.{held} desc) \
         insert into {net} ({columns}, {change}) \
         select {all_n}, case when n.{held} then {unclear} else {upsert} end \
         from newest n where n.{lost} or not n.{held}"
    )
}
