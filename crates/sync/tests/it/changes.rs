//! The change data feed at its edges: what is reloaded, refused, healed, and what survives.

use std::fs;
use std::time::Duration;

use lakeport_sync::{Error, Job, Kind, Reload, SourceProblem, applied, drop_target, next_commit};
use tokio_util::sync::CancellationToken;

use crate::support::{
    Database, add_commit, at_version, bring_to, copy, cut_at, database, histories, name, run,
    run_changes,
};

const DIGEST: &str = "select count(*), sum(hashtext(t::text)::bigint) from served.t t";

/// A copy of a table at a version, loaded.
async fn loaded(db: &Database, table: &str, version: u64) -> (tempfile::TempDir, Job) {
    let directory = tempfile::tempdir().unwrap();
    cut_at(&histories().join(table), version, directory.path());
    let job = db.job(directory.path(), &["id"]);
    assert_eq!(run_changes(&job).await.unwrap().kind, Kind::Loaded);
    (directory, job)
}

fn go_to(table: &str, version: u64, directory: &tempfile::TempDir) {
    bring_to(&histories().join(table), version, directory.path());
}

/// Fails, keeps the old version, and is healed by a full refresh and by the setting.
async fn gap(db: &Database, job: &Job, wanted: SourceProblem, named: &str) {
    let before = applied(&db.writer, &name()).await.unwrap();
    let error = run_changes(job).await.unwrap_err();
    assert!(matches!(error, Error::Source { problem, .. } if problem == wanted), "{error:?}");
    let message = error.message();
    assert!(message.contains(named) && message.contains("full refresh"), "{message}");
    assert_eq!(applied(&db.writer, &name()).await.unwrap(), before);

    let mut healing = job.clone();
    healing.options.reload_on_gap = true;
    let outcome = run_changes(&healing).await.unwrap();
    assert!(matches!(outcome.reload, Some(Reload::Gap(_))), "{outcome:?}");
    assert_eq!(run_changes(job).await.unwrap().kind, Kind::Unchanged);
}

#[tokio::test]
async fn a_log_that_was_cleaned_up_is_a_gap() {
    let db = database("lost_log").await;
    let (directory, job) = loaded(&db, "lost_log", 0).await;
    go_to("lost_log", 1, &directory);
    go_to("lost_log", 2, &directory);
    let checkpoint = "from deltalake import DeltaTable; import sys; \
                      DeltaTable(sys.argv[1]).create_checkpoint()";
    let python = crate::support::python();
    let mut command = std::process::Command::new(python);
    assert!(command.args(["-c", checkpoint]).arg(directory.path()).status().unwrap().success());
    for version in 0..2 {
        fs::remove_file(directory.path().join(format!("_delta_log/{version:020}.json"))).unwrap();
    }
    gap(&db, &job, SourceProblem::FeedLost, "no longer has version 1").await;
    assert_eq!(db.rows("select * from served.t order by id").await, ["1|a", "2|B"]);
}

#[tokio::test]
async fn change_data_that_was_vacuumed_is_a_gap() {
    let db = database("lost_changes").await;
    let (directory, job) = loaded(&db, "lost_changes", 0).await;
    go_to("lost_changes", 1, &directory);
    fs::remove_dir_all(directory.path().join("_change_data")).unwrap();
    gap(&db, &job, SourceProblem::FeedLost, "VACUUM").await;
    assert_eq!(db.rows("select * from served.t order by id").await, ["1|a", "2|B", "3|c"]);
}

#[tokio::test]
async fn a_feed_that_was_off_is_a_gap() {
    let db = database("switched_off").await;
    let (directory, job) = loaded(&db, "switched_off", 1).await;
    for version in 2..=4 {
        go_to("switched_off", version, &directory);
    }
    gap(&db, &job, SourceProblem::FeedOff, "delta.enableChangeDataFeed = true").await;
    assert_eq!(db.value("select count(*) from served.t").await, "2");
}

#[tokio::test]
async fn another_table_at_the_same_place_is_noticed() {
    let db = database("replaced").await;
    let (directory, job) = loaded(&db, "replaced", 0).await;
    for entry in fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }
    copy(&histories().join("another"), directory.path());
    // Of the same version, which would otherwise be taken for the one that is applied.
    gap(&db, &job, SourceProblem::Replaced, "replaced").await;
    assert_eq!(db.rows("select * from served.t order by id").await, ["1|a", "7|z"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_changes_load_the_table_anew() {
    let db = database("large").await;
    let (directory, job) = loaded(&db, "large", 0).await;
    db.client.batch_execute("create index mine on served.t (v)").await.unwrap();
    go_to("large", 1, &directory);
    let outcome = run_changes(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.reload), (Kind::Changed, None));
    assert_eq!((outcome.inserted, outcome.updated, outcome.deleted), (0, 600, 0));

    for version in 2..=3 {
        go_to("large", version, &directory);
        let outcome = run_changes(&job).await.unwrap();
        assert!(matches!(outcome.reload, Some(Reload::TooManyChanges { .. })), "{outcome:?}");
        assert_eq!((outcome.kind, outcome.version), (Kind::Refreshed, version as i64));
    }
    let through_changes = db.value(DIGEST).await;
    let fresh = database("large_fresh").await;
    run(&fresh.job(directory.path(), &["id"])).await.unwrap();
    assert_eq!(through_changes, fresh.value(DIGEST).await);

    // By setting, the same changes are applied one by one.
    drop_target(&db.writer, &name()).await.unwrap();
    let (directory, mut job) = loaded(&db, "large", 0).await;
    job.options.reload_share = 10.0;
    for version in 1..=3 {
        go_to("large", version, &directory);
    }
    let outcome = run_changes(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.updated), (Kind::Changed, 60_000));
    assert_eq!(through_changes, db.value(DIGEST).await);
}

