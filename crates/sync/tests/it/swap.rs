//! Swaps: only above the share, never where others refer to the rows or hold the table, and what users made stays.

use lakeport_sync::{Kind, Outcome};

use crate::support::{Database, add_commit, at_version, database, run};

const PLACE: &str = "select pg_relation_filenode('served.t')";
const DIGEST: &str = "select count(*), sum(hashtext(t::text)::bigint) from served.t t";

/// Brings a table from its first version to its second, of whose 25,000 rows 15,000 differ, after some
/// statements of a user's. Gives whether the rows are stored in another file.
async fn refreshed(db: &Database, share: f64, user: &str) -> (Outcome, bool) {
    let copy = tempfile::tempdir().unwrap();
    at_version("versions", 0, copy.path());
    let mut job = db.job(copy.path(), &["id"]);
    job.options.swap_share = Some(share);
    run(&job).await.unwrap();
    db.client.batch_execute(user).await.unwrap();
    let before = db.value(PLACE).await;
    add_commit("versions", 1, copy.path());
    let outcome = run(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.version, outcome.rows), (Kind::Refreshed, 1, 25_000));
    let counts = (outcome.inserted, outcome.updated, outcome.deleted);
    assert_eq!(counts, (10_000, 5_000, 5_000));
    (outcome, db.value(PLACE).await != before)
}

#[tokio::test]
async fn above_the_share_all_rows_are_replaced() {
    let db = database("swapped").await;
    let user = "create view served.v as select * from served.t; \
                create index mine on served.t (name); \
                comment on table served.t is 'mine'; \
                grant select on served.t to public";
    let (outcome, moved) = refreshed(&db, 0.59, user).await;
    assert!(outcome.swapped && moved);
    let fresh = database("swapped_fresh").await;
    fresh.sync("versions").await.unwrap();
    assert_eq!(db.value(DIGEST).await, fresh.value(DIGEST).await);
    assert_eq!(db.value("select count(*) from served.v").await, "25000");
    let kept = "select obj_description('served.t'::regclass), \
                has_table_privilege('public', 'served.t', 'select'), \
                (select count(*) from pg_indexes where tablename = 't'), \
                (select count(*) from pg_class where relname like 'stage%')";
    assert_eq!(db.value(kept).await, "mine|t|2|0");
}

#[tokio::test]
async fn at_the_share_the_differences_are_applied() {
    let db = database("not_swapped").await;
    let (outcome, moved) = refreshed(&db, 0.6, "").await;
    assert!(!outcome.swapped && !moved);
}

#[tokio::test]
async fn rows_that_others_refer_to_are_not_swapped() {
    let db = database("referenced").await;
    let user = "create table served.other (id bigint references served.t); \
                insert into served.other values (7000)";
    let (outcome, moved) = refreshed(&db, 0.0, user).await;
    assert!(!outcome.swapped && !moved);
}

#[tokio::test]
async fn a_table_that_somebody_reads_is_not_swapped() {
    let db = database("held").await;
    let reader = "begin isolation level repeatable read; select count(*) from served.t";
    let (outcome, moved) = refreshed(&db, 0.0, reader).await;
    assert!(!outcome.swapped && !moved);
    assert_eq!(db.value("select count(*) from served.t").await, "20000");
}
