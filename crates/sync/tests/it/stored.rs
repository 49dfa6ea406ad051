//! Data files that hold their columns otherwise than the log says: in other types, under other names, in
//! another calendar, elsewhere. Each is read as Spark reads it, or refused by name.

use std::fs;
use std::sync::Arc;

use lakeport_sync::{Error, Job, Kind, Reload, SourceProblem, drop_target, misread, preview};

use crate::support::{Database, bring_to, copy, cut_at, database, run, run_changes, stored};

async fn loaded(db: &Database, table: &str) {
    run(&db.job(&stored().join(table), &["id"])).await.unwrap_or_else(|error| {
        panic!("{table}: {error}");
    });
}

/// A copy of a table at its first version, loaded, and then followed to its last.
async fn followed(db: &Database, table: &str, key: &[&str]) -> (tempfile::TempDir, Job) {
    let (source, place) = (stored().join(table), tempfile::tempdir().unwrap());
    cut_at(&source, 0, place.path());
    let mut job = db.job(place.path(), key);
    job.options.reload_share = 1000.0;
    assert_eq!(run_changes(&job).await.unwrap().kind, Kind::Loaded, "{table}");
    copy(&source, place.path());
    let outcome = run_changes(&job).await.unwrap();
    assert_eq!((outcome.kind, outcome.reload), (Kind::Changed, None), "{table}");
    (place, job)
}

async fn refused(db: &Database, table: &str) -> (SourceProblem, String) {
    let error = run(&db.job(&stored().join(table), &["id"])).await.unwrap_err();
    let Error::Source { problem, .. } = error else { panic!("{table}: {error:?}") };
    (problem, error.message())
}

/// By both ways, beside a partition column, and at every depth.
#[tokio::test]
async fn timestamps_of_96_bits_are_read_in_all_their_range() {
    let db = database("int96").await;
    let expected = [
        r#"0|x|9999-12-31 23:59:59+00|["9999-12-31T23:59:59Z", null]|{"k": "9999-12-31T23:59:59Z"}|{"at": "9999-12-31T23:59:59Z", "more": null}"#,
        r#"1|x|0001-01-01 00:00:00+00|["0001-01-01T00:00:00Z", null]|{"k": "0001-01-01T00:00:00Z"}|{"at": "0001-01-01T00:00:00Z", "more": null}"#,
        "2|x|∅|∅|∅|∅",
        r#"3|∅|1500-01-01 00:00:00+00|["1500-01-01T00:00:00Z", null]|{"k": "1500-01-01T00:00:00Z"}|{"at": "1500-01-01T00:00:00Z", "more": null}"#,
        r#"4|∅|2020-01-01 00:00:00.000001+00|["2020-01-01T00:00:00.000001Z", null]|{"k": "2020-01-01T00:00:00.000001Z"}|{"at": "2020-01-01T00:00:00.000001Z", "more": null}"#,
    ];
    db.client.batch_execute("set timezone = 'UTC'").await.unwrap();
    let rows = "select id, p, at, list, named, nested from served.t order by id";
    loaded(&db, "int96").await;
    assert_eq!(db.rows(rows).await, expected);
    db.client.batch_execute("drop table served.t").await.unwrap();
    let (_place, job) = followed(&db, "int96", &["id"]).await;
    assert_eq!(db.rows(rows).await, expected);
    let shown = preview(&job.source, 10).await.unwrap();
    let at: Vec<_> = shown.rows.iter().map(|row| row[2].as_deref()).collect();
    assert!(at.contains(&Some("9999-12-31T23:59:59Z")), "{at:?}");
    assert!(at.contains(&Some("0001-01-01T00:00:00Z")), "{at:?}");
}

#[tokio::test]
async fn dates_of_the_old_calendar_keep_year_month_and_day() {
    let db = database("julian").await;
    db.client.batch_execute("set timezone = 'UTC'").await.unwrap();
    loaded(&db, "julian").await;
    assert_eq!(
        db.rows("select id, day, at, listed from served.t order by id").await,
        [
            r#"1|1500-01-01|1500-01-01 01:02:03.5+00|["1500-01-01"]"#,
            r#"2|1582-10-15|1582-10-15 00:00:00+00|["1582-10-15"]"#,
            r#"3|0001-01-05|2020-01-01 00:00:00+00|["0001-01-05"]"#,
        ]
    );
    db.client.batch_execute("drop table served.t").await.unwrap();
    loaded(&db, "lying").await;
    assert_eq!(db.value("select day from served.t where id = 1").await, "1500-01-10");
    db.client.batch_execute("drop table served.t").await.unwrap();
    let (problem, message) = refused(&db, "julian_far_away").await;
    assert_eq!(problem, SourceProblem::Corrupt);
    assert!(message.contains("\"at\"") && message.contains("Mars/Olympus"), "{message}");
}

