//! Refreshes: differences applied in place, seen whole or not at all, exactly once.

use std::path::Path;

use lakeport_sync::{Error, Job, Kind, NullBytes, Progress, applied, drop_target, snapshot};
use tokio_util::sync::CancellationToken;

use crate::support::{Database, add_commit, at_version, database, name, run, tables};

/// Order-free sums that any difference would change.
const DIGEST: &str = "select count(*), sum(hashtext(t::text)::bigint) from served.t t";

/// Sessions of this database that wait for a lock.
const WAITING: &str = "select count(*) from pg_stat_activity \
                       where datname = current_database() and wait_event_type = 'Lock'";

/// What a load from nothing makes of the same source.
async fn fresh_digest(of: &str, test: &str) -> String {
    let db = database(test).await;
    db.sync(of).await.unwrap();
    db.value(DIGEST).await
}

async fn no_stage_is_left(db: &Database) {
    let staged = "select count(*) from pg_class where relname like 'stage%'";
    assert_eq!(db.value(staged).await, "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_count_the_old_or_the_new_rows() {
    let db = database("reading").await;
    let copy = tempfile::tempdir().unwrap();
    at_version("versions", 0, copy.path());
    let job = db.job(copy.path(), &["id"]);
    assert_eq!(run(&job).await.unwrap().rows, 20_000);
    db.client.batch_execute("create view served.v as select * from served.t; create index mine on served.t (name); comment on table served.t is 'mine'").await.unwrap();

    let stop = CancellationToken::new();
    let (reader, stopped) = (db.another_client().await, stop.clone());
    let reading = tokio::spawn(async move {
        let mut seen = Vec::new();
        while !stopped.is_cancelled() {
            let row =
                reader.query_one("select count(*), min(id), max(id) from served.v", &[]).await;
            let row = row.unwrap();
            let both: (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
            seen.push(both);
        }
        seen
    });
    add_commit("versions", 1, copy.path());
    let outcome = run(&job).await.unwrap();
    stop.cancel();
    let seen = reading.await.unwrap();

    assert!(!seen.is_empty());
    for counted in seen {
        assert!([(20_000, 0, 19_999), (25_000, 5_000, 29_999)].contains(&counted), "{counted:?}");
    }
    assert_eq!((outcome.kind, outcome.version), (Kind::Refreshed, 1));
    assert_eq!((outcome.rows, outcome.inserted, outcome.deleted), (25_000, 10_000, 5_000));
    // Of the 15,000 rows that stay, every third has a new name.
    assert_eq!(outcome.updated, 5_000);
    assert_eq!(db.value(DIGEST).await, fresh_digest("versions", "reading_fresh").await);
    assert_eq!(db.value("select count(*) from pg_indexes where indexname = 'mine'").await, "1");
    assert_eq!(db.value("select obj_description('served.t'::regclass)").await, "mine");
    no_stage_is_left(&db).await;
}

#[tokio::test]
async fn the_same_version_is_not_applied_twice() {
    let db = database("again").await;
    let mut job = db.job(&tables().join("versions"), &["id"]);
    run(&job).await.unwrap();
    let outcome = run(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.rows), (Kind::Unchanged, 25_000));

    // Forced, it repairs what somebody has changed.
    db.client
        .batch_execute(
            "delete from served.t where id < 5003; update served.t set name = '' where id = 6000",
        )
        .await
        .unwrap();
    job.options.force = true;
    let outcome = run(&job).await.unwrap();
    assert_eq!(outcome.kind, Kind::Refreshed);
    assert_eq!((outcome.inserted, outcome.updated, outcome.deleted), (3, 1, 0));
}

#[tokio::test]
async fn added_columns_are_followed_and_dropped_ones_refused() {
    let db = database("evolving").await;
    let copy = tempfile::tempdir().unwrap();
    at_version("evolving", 0, copy.path());
    let job = db.job(copy.path(), &["id"]);
    run(&job).await.unwrap();
    db.client.batch_execute("create view served.v as select id, name from served.t").await.unwrap();

    add_commit("evolving", 1, copy.path());
    run(&job).await.unwrap();
    let rows = db.rows("select id, name, \"Added\" from served.t order by id").await;
    assert_eq!(rows, ["1|a|∅", "2|b|∅", "3|c|3.5"]);

    add_commit("evolving", 2, copy.path());
    let error = run(&job).await.unwrap_err();
    assert!(error.message().contains("no longer has the column \"name\""), "{error}");
    assert!(error.message().contains("run a full refresh"), "{error}");
    assert_eq!(applied(&db.writer, &name()).await.unwrap().unwrap().version, 1);
}

#[tokio::test]
async fn a_failed_refresh_leaves_the_old_version() {
    let db = database("failing").await;
    let mut job = db.job(&tables().join("versions"), &["id"]);
    run(&job).await.unwrap();
    let before = db.value(DIGEST).await;

    // `id` again and again: another source with the same columns, whose keys are not unique.
    let copy = tempfile::tempdir().unwrap();
    duplicate_rows(copy.path());
    job.source.location = copy.path().to_str().unwrap().to_owned();
    let error = run(&job).await.unwrap_err();
    assert!(
        matches!(&error, Error::Data { key: Some(key), .. } if key.starts_with("id=")),
        "{error:?}"
    );
    assert_eq!(db.value(DIGEST).await, before);
    assert_eq!(applied(&db.writer, &name()).await.unwrap().unwrap().version, 1);
    no_stage_is_left(&db).await;
}

/// The table `versions` with its newest data file named twice.
fn duplicate_rows(copy: &Path) {
    at_version("versions", 1, copy);
    let commit = copy.join("_delta_log/00000000000000000001.json");
    let text = std::fs::read_to_string(commit).unwrap();
    let add = text.lines().find(|action| action.starts_with("{\"add\"")).unwrap();
    let path = add.split("\"path\":\"").nth(1).unwrap().split('"').next().unwrap();
    std::fs::copy(copy.join(path), copy.join("again.parquet")).unwrap();
    let again = add.replace(path, "again.parquet");
    std::fs::write(copy.join("_delta_log/00000000000000000002.json"), again + "\n").unwrap();
}

#[tokio::test]
async fn a_cancelled_run_changes_nothing() {
    let db = database("cancelling").await;
    let (job, mut holder) =
        (db.job(&tables().join("versions"), &["id"]), db.another_client().await);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let cancelled = snapshot(&job, &Progress::default(), &cancel).await;
    assert!(matches!(cancelled, Err(Error::Cancelled)));
    assert_eq!(applied(&db.writer, &name()).await.unwrap(), None);

    // A load that has copied its rows, and waits to write its position.
    db.sync("versions").await.unwrap();
    drop_target(&db.writer, &name()).await.unwrap();
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("lock table lakeport_sync.positions in share mode").await.unwrap();
    cancel_when_waiting(&db, &job).await;
    lock.rollback().await.unwrap();
    assert_eq!(applied(&db.writer, &name()).await.unwrap(), None);
    assert_eq!(run(&job).await.unwrap().kind, Kind::Loaded);

    // A refresh that has staged its rows, and waits to apply them.
    let mut forced = job.clone();
    forced.options.force = true;
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("lock table served.t in share mode").await.unwrap();
    cancel_when_waiting(&db, &forced).await;
    lock.rollback().await.unwrap();
    no_stage_is_left(&db).await;
    assert_eq!(run(&forced).await.unwrap().updated, 0);
}

async fn cancel_when_waiting(db: &Database, job: &Job) {
    let (cancel, progress) = (CancellationToken::new(), Progress::default());
    let cancelling = async {
        while db.value(WAITING).await == "0" {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (cancelled, ()) = tokio::join!(snapshot(job, &progress, &cancel), cancelling);
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
}

#[tokio::test]
async fn two_runs_at_once_make_one_load() {
    let db = database("twice").await;
    let job = db.job(&tables().join("versions"), &["id"]);
    let (one, two) = tokio::join!(run(&job), run(&job));
    let mut kinds = [one.unwrap().kind, two.unwrap().kind];
    kinds.sort_by_key(|kind| *kind as u8);
    assert_eq!(kinds, [Kind::Loaded, Kind::Unchanged]);
}

#[tokio::test]
async fn a_killed_backend_is_a_retryable_error_and_leaves_nothing() {
    let db = database("killed").await;
    let job = db.job(&tables().join("versions"), &["id"]);
    run(&job).await.unwrap();
    let mut holder = db.another_client().await;
    let lock = holder.transaction().await.unwrap();
    lock.batch_execute("lock table served.t in share mode").await.unwrap();
    let mut forced = job.clone();
    forced.options.force = true;
    let kill = async {
        let kill = WAITING.replace("count(*)", "count(pg_terminate_backend(pid))");
        while db.value(&kill).await == "0" {
            tokio::task::yield_now().await;
        }
    };
    let (failed, ()) = tokio::join!(run(&forced), kill);
    let error = failed.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    lock.rollback().await.unwrap();
    assert_eq!(run(&forced).await.unwrap().kind, Kind::Refreshed);
    no_stage_is_left(&db).await;
}

#[tokio::test]
async fn a_dropped_table_can_be_made_again() {
    let db = database("dropping").await;
    drop_target(&db.writer, &name()).await.unwrap();
    db.sync("versions").await.unwrap();
    db.client.batch_execute("create view served.v as select * from served.t").await.unwrap();
    let error = drop_target(&db.writer, &name()).await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("2BP01"));
    assert!(error.message().contains("view served.v"), "{error}");

    db.client.batch_execute("drop view served.v").await.unwrap();
    drop_target(&db.writer, &name()).await.unwrap();
    drop_target(&db.writer, &name()).await.unwrap();
    assert_eq!(applied(&db.writer, &name()).await.unwrap(), None);
    assert_eq!(db.sync("versions").await.unwrap().kind, Kind::Loaded);
}

#[tokio::test]
async fn nul_characters_can_be_replaced_or_stripped() {
    let db = database("nul_policy").await;
    for (policy, text) in [(NullBytes::Strip, "ab"), (NullBytes::Replace, "a\u{FFFD}b")] {
        for (table, wanted) in
            [("nul_text", text.to_owned()), ("nul_json", format!("[\"{text}\"]"))]
        {
            let mut job = db.job(&tables().join(table), &["id"]);
            job.options.null_bytes = policy;
            run(&job).await.unwrap();
            assert_eq!(db.value("select v from served.t where id = 42").await, wanted);
            drop_target(&db.writer, &name()).await.unwrap();
        }
    }
}
