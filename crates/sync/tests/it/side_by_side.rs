//! Several roles that sync into one database, tables that stay when a sync ends, and positions of older builds.

use lakeport_sync::{Kind, TableName, applied, drop_target, is_left, leave_target};
use tokio_postgres::Config;

use crate::support::{Database, add_commit, at_version, connect, database, name, run, tables};

/// Another role that may sync into the database.
async fn role(db: &Database, name: &str) -> Config {
    let make = format!(
        "create role {name} login; \
         do $$ begin execute format('grant create on database %I to {name}', current_database()); end $$"
    );
    db.client.batch_execute(&make).await.unwrap();
    let mut config = db.writer.clone();
    config.user(name);
    config
}

#[tokio::test]
async fn roles_sync_side_by_side_and_not_into_each_others_tables() {
    let db = database("side_by_side").await;
    let other = role(&db, "side_by_side_other").await;
    let mut mine = db.job(&tables().join("evolving"), &["id"]);
    run(&mine).await.unwrap();

    let mut theirs = mine.clone();
    theirs.target = other.clone();
    let error = run(&theirs).await.unwrap_err();
    let message = error.message();
    assert!(message.contains("\"side_by_side\"") && !message.contains("drop"), "{message}");
    theirs.table = TableName { schema: "theirs".to_owned(), table: "t".to_owned() };
    assert_eq!(run(&theirs).await.unwrap().kind, Kind::Loaded);
    assert_eq!(run(&theirs).await.unwrap().kind, Kind::Unchanged);
    assert_eq!(run(&mine).await.unwrap().kind, Kind::Unchanged);
    assert!(applied(&other, &theirs.table).await.unwrap().is_some());
    assert_eq!(applied(&other, &name()).await.unwrap(), None);

    // What belongs to the one who runs may be dropped by them, and the message says so.
    db.client.batch_execute("set role side_by_side; create table served.own ()").await.unwrap();
    mine.table.table = "own".to_owned();
    let error = run(&mine).await.unwrap_err();
    assert!(error.message().contains("drop it if nobody needs it"), "{error}");
}

#[tokio::test]
async fn positions_in_a_schema_of_somebody_else_are_not_trusted() {
    let db = database("untrusted").await;
    let other = role(&db, "untrusted_other").await;
    let stranger = connect(&other).await;
    stranger
        .batch_execute(
            "create schema lakeport_sync; create table lakeport_sync.positions (schema_name text); \
             grant all on schema lakeport_sync to public; \
             grant all on lakeport_sync.positions to public",
        )
        .await
        .unwrap();
    assert_eq!(db.sync("evolving").await.unwrap().kind, Kind::Loaded);
    assert_eq!(db.sync("evolving").await.unwrap().kind, Kind::Unchanged);
    assert_eq!(db.value("select count(*) from lakeport_sync.positions").await, "0");
}

#[tokio::test]
async fn a_table_that_stays_is_known_and_replaced() {
    let db = database("leaving").await;
    db.sync("evolving").await.unwrap();
    assert!(!is_left(&db.writer, &name()).await.unwrap());
    leave_target(&db.writer, &name()).await.unwrap();
    leave_target(&db.writer, &name()).await.unwrap();
    assert!(is_left(&db.writer, &name()).await.unwrap());
    assert_eq!(applied(&db.writer, &name()).await.unwrap(), None);
    assert_eq!(db.sync("versions").await.unwrap().kind, Kind::Loaded);
    assert_eq!(db.value("select count(*) from served.t").await, "25000");

    // Another table under the same name is not what was left.
    leave_target(&db.writer, &name()).await.unwrap();
    db.client.batch_execute("drop table served.t; create table served.t ()").await.unwrap();
    assert!(!is_left(&db.writer, &name()).await.unwrap());
    assert!(db.sync("versions").await.unwrap_err().message().contains("it exists"));

    // It is somebody's own now, and not dropped with a sync.
    db.client.batch_execute("drop table served.t").await.unwrap();
    db.sync("versions").await.unwrap();
    leave_target(&db.writer, &name()).await.unwrap();
    db.client.batch_execute("alter table served.t owner to admin").await.unwrap();
    drop_target(&db.writer, &name()).await.unwrap();
    assert_eq!(db.value("select count(*) from served.t").await, "25000");
}

#[tokio::test]
async fn positions_of_an_older_build_are_used() {
    let db = database("older_positions").await;
    let directory = tempfile::tempdir().unwrap();
    at_version("evolving", 0, directory.path());
    let job = db.job(directory.path(), &["id"]);
    run(&job).await.unwrap();
    db.client
        .batch_execute(
            "alter table lakeport_sync.positions drop column reader_revision, \
             drop column column_names, drop column physical_names, drop column left_as",
        )
        .await
        .unwrap();
    assert_eq!(run(&job).await.unwrap().kind, Kind::Unchanged);
    let confirmed = "select reader_revision > 0 from lakeport_sync.positions";
    assert_eq!(db.value(confirmed).await, "t");
    add_commit("evolving", 1, directory.path());
    assert_eq!(run(&job).await.unwrap().kind, Kind::Refreshed);
}
