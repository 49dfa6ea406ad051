//! Sources whose columns change: refused with the one way out, or followed in the table that is there.

use lakeport_sync::{Error, Job, Kind, Outcome, Reload, SourceProblem};

use crate::support::{Database, add_commit, at_version, database, run, run_changes};

const VIEWS: &str = "create role reader; grant select on served.t to reader; \
                     create index mine on served.t (name); \
                     create view served.v as select id, name from served.t";

async fn loaded(db: &Database, table: &str, version: u64) -> (tempfile::TempDir, Job) {
    let directory = tempfile::tempdir().unwrap();
    at_version(table, version, directory.path());
    let job = db.job(directory.path(), &["id"]);
    assert_eq!(run_changes(&job).await.unwrap().kind, Kind::Loaded);
    (directory, job)
}

/// Without being asked the run fails and names the way out; then it follows.
async fn follows(job: &Job, named: &str) -> Outcome {
    let error = run_changes(job).await.unwrap_err();
    let message = error.message();
    assert!(message.contains(named) && message.contains("run a full refresh"), "{message}");
    assert!(error.heals_by_reload() && !error.is_retryable(), "{error:?}");
    let mut following = job.clone();
    following.options.reload_on_gap = true;
    let outcome = run_changes(&following).await.unwrap();
    assert!(outcome.reload.is_some(), "{outcome:?}");
    assert_eq!(run_changes(job).await.unwrap().kind, Kind::Unchanged);
    outcome
}

#[tokio::test]
async fn renames_drops_and_replacements_are_followed_in_place() {
    let db = database("reshaped").await;
    let (directory, job) = loaded(&db, "reshaped", 0).await;
    db.client.batch_execute(VIEWS).await.unwrap();
    let table = "select 'served.t'::regclass::oid";
    let before = db.value(table).await;

    add_commit("reshaped", 1, directory.path());
    follows(&job, "\"name\" is now called \"title\"").await;
    let rows = db.rows("select id, title, amount, info from served.t order by id").await;
    assert_eq!(rows, ["1|a|1|x", "2|b|2|y"]);

    add_commit("reshaped", 2, directory.path());
    follows(&job, "no longer has the column \"amount\"").await;
    add_commit("reshaped", 3, directory.path());
    let outcome = follows(&job, "\"info\" is now bigint, and was text").await;
    assert!(matches!(outcome.reload, Some(Reload::Reshaped(_))), "{outcome:?}");
    let rows = db.rows("select id, title, info from served.t order by id").await;
    assert_eq!(rows, ["2|b|20", "3|c|30"]);

    assert_eq!(db.value(table).await, before);
    assert_eq!(db.rows("select id, name from served.v order by id").await, ["2|b", "3|c"]);
    let grant = "select has_table_privilege('reader', 'served.t', 'select')";
    assert_eq!(db.value(grant).await, "t");
    let index = "select pg_get_indexdef('served.mine'::regclass) like '%(title)'";
    assert_eq!(db.value(index).await, "t");
}

#[tokio::test]
async fn what_does_not_fit_a_new_type_goes_or_is_named() {
    let db = database("reshaped_dependents").await;
    let (directory, mut job) = loaded(&db, "reshaped", 2).await;
    // No index of this kind is there for numbers.
    db.client
        .batch_execute(
            "create index words on served.t using gin (to_tsvector('simple', info)); \
             create view served.infos as select info from served.t",
        )
        .await
        .unwrap();
    add_commit("reshaped", 3, directory.path());
    job.options.force = true;
    let error = run_changes(&job).await.unwrap_err();
    assert!(error.message().contains("view served.infos"), "{error}");
    assert_eq!(db.rows("select info from served.t order by id").await, ["x", "y"]);

    db.client.batch_execute("drop view served.infos").await.unwrap();
    let outcome = run_changes(&job).await.unwrap();
    assert!(matches!(outcome.reload, Some(Reload::Reshaped(_))), "{outcome:?}");
    assert_eq!(db.rows("select info from served.t order by id").await, ["20", "30"]);
    let words = "select count(*) from pg_class where relname = 'words'";
    assert_eq!(db.value(words).await, "0");
}

#[tokio::test]
async fn a_key_of_another_type_is_followed() {
    let db = database("rekeyed").await;
    let (directory, job) = loaded(&db, "rekeyed", 0).await;
    add_commit("rekeyed", 1, directory.path());
    follows(&job, "\"id\" is now text, and was bigint").await;
    assert_eq!(db.rows("select id, v from served.t order by id").await, ["one|a", "two|c"]);
    let key =
        "select count(*) from pg_index where indrelid = 'served.t'::regclass and indisprimary";
    assert_eq!(db.value(key).await, "1");
}

#[tokio::test]
async fn a_restored_table_is_followed_in_every_mode() {
    let db = database("restored").await;
    let (directory, job) = loaded(&db, "restored", 1).await;
    add_commit("restored", 2, directory.path());
    // As snapshots follow it too.
    let error = run(&job).await.unwrap_err();
    assert!(error.message().contains("no longer has the column \"more\""), "{error}");
    follows(&job, "no longer has the column \"more\"").await;
    assert_eq!(db.rows("select * from served.t").await, ["1|a"]);
}

#[tokio::test]
async fn a_name_that_was_away_for_a_time_is_a_gap() {
    let db = database("renamed_between").await;
    let (directory, job) = loaded(&db, "renamed_between", 0).await;
    for version in 1..=3 {
        add_commit("renamed_between", version, directory.path());
    }
    let error = run_changes(&job).await.unwrap_err();
    assert!(matches!(error, Error::Source { problem: SourceProblem::FeedLost, .. }), "{error:?}");
    follows(&job, "\"v\" was dropped and made again, or renamed, at version 1").await;
    assert_eq!(db.rows("select id, v from served.t order by id").await, ["1|a", "2|b"]);
}

#[tokio::test]
async fn a_column_that_somebody_has_added_is_not_dropped() {
    let db = database("own_column").await;
    let (directory, mut job) = loaded(&db, "restored", 1).await;
    db.client.batch_execute("alter table served.t add column note text").await.unwrap();
    add_commit("restored", 2, directory.path());
    job.options.force = true;
    let error = run_changes(&job).await.unwrap_err();
    assert!(error.message().contains("\"note\" was added to the table"), "{error}");
    db.client.batch_execute("alter table served.t drop column note").await.unwrap();
    run_changes(&job).await.unwrap();
}