#[tokio::test]
async fn names_are_the_same_in_any_case() {
    let db = database("other_case").await;
    run(&db.job(&stored().join("other_case"), &["Id"])).await.unwrap();
    assert_eq!(
        db.rows("select \"Id\", \"Name\", st, list from served.t order by 1").await,
        [r#"1|a|{"Other": "o", "userId": 7}|[{"Other": "o", "userId": 7}, null]"#, "2|b|∅|∅"]
    );
    db.client.batch_execute("drop table served.t").await.unwrap();
    for (table, column) in [("twice", "Name"), ("twice_inside", "st.a")] {
        let (problem, message) = refused(&db, table).await;
        assert_eq!(problem, SourceProblem::Unsupported);
        let named = format!("\"{column}\"");
        assert!(message.contains(&named) && message.contains("part-0.parquet"), "{message}");
    }
}

#[tokio::test]
async fn values_are_read_from_the_types_that_other_writers_have() {
    let db = database("kinds").await;
    db.client.batch_execute("set timezone = 'UTC'").await.unwrap();
    loaded(&db, "kinds").await;
    let columns = "id, small, tiny, whole, text, bytes, at, local, ratio, money, list, named";
    let first =
        r"32767|127|7|café|\x00ff|9999-12-31 23:59:59+00|0001-01-01 00:00:00|0.5|7.00|[1, null]";
    let second = "∅|0|∅|∅|∅|∅|1970-01-01 00:00:00|1|-1.00|[]|∅";
    assert_eq!(
        db.rows(&format!("select {columns} from served.t order by id")).await,
        [
            format!(r#"1|{first}|{{"k": "AQI="}}"#),
            format!("2|{second}"),
            format!(r#"3|{first}|{{"k": "AQI="}}"#),
            format!("4|{second}"),
        ]
    );
}

#[tokio::test]
async fn values_that_do_not_fit_their_column_are_refused_by_its_name() {
    let db = database("misfits").await;
    for (table, problem, named) in [
        ("too_large", SourceProblem::Corrupt, "40000"),
        ("no_text", SourceProblem::Corrupt, "UTF-8"),
        ("no_number", SourceProblem::Unsupported, "bigint"),
    ] {
        let (found, message) = refused(&db, table).await;
        assert_eq!(found, problem, "{message}");
        assert!(message.contains("\"v\"") && message.contains(named), "{message}");
        assert!(message.contains("part-0.parquet"), "{message}");
    }
    for table in ["before_time", "before_time_int96"] {
        let error = run(&db.job(&stored().join(table), &["id"])).await.unwrap_err();
        let Error::Data { column, key, what, .. } = &error else { panic!("{error:?}") };
        assert_eq!((column.as_deref(), key.as_deref()), (Some("v"), Some("id=2")), "{table}");
        assert!(what.contains("outside PostgreSQL's range"), "{what}");
    }
}

#[tokio::test]
async fn nested_fields_come_in_the_tables_order_and_nulls_stay_where_they_are() {
    let db = database("inside").await;
    loaded(&db, "inside").await;
    let one = r#"{"a": 1, "b": "x", "late": null}"#;
    let none = r#"{"new": null, "newer": null}"#;
    assert_eq!(
        db.rows("select id, deep, named, st, gone from served.t order by id").await,
        [
            format!(r#"1|[[{one}, null], null, []]|{{"k": {one}, "n": null}}|{none}|∅"#),
            "2|∅|∅|∅|∅".to_owned(),
            format!("3|[]|{{}}|{none}|∅"),
        ]
    );
}

#[tokio::test]
async fn a_table_may_have_only_partition_columns() {
    let db = database("only_partitions").await;
    let rows = "select id, p from served.t order by id";
    loaded(&db, "only_partitions").await;
    assert_eq!(db.rows(rows).await, ["0|a", "1|∅", "2|b"]);
    db.client.batch_execute("drop table served.t").await.unwrap();
    let _kept = followed(&db, "only_partitions", &["id"]).await;
    assert_eq!(db.rows(rows).await, ["0|a", "1|∅", "2|b"]);
}

#[tokio::test]
async fn partition_values_have_several_spellings() {
    let db = database("spelling").await;
    db.client.batch_execute("set timezone = 'UTC'").await.unwrap();
    let moment = "2020-01-01 00:00:00.5";
    let expected = [
        format!("0|12.30|{moment}|{moment}+00|2020-01-01"),
        "1|-100.00|2020-01-01 00:00:00|2020-01-01 00:00:00+00|2020-01-01".to_owned(),
        format!("2|12.30|{moment}|{moment}+00|2020-01-01"),
        "3|∅|∅|∅|∅".to_owned(),
    ];
    let rows = "select id, d, n, at, day from served.t order by id";
    loaded(&db, "spelling").await;
    assert_eq!(db.rows(rows).await, expected);
    db.client.batch_execute("drop table served.t").await.unwrap();
    let _kept = followed(&db, "spelling", &["id"]).await;
    assert_eq!(db.rows(rows).await, expected);
}

#[tokio::test]
async fn a_hint_that_leads_astray_is_not_followed() {
    let db = database("hints").await;
    for table in ["hint_behind", "hint_ahead"] {
        loaded(&db, table).await;
        assert_eq!(
            db.rows("select id from served.t order by id").await,
            ["0", "1", "2"],
            "{table}"
        );
        db.client.batch_execute("drop table served.t").await.unwrap();
        let _kept = followed(&db, table, &["id"]).await;
        assert_eq!(
            db.rows("select id from served.t order by id").await,
            ["0", "1", "2"],
            "{table}"
        );
        db.client.batch_execute("drop table served.t").await.unwrap();
    }
}

#[tokio::test]
async fn a_shallow_clone_is_read_where_its_files_may_be() {
    let db = database("clone").await;
    let rows = "select id, v from served.t order by id";
    let origin = url::Url::from_file_path(stored().join("origin").canonicalize().unwrap()).unwrap();
    let mut job = db.job(&stored().join("clone"), &["id"]);
    let error = run(&job).await.unwrap_err();
    assert!(error.message().contains("outside of the table's folder"), "{error}");
    assert!(!error.is_retryable());
    job.source.may_read = Some(Arc::new(move |file: &str| file.starts_with(origin.as_str())));
    run(&job).await.unwrap();
    assert_eq!(db.rows(rows).await, ["1|a", "2|b", "3|c"]);
    job.source.may_read = Some(Arc::new(|_: &str| false));
    job.options.force = true;
    assert!(run(&job).await.is_err());
}

/// What a log names outside of its table is no more readable by way of the change data feed.
#[tokio::test]
async fn the_feed_reads_no_files_elsewhere() {
    let db = database("feed_elsewhere").await;
    let place = tempfile::tempdir().unwrap();
    cut_at(&stored().join("hint_behind"), 0, place.path());
    let mut job = db.job(place.path(), &["id"]);
    job.options.reload_share = 1000.0;
    run_changes(&job).await.unwrap();
    let commit =
        fs::read_to_string(stored().join("hint_behind/_delta_log/00000000000000000001.json"));
    let elsewhere = url::Url::from_file_path(stored().join("hint_behind/1.parquet")).unwrap();
    let named = commit.unwrap().replace("1.parquet", elsewhere.as_str());
    fs::write(place.path().join("_delta_log/00000000000000000001.json"), named).unwrap();
    let error = run_changes(&job).await.unwrap_err();
    assert!(error.message().contains("outside of the table's folder"), "{error}");
}

/// Old values of a nested column show the change, so all are loaded again, once.
#[tokio::test]
async fn a_change_inside_of_a_column_loads_the_table_again() {
    let db = database("reshaped_inside").await;
    let place = tempfile::tempdir().unwrap();
    let spark = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spark");
    cut_at(&spark.join("nested_changes"), 3, place.path());
    for checkpoint in ["_last_checkpoint", "00000000000000000010.checkpoint.parquet"] {
        fs::remove_file(place.path().join("_delta_log").join(checkpoint)).unwrap();
    }
    let job = db.job(place.path(), &["id"]);
    run_changes(&job).await.unwrap();
    let ratio = "select ratios from served.t where id = 1";
    assert_eq!(db.value(ratio).await, r#"{"r": 0.1}"#);
    bring_to(&spark.join("nested_changes"), 4, place.path());
    let outcome = run_changes(&job).await.unwrap();
    let Some(Reload::Reshaped(what)) = outcome.reload else { panic!("{outcome:?}") };
    assert!(what.contains("\"ratios\"") && what.contains("version 4"), "{what}");
    assert_eq!(db.value(ratio).await, r#"{"r": 0.10000000149011612}"#);
    drop_target(&db.writer, &job.table).await.unwrap();
}

#[tokio::test]
async fn tables_that_older_builds_misread_are_found() {
    let db = database("misread").await;
    for (table, named) in [
        ("int96", Some("\"at\"")),
        ("julian", Some("\"day\"")),
        ("other_case", Some("\"Id\"")),
        ("inside", Some("\"deep.element.element.late\"")),
        ("kinds", None),
        ("spelling", None),
    ] {
        let source = db.job(&stored().join(table), &["id"]).source;
        let found = misread(&source).await.unwrap();
        match named {
            Some(named) => {
                let found = found.unwrap_or_default();
                assert!(found.contains(named) && found.contains(".parquet"), "{table}: {found}");
            }
            None => assert_eq!(found, None, "{table}"),
        }
    }
    let spark = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spark");
    for (table, named) in [
        ("chars", Some("CHAR(n)")),
        ("like_variants", Some("taken for variants")),
        ("times", None),
        ("plain", None),
    ] {
        let found = misread(&db.job(&spark.join(table), &["id"]).source).await.unwrap();
        assert_eq!(found.is_some(), named.is_some(), "{table}: {found:?}");
        assert!(found.unwrap_or_default().contains(named.unwrap_or_default()), "{table}");
    }
}
