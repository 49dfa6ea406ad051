//! First loads: every type and every reader feature, with the values read back.

use lakeport_sync::{Kind, Phase, Progress, Source, applied, inspect, snapshot};
use tokio_util::sync::CancellationToken;

use crate::support::{database, name, run, tables};

#[tokio::test]
async fn every_type_arrives_with_its_edge_values() {
    let db = database("types").await;
    let outcome = db.sync("types").await.unwrap();
    assert_eq!((outcome.kind, outcome.rows, outcome.inserted), (Kind::Loaded, 4, 4));

    let types = db.rows("select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'served.t'::regclass and attnum > 0 order by attnum").await;
    assert_eq!(
        types.join(","),
        "bigint,boolean,smallint,smallint,integer,bigint,real,double precision,\
        numeric(10,2),numeric(38,2),date,timestamp with time zone,timestamp without time zone,text,bytea,jsonb,jsonb,jsonb"
    );

    db.client.batch_execute("set timezone = 'UTC'").await.unwrap();
    let scalars = db
        .rows("select id, flag, tiny, small, int, big, single, double, money, huge from served.t order by id")
        .await;
    let nines = "9".repeat(36);
    assert_eq!(
        scalars,
        [
            format!(
                "1|t|-128|-32768|-2147483648|-9223372036854775808|NaN|-Infinity|-0.01|{nines}.99"
            ),
            format!(
                "2|f|127|32767|2147483647|9223372036854775807|Infinity|1e+300|12345678.90|-{nines}.99"
            ),
            "3|∅|∅|∅|∅|∅|∅|∅|∅|∅".to_owned(),
            "4|t|0|0|0|0|0.1|-0.1|0.00|10000.00".to_owned(),
        ]
    );
    let times = db.rows("select day, at, local from served.t order by id").await;
    assert_eq!(
        times,
        [
            "0001-01-01|0001-01-01 00:00:00+00|0001-01-01 00:00:00",
            "9999-12-31|9999-12-31 23:59:59.999999+00|1999-12-31 23:59:59.000001",
            "∅|∅|∅",
            "1970-01-01|2000-01-01 00:00:00+00|2024-02-29 00:00:00",
        ]
    );
    let texts = db.rows("select \"Text Col\", bytes from served.t order by id").await;
    assert_eq!(
        texts,
        ["|\\x", "it's \"quoted\" \\ é 🚢|\\x00ff", "∅|∅", "line\nbreak\ttab|\\x616263"]
    );
    let nested = db.rows("select list, map, nested from served.t order by id").await;
    assert_eq!(
        nested,
        [
            r#"[1, null, 3]|{"a": 1.5, "b": null}|{"b": "AQI=", "d": 1.50, "l": [{"f": true}], "s": "x\"y", "t": "2020-01-02T03:04:05.000006Z"}"#,
            r#"[]|{}|{"b": null, "d": null, "l": [], "s": null, "t": null}"#,
            "∅|∅|∅",
            r#"[7]|{"n": "NaN"}|{"b": "", "d": -9.99, "l": null, "s": "", "t": "1969-12-31T00:00:00Z"}"#,
        ]
    );
}

#[tokio::test]
async fn partition_values_come_from_the_log() {
    let db = database("partitions").await;
    db.sync("partitioned").await.unwrap();
    let rows = db.rows("select id, region, day, v from served.t order by id").await;
    assert_eq!(
        rows,
        [
            "0|north/west|2020-01-01|a",
            "1|a=b %20|2020-01-01|b",
            "2|∅|2020-01-01|c",
            "3|north/west|2021-12-31|d",
            "4|ü|2021-12-31|e",
            "5|a=b %20|2021-12-31|f",
        ]
    );
}

#[tokio::test]
async fn deletion_vectors_take_rows_out() {
    let db = database("vectors").await;
    let outcome = db.sync("deleted").await.unwrap();
    assert_eq!(outcome.rows, 19_995);
    let gone = "select n from generate_series(0, 19999) n where not exists (select from served.t where id = n) order by 1";
    assert_eq!(db.rows(gone).await, ["0", "5", "8191", "8192", "19999"]);
    assert_eq!(db.value("select count(*) from served.t where v <> 'v' || id").await, "0");
}

