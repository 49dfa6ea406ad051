//! Tables that an older build has loaded: what it may have read wrongly is loaded again, once.

use lakeport_sync::{Kind, READER_REVISION, Reload};

use crate::support::{Database, database, run, run_changes, stored};

const AT: &str = "select string_agg(at::text, ' ' order by id) from served.t";
const REVISION: &str = "select reader_revision from lakeport_sync.positions";

/// As an older build would have left it: with other values, and nothing said of who has read them.
async fn as_loaded_by_an_older_build(db: &Database) {
    db.client
        .batch_execute(
            "update served.t set at = '1816-03-30 05:56:07+00'; \
             alter table lakeport_sync.positions drop column reader_revision",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn a_table_that_an_older_build_has_misread_is_loaded_again_once() {
    let db = database("upgraded").await;
    let job = db.job(&stored().join("int96"), &["id"]);
    run(&job).await.unwrap();
    let right = db.value(AT).await;
    for follow in [true, false] {
        as_loaded_by_an_older_build(&db).await;
        assert_ne!(db.value(AT).await, right);
        let outcome = if follow { run_changes(&job).await } else { run(&job).await }.unwrap();
        let Some(Reload::Misread(what)) = &outcome.reload else { panic!("{outcome:?}") };
        assert!(what.contains("\"at\""), "{what}");
        assert_eq!(db.value(AT).await, right);
        assert_eq!(db.value(REVISION).await, READER_REVISION.to_string());
        assert_eq!(run_changes(&job).await.unwrap().kind, Kind::Unchanged);
    }
}

#[tokio::test]
async fn a_reload_that_fails_is_made_by_the_next_run() {
    let db = database("upgraded_later").await;
    let job = db.job(&stored().join("int96"), &["id"]);
    run(&job).await.unwrap();
    as_loaded_by_an_older_build(&db).await;
    // Somebody is in the way of the reload's end.
    let refuse = "create function served.refuse() returns trigger language plpgsql as \
                  $$ begin raise exception 'not now'; end $$; \
                  create trigger refuse before update on served.t execute function served.refuse()";
    db.client.batch_execute(refuse).await.unwrap();
    let error = run_changes(&job).await.unwrap_err();
    assert!(error.message().contains("not now"), "{error}");
    assert_eq!(
        db.value(
            "select count(*) from lakeport_sync.positions \
                         where reader_revision is null"
        )
        .await,
        "1"
    );
    db.client.batch_execute("drop trigger refuse on served.t").await.unwrap();
    assert!(matches!(run_changes(&job).await.unwrap().reload, Some(Reload::Misread(_))));
}

#[tokio::test]
async fn a_table_that_was_read_well_is_left_alone() {
    let db = database("upgraded_well").await;
    let job = db.job(&stored().join("kinds"), &["id"]);
    run(&job).await.unwrap();
    let drop = "alter table lakeport_sync.positions drop column reader_revision";
    db.client.batch_execute(drop).await.unwrap();
    let outcome = run_changes(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.reload), (Kind::Unchanged, None));
    assert_eq!(db.value(REVISION).await, READER_REVISION.to_string());
}
