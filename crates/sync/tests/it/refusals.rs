//! What cannot be synced: each is refused with a message that names the thing, and leaves no table.

use lakeport_sync::{Error, Source, SourceProblem, drop_target, inspect};

use crate::support::{Database, database, name, run, tables};

async fn no_table(db: &Database) {
    assert_eq!(db.value("select to_regclass('served.t') is null").await, "t");
}

async fn refused_source(db: &Database, table: &str) -> (SourceProblem, String) {
    let error = db.sync(table).await.unwrap_err();
    no_table(db).await;
    match error {
        Error::Source { problem, ref location, .. } => {
            assert!(location.contains(table), "{location}");
            (problem, error.message())
        }
        other => panic!("{table}: {other:?}"),
    }
}

#[tokio::test]
async fn sources_that_are_not_there_or_not_delta() {
    let db = database("no_source").await;
    let (problem, _) = refused_source(&db, "nowhere").await;
    assert_eq!(problem, SourceProblem::Missing);
    let (problem, message) = refused_source(&db, "no_log").await;
    assert_eq!(problem, SourceProblem::NotDelta);
    assert!(message.contains("_delta_log"), "{message}");
}

#[tokio::test]
async fn files_that_are_missing_or_broken_are_named() {
    let db = database("broken_files").await;
    let (problem, message) = refused_source(&db, "missing_file").await;
    assert_eq!(problem, SourceProblem::MissingFile);
    assert!(message.contains(".parquet, which does not exist"), "{message}");
    for table in ["corrupt_file", "short_file"] {
        let (problem, message) = refused_source(&db, table).await;
        assert_eq!(problem, SourceProblem::Corrupt, "{message}");
        assert!(message.contains(".parquet"), "{message}");
    }
}

#[tokio::test]
async fn features_and_types_that_cannot_be_read_are_named() {
    let db = database("unreadable").await;
    for (table, named) in [
        ("fancy", "fancyNew"),
        ("wide", "1601 columns"),
        ("geometry", "geometry(OGC:CRS84)"),
        ("geography", "geography(OGC:CRS84, spherical)"),
    ] {
        let (problem, message) = refused_source(&db, table).await;
        assert_eq!(problem, SourceProblem::Unsupported, "{message}");
        assert!(message.contains(named), "{message}");
    }
}

#[tokio::test]
async fn values_that_postgresql_cannot_hold_are_named() {
    let db = database("bad_values").await;
    for (table, value) in [("nul_text", "id=42"), ("nul_json", "id=42"), ("late_date", "id=9")] {
        let error = db.sync(table).await.unwrap_err();
        let Error::Data { table: of, column, key, .. } = &error else { panic!("{error:?}") };
        assert_eq!(
            (of.as_str(), column.as_deref(), key.as_deref()),
            ("served.t", Some("v"), Some(value))
        );
        assert!(!error.is_retryable());
        no_table(&db).await;
    }
    let error = db.sync("duplicate_key").await.unwrap_err();
    assert!(matches!(&error, Error::Data { key: Some(key), .. } if key == "id=7"), "{error:?}");
    no_table(&db).await;
}

#[tokio::test]
async fn keys_and_names_are_checked_first() {
    let db = database("bad_jobs").await;
    let refuse = |table: &'static str, key: &'static [&'static str]| {
        let job = db.job(&tables().join(table), key);
        async move {
            match run(&job).await.unwrap_err() {
                Error::Config { message } => message,
                other => panic!("{other:?}"),
            }
        }
    };
    assert!(refuse("types", &[]).await.contains("empty"));
    assert!(refuse("types", &["ID"]).await.contains("\"ID\" is not in the source"));
    assert!(refuse("types", &["id", "id"]).await.contains("twice"));
    assert!(refuse("types", &["list"]).await.contains("cannot be part of a primary key"));
    assert!(refuse("system_column", &["id"]).await.contains("system column"));
}

#[tokio::test]
async fn a_row_that_is_too_wide_is_explained() {
    let db = database("too_wide").await;
    let error = db.sync("too_big").await.unwrap_err();
    assert!(error.message().contains("does not fit into a page of 8 kB"), "{error}");
    assert!(!error.is_retryable());
    no_table(&db).await;
}

#[tokio::test]
async fn tables_of_others_are_left_alone() {
    let db = database("foreign_table").await;
    db.client.batch_execute("create schema served; grant all on schema served to foreign_table; create table served.t (id int)").await.unwrap();
    let error = db.sync("types").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42P07"));
    assert!(error.message().contains("is not a synced table"), "{error}");
    assert_eq!(drop_target(&db.writer, &name()).await.unwrap_err().sqlstate(), Some("42P07"));
    assert_eq!(db.value("select count(*) from served.t").await, "0");
}

#[tokio::test]
async fn positions_of_another_role_are_not_trusted() {
    let db = database("planted").await;
    db.client.batch_execute("create role intruder; create schema lakeport_sync; create table lakeport_sync.positions (x int); alter table lakeport_sync.positions owner to intruder; grant all on schema lakeport_sync to planted").await.unwrap();
    let error = db.sync("types").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42501"));
    no_table(&db).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_worth_another_try() {
    let db = database("unreachable").await;
    let mut job = db.job(&tables().join("types"), &["id"]);
    job.target = tokio_postgres::Config::new();
    job.target.host_path("/nonexistent").user("nobody").password("hunter2");
    let error = run(&job).await.unwrap_err();
    assert!(error.is_retryable());
    assert!(!format!("{error} {error:?} {job:?}").contains("hunter2"));
}

#[tokio::test]
async fn only_stores_of_tables_are_opened() {
    for location in ["http://127.0.0.1/t", "memory:///t", ""] {
        let refused = inspect(&Source { location: location.to_owned(), ..Source::default() }).await;
        assert!(refused.is_err_and(|error| !error.is_retryable()), "{location}");
    }
}
