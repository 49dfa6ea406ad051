//! What cannot be synced: each is refused with a message that names the thing, and leaves no table.

use lakeport_sync::{Error, Source, SourceProblem, drop_target, inspect};

use crate::support::{Database, add_commit, at_version, database, name, run, run_changes, tables};

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
        ("catalog_managed", "kept by its catalog"),
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
    assert!(refuse("wide", &["id"]).await.contains("1601 columns, and a synced table has 1598"));
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
async fn a_table_of_many_columns_can_be_looked_at() {
    let location = tables().join("wide").to_str().unwrap().to_owned();
    let found = inspect(&Source { location, ..Source::default() }).await.unwrap();
    assert_eq!(found.columns.len(), 1601);
}

#[tokio::test]
async fn a_key_that_is_too_long_for_its_index_is_named() {
    let db = database("long_key").await;
    let is_named = |error: &Error| {
        let Error::Data { key: Some(key), what, .. } = error else { panic!("{error:?}") };
        assert!(key.starts_with("id=long") && key.ends_with('…'), "{key}");
        assert!(what.contains("9004 bytes are too long for a primary key"), "{what}");
    };
    is_named(&db.sync("long_key").await.unwrap_err());
    no_table(&db).await;

    // The same by a refresh and by a change.
    let directory = tempfile::tempdir().unwrap();
    at_version("long_key", 0, directory.path());
    let job = db.job(directory.path(), &["id"]);
    run(&job).await.unwrap();
    add_commit("long_key", 1, directory.path());
    is_named(&run(&job).await.unwrap_err());
    is_named(&run_changes(&job).await.unwrap_err());
    // An index that a user has made is named instead.
    drop_target(&db.writer, &name()).await.unwrap();
    at_version("long_key", 0, directory.path());
    let mut job = db.job(directory.path(), &["v"]);
    job.table.table = "by_number".to_owned();
    run(&job).await.unwrap();
    db.client.batch_execute("create index mine on served.by_number (id)").await.unwrap();
    add_commit("long_key", 1, directory.path());
    let message = run_changes(&job).await.unwrap_err().message();
    assert!(message.contains("entry of an index"), "{message}");
}

#[tokio::test]
async fn tables_of_others_are_left_alone() {
    let db = database("foreign_table").await;
    db.client.batch_execute("create schema served; grant all on schema served to foreign_table; create table served.t (id int)").await.unwrap();
    let error = db.sync("types").await.unwrap_err();
    assert_eq!(error.sqlstate(), Some("42P07"));
    assert!(error.message().contains("no sync of this role has made it"), "{error}");
    assert_eq!(drop_target(&db.writer, &name()).await.unwrap_err().sqlstate(), Some("42P07"));
    assert_eq!(db.value("select count(*) from served.t").await, "0");
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