#[tokio::test]
async fn a_key_that_comes_twice_is_named() {
    let db = database("coming_twice").await;
    let (directory, job) = loaded(&db, "twice", 1).await;
    go_to("twice", 2, &directory);
    let error = run_changes(&job).await.unwrap_err();
    assert!(matches!(&error, Error::Data { key: Some(key), .. } if key == "id=9"), "{error:?}");
    assert!(error.message().contains("timeseries key"), "{error}");
    assert_eq!(applied(&db.writer, &name()).await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn rows_without_a_key_are_counted() {
    let db = database("keyless_changes").await;
    let (directory, job) = loaded(&db, "null_key", 1).await;
    go_to("null_key", 2, &directory);
    let outcome = run_changes(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.inserted, outcome.null_key_rows), (Kind::Changed, 1, 1));
}

#[tokio::test]
async fn a_dropped_column_is_named() {
    let db = database("dropped_column").await;
    let (directory, job) = loaded(&db, "dropped", 1).await;
    go_to("dropped", 2, &directory);
    let error = run_changes(&job).await.unwrap_err();
    assert!(error.message().contains("no longer has the column \"v\""), "{error}");
}

#[tokio::test]
async fn a_wider_type_flows_through() {
    let db = database("wider").await;
    let directory = tempfile::tempdir().unwrap();
    at_version("widening", 0, directory.path());
    let job = db.job(directory.path(), &["id"]);
    run_changes(&job).await.unwrap();
    add_commit("widening", 1, directory.path());
    let outcome = run_changes(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.inserted), (Kind::Changed, 1));
    let rows = db.rows("select id, n, pg_typeof(n) from served.t order by id").await;
    assert_eq!(rows, ["1|7|bigint", "2|1099511627776|bigint"]);
}

#[tokio::test]
async fn mapped_columns_and_deletion_vectors_change() {
    let db = database("mapped_changes").await;
    let directory = tempfile::tempdir().unwrap();
    at_version("mapped_changes", 0, directory.path());
    let job = db.job(directory.path(), &["id"]);
    run_changes(&job).await.unwrap();
    add_commit("mapped_changes", 1, directory.path());
    let outcome = run_changes(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.deleted), (Kind::Changed, 2));
    assert_eq!(db.rows("select id, \"na me\" from served.t order by id").await, ["2|b", "4|d"]);

    // Dropped and made again under its old name: the old values are gone, and no change says so.
    add_commit("mapped_changes", 2, directory.path());
    gap(&db, &job, SourceProblem::FeedLost, "\"na me\" was dropped and made again").await;
    assert_eq!(db.rows("select id, \"na me\" from served.t order by id").await, ["2|∅", "4|∅"]);
}

#[tokio::test]
async fn a_row_that_others_refer_to_stays_and_is_named() {
    let db = database("referred").await;
    let (directory, job) = loaded(&db, "lost_log", 1).await;
    db.client
        .batch_execute(
            "create view served.v as select * from served.t; \
             create table served.child (t bigint references served.t); \
             insert into served.child values (3)",
        )
        .await
        .unwrap();
    go_to("lost_log", 2, &directory);
    let error = run_changes(&job).await.unwrap_err();
    assert!(error.message().contains("(id)=(3)") && error.message().contains("child"), "{error}");
    assert!(!error.is_retryable());
    db.client.batch_execute("delete from served.child").await.unwrap();
    assert_eq!(run_changes(&job).await.unwrap().deleted, 1);
    assert_eq!(db.value("select count(*) from served.v").await, "2");
}

#[tokio::test]
async fn a_full_refresh_repairs_what_others_have_changed() {
    let db = database("repairing").await;
    let (_directory, mut job) = loaded(&db, "lost_log", 1).await;
    db.client.batch_execute("delete from served.t where id = 1").await.unwrap();
    assert_eq!(run_changes(&job).await.unwrap().kind, Kind::Unchanged);
    job.options.force = true;
    let outcome = run_changes(&job).await.unwrap();
    assert_eq!((outcome.inserted, outcome.reload), (1, Some(Reload::Asked)));
}

#[tokio::test]
async fn the_next_commit_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    cut_at(&histories().join("lost_log"), 0, directory.path());
    let location = directory.path().to_str().unwrap().to_owned();
    let source = lakeport_sync::Source { location, ..Default::default() };
    let (cancel, patience) = (CancellationToken::new(), Duration::from_secs(60));
    assert!(!next_commit(&source, 0, Duration::ZERO, &cancel).await.unwrap());
    let writing = async { go_to("lost_log", 1, &directory) };
    let (seen, ()) = tokio::join!(next_commit(&source, 0, patience, &cancel), writing);
    assert!(seen.unwrap());
    cancel.cancel();
    let cancelled = next_commit(&source, 1, patience, &cancel).await;
    assert!(matches!(cancelled, Err(Error::Cancelled)));
}

#[tokio::test]
async fn a_dropped_table_leaves_nothing_aside() {
    let db = database("nothing_aside").await;
    let (directory, job) = loaded(&db, "lost_log", 0).await;
    go_to("lost_log", 1, &directory);
    run_changes(&job).await.unwrap();
    drop_target(&db.writer, &name()).await.unwrap();
    let left = "select string_agg(relname, ',') from pg_class \
                where relnamespace = 'lakeport_sync'::regnamespace and relkind = 'r'";
    assert_eq!(db.value(left).await, "positions");
}