#[tokio::test]
async fn mapped_columns_have_their_logical_names() {
    let db = database("mapping").await;
    for table in ["mapped_name", "mapped_id"] {
        db.sync(table).await.unwrap();
        let rows = db.rows("select id, \"na me\", st from served.t order by id").await;
        assert_eq!(rows, [r#"1|a|{"In ner": "x"}"#, "2|b|∅"], "{table}");
        db.client.batch_execute("drop table served.t").await.unwrap();
    }
}

#[tokio::test]
async fn widened_columns_are_read_from_old_and_new_files() {
    let db = database("widening").await;
    db.sync("widened").await.unwrap();
    assert_eq!(db.rows("select id, n from served.t order by id").await, ["1|7", "2|1099511627776"]);
}

#[tokio::test]
async fn key_comments_and_nullability_carry_over() {
    let db = database("described").await;
    db.sync("described").await.unwrap();
    let columns = "select attname, attnotnull, format_type(atttypid, atttypmod), col_description(attrelid, attnum) \
                   from pg_attribute where attrelid = 'served.t'::regclass and attnum > 0 order by attnum";
    assert_eq!(
        db.rows(columns).await,
        ["id|t|bigint|the key's column", "void|f|text|∅", r"v|f|text|it's \ odd",]
    );
    let key = "select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'served.t'::regclass and contype = 'p'";
    assert_eq!(db.rows(key).await, ["t_pkey|PRIMARY KEY (id)"]);
    assert_eq!(db.value("select void is null from served.t").await, "t");
}

#[tokio::test]
async fn an_empty_table_becomes_an_empty_table() {
    let db = database("nothing").await;
    let outcome = db.sync("empty").await.unwrap();
    assert_eq!((outcome.rows, outcome.kind), (0, Kind::Loaded));
    assert_eq!(db.value("select count(*) from served.t").await, "0");
}

#[tokio::test]
async fn rows_without_a_key_are_left_out_and_counted() {
    let db = database("keyless").await;
    let outcome = db.sync("null_key").await.unwrap();
    assert_eq!((outcome.rows, outcome.null_key_rows), (2, 1));
    assert_eq!(db.rows("select id, v from served.t order by id").await, ["1|a", "3|c"]);
}

#[tokio::test]
async fn progress_and_position_tell_the_version() {
    let db = database("progress").await;
    let progress = Progress::default();
    let job = db.job(&tables().join("versions"), &["id"]);
    assert_eq!(applied(&db.writer, &name()).await.unwrap(), None);
    let outcome = snapshot(&job, &progress, &CancellationToken::new()).await.unwrap();

    assert_eq!((outcome.version, outcome.rows), (1, 25_000));
    assert_eq!((progress.version(), progress.phase()), (Some(1), Phase::Done));
    assert_eq!((progress.total_rows(), progress.synced_rows()), (Some(25_000), 25_000));
    let position = applied(&db.writer, &name()).await.unwrap().unwrap();
    assert_eq!((position.version, position.rows), (1, 25_000));
    assert_eq!(position.commit_timestamp_ms, outcome.commit_timestamp_ms);
    assert!(position.synced_at_ms > 0);
}

#[tokio::test]
async fn a_key_of_several_columns_keeps_its_order() {
    let db = database("compound").await;
    run(&db.job(&tables().join("versions"), &["name", "id"])).await.unwrap();
    let key = "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'served.t'::regclass and contype = 'p'";
    assert_eq!(db.value(key).await, "PRIMARY KEY (name, id)");
}

#[tokio::test]
async fn an_inspection_reads_the_log_alone() {
    let inspect_table = |table: &str| {
        let location = format!("file://{}", tables().join(table).display());
        async move { inspect(&Source { location, ..Source::default() }).await.unwrap() }
    };
    // Its only data file is gone, which the log does not show.
    let missing = inspect_table("missing_file").await;
    assert_eq!((missing.version, missing.row_count), (0, Some(1)));

    let deleted = inspect_table("deleted").await;
    assert_eq!(deleted.row_count, Some(19_995));
    assert_eq!(deleted.properties["delta.enableDeletionVectors"], "true");

    let partitioned = inspect_table("partitioned").await;
    assert_eq!(partitioned.partition_columns, ["region", "day"]);
    let types = inspect_table("types").await;
    let column = |name: &str| types.columns.iter().find(|column| column.name == name).unwrap();
    assert_eq!(column("map").delta_type, "map<string,double>");
    assert_eq!(column("money").pg_type, "numeric(10,2)");
}

#[tokio::test]
async fn variants_become_jsonb_at_any_depth() {
    let db = database("variants").await;
    db.sync("variants").await.unwrap();
    let rows = db.rows("select v, list from served.t order by id").await;
    assert_eq!(
        rows,
        ["7|[7]", "\"hi\"|[\"hi\"]", "{\"a\": 1}|[{\"a\": 1}]", "null|[null]", "∅|[]"]
    );
}

#[tokio::test]
async fn keys_of_maps_become_text() {
    let db = database("map_keys").await;
    db.sync("map_keys").await.unwrap();
    let row = db.rows("select ints, days, moments, flags, money from served.t").await;
    assert_eq!(
        row,
        ["{\"1\": \"a\", \"-2\": \"b\"}|{\"2020-02-29\": 1}|{\"2020-01-02T03:04:05Z\": 1}|\
         {\"true\": 1}|{\"1.50\": 1}"]
    );
}

#[tokio::test]
async fn long_names_are_shortened_the_same_way_each_time() {
    let db = database("long_name").await;
    db.sync("long_name").await.unwrap();
    let names = "select attname, length(attname) from pg_attribute \
                 where attrelid = 'served.t'::regclass and attnum = 2";
    let [name] = &db.rows(names).await[..] else { panic!("one column") };
    assert!(name.starts_with(&"x".repeat(54)) && name.ends_with("|63"), "{name}");
    let mut job = db.job(&tables().join("long_name"), &["id"]);
    job.options.force = true;
    assert_eq!(run(&job).await.unwrap().kind, Kind::Refreshed);
}

#[tokio::test]
async fn folders_of_any_name_are_read() {
    let db = database("odd_folders").await;
    for (nth, folder) in ["loc%20pct", "loc pct", "back\\slash", "q?#mark"].iter().enumerate() {
        let path = tables().join("folders").join(folder);
        let mut job = db.job(&path, &["id"]);
        job.table.table = format!("t{nth}");
        run(&job).await.unwrap();
        // As a URL too, and with the partition's folder, which is encoded in the log.
        let url = url::Url::from_directory_path(&path).unwrap();
        job.source.location = url.as_str().to_owned();
        assert_eq!(run(&job).await.unwrap().kind, lakeport_sync::Kind::Unchanged, "{folder}");
        assert_eq!(db.value(&format!("select v from served.t{nth}")).await, *folder);
    }
}
