//! Connections that are kept between runs: used again, clean, in nobody's way, and replaced when they have ended.

use std::time::Duration;

use lakeport_sync::{Job, Kind, Sessions};

use crate::support::{Database, bring_to, connect, cut_at, database, histories, run_changes};

const TABLE: &str = "large";

const KEPT: &str = "select pid from pg_stat_activity \
                    where application_name = 'lakeport sync' and datname = current_database()";

const LOCKS: &str = "select count(*) from pg_locks join pg_database d on d.oid = database \
                     where locktype = 'advisory' and d.datname = current_database()";

/// A copy of a table at its first version, loaded over a connection that is kept.
async fn loaded(db: &Database) -> (tempfile::TempDir, Job) {
    let directory = tempfile::tempdir().unwrap();
    cut_at(&histories().join(TABLE), 0, directory.path());
    let mut job = db.job(directory.path(), &["id"]);
    job.sessions = Some(Sessions::default());
    assert_eq!(run_changes(&job).await.unwrap().kind, Kind::Loaded);
    (directory, job)
}

async fn next_version(directory: &tempfile::TempDir, job: &Job) {
    bring_to(&histories().join(TABLE), 1, directory.path());
    assert_eq!(run_changes(job).await.unwrap().kind, Kind::Changed);
}

async fn none_is_kept(db: &Database) {
    only_these_are_kept(db, &[]).await;
}

/// A backend whose client has left ends when it next looks at its socket.
async fn only_these_are_kept(db: &Database, kept: &[String]) {
    let gone = async {
        while db.rows(KEPT).await != kept {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.unwrap();
}

#[tokio::test]
async fn the_next_run_has_the_same_one_without_its_lock() {
    let db = database("kept").await;
    let (directory, job) = loaded(&db).await;
    let kept = db.rows(KEPT).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(db.value(LOCKS).await, "0");
    next_version(&directory, &job).await;
    assert_eq!(db.rows(KEPT).await, kept);

    // Another one that keeps nothing is not held up, and a third is not kept.
    let mut alone = job.clone();
    alone.sessions = None;
    assert_eq!(run_changes(&alone).await.unwrap().kind, Kind::Unchanged);
    only_these_are_kept(&db, &kept).await;
}

#[tokio::test]
async fn what_a_run_has_left_in_it_is_gone() {
    let db = database("clean").await;
    let (directory, job) = loaded(&db).await;
    // A run calls a user's function: the index asks it about each row.
    let function = |body: &str| {
        format!(
            "create or replace function served.twist(bigint) returns boolean immutable \
             language plpgsql as $$ begin {body} return true; end $$"
        )
    };
    let left = "perform set_config('twist.left', 'yes', false); perform pg_advisory_lock(4711);";
    db.client.batch_execute(&function("")).await.unwrap();
    db.client.batch_execute("create index on served.t (id) where served.twist(id)").await.unwrap();
    db.client.batch_execute(&function(left)).await.unwrap();
    next_version(&directory, &job).await;
    assert_eq!(db.value(LOCKS).await, "0");

    let look = "if current_setting('twist.left', true) = 'yes' then raise 'left'; end if;";
    db.client.batch_execute(&function(look)).await.unwrap();
    bring_to(&histories().join(TABLE), 2, directory.path());
    run_changes(&job).await.unwrap();
}

#[tokio::test]
async fn one_that_has_ended_is_replaced() {
    let db = database("ended").await;
    let (directory, job) = loaded(&db).await;
    let kept = db.value(KEPT).await;
    db.value(&format!("select pg_terminate_backend({kept}, 5000)")).await;
    next_version(&directory, &job).await;
    assert_ne!(db.value(KEPT).await, kept);
}

#[tokio::test]
async fn a_run_that_fails_keeps_none() {
    let db = database("failed").await;
    let (directory, job) = loaded(&db).await;
    std::fs::write(directory.path().join("_delta_log/00000000000000000001.json"), "{").unwrap();
    run_changes(&job).await.unwrap_err();
    none_is_kept(&db).await;
}

#[tokio::test]
async fn those_of_one_database_can_be_closed() {
    let (db, other) = (database("closed").await, database("open").await);
    let (_directory, job) = loaded(&db).await;
    let (_other_directory, mut other_job) = loaded(&other).await;
    other_job.sessions = job.sessions.clone();
    run_changes(&other_job).await.unwrap();
    job.sessions.as_ref().unwrap().close(&db.writer);
    none_is_kept(&db).await;
    assert_eq!(other.rows(KEPT).await.len(), 1);
}

#[tokio::test]
async fn a_database_can_be_dropped_renamed_and_copied() {
    let db = database("in_the_way").await;
    let other = database("in_the_way_too").await;
    let (_directory, _job) = loaded(&db).await;
    let (_other_directory, _other_job) = loaded(&other).await;
    let admin = connect(db.admin().clone().dbname("postgres")).await;
    drop((db.client, other.client));
    // Each waits until the one that is kept is closed, which it would not be before a minute and a half.
    let asked = tokio::time::timeout(Duration::from_secs(60), async {
        admin.batch_execute("create database a_copy template in_the_way").await?;
        admin.batch_execute("drop database in_the_way").await?;
        admin.batch_execute("alter database in_the_way_too rename to elsewhere").await
    });
    asked.await.unwrap().unwrap();
}
