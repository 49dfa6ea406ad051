//! Source columns that are called as something in our own SQL: none of them is mistaken for it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use lakeport_sync::{Job, Kind};

use crate::support::{Database, bring_to, cut_at, database, python, run, run_changes};

const DIGEST: &str = "select count(*), sum(hashtext(t::text)::bigint) from served.t t";

/// Every table has columns of these names, so that no source can bring them.
const SYSTEM_COLUMNS: [&str; 6] = ["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"];

/// Every lower-case word in the string literals of the code that makes SQL.
fn words() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/target");
    let mut words = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap().replace("\\\"", "");
        for literal in text.split('"').skip(1).step_by(2) {
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let found = literal.split(|c: char| !is_part(c)).map(str::to_owned);
            words.extend(found.filter(|word| !word.starts_with(|c: char| c.is_ascii_digit())));
        }
    }
    words.remove("");
    for system in SYSTEM_COLUMNS {
        words.remove(system);
    }
    words
}

fn tables() -> &'static Path {
    static TABLES: OnceLock<std::path::PathBuf> = OnceLock::new();
    TABLES.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sync-words");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/make_words.py");
        let mut python = Command::new(python());
        let mut made =
            python.arg(script).arg(&folder).stdin(Stdio::piped()).spawn().expect("python");
        let words = words().into_iter().collect::<Vec<_>>();
        let quoted = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>();
        let text = format!("[{}]", quoted.join(","));
        made.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(made.wait().unwrap().success(), "make_words.py failed");
        folder
    })
}

async fn fresh(test: &str, key: &str) -> String {
    let db = database(test).await;
    run(&db.job(&tables().join("changing"), &[key])).await.unwrap();
    db.value(DIGEST).await
}

/// Loaded at the first version and then brought to the last one.
async fn loaded(db: &Database, key: &str) -> (tempfile::TempDir, Job) {
    let directory = tempfile::tempdir().unwrap();
    cut_at(&tables().join("changing"), 0, directory.path());
    let job = db.job(directory.path(), &[key]);
    assert_eq!(run(&job).await.unwrap().kind, Kind::Loaded);
    for version in 1..=3 {
        bring_to(&tables().join("changing"), version, directory.path());
    }
    (directory, job)
}

#[test]
fn the_words_of_our_sql_are_found() {
    let words = words();
    for word in ["balance", "nth", "n", "held", "lost", "changed", "ranked", "s", "t", "place"] {
        assert!(words.contains(word), "{word}");
    }
}

#[tokio::test]
async fn a_snapshot_takes_any_column_name() {
    let db = database("any_name_snapshot").await;
    run(&db.job(&tables().join("reserved"), &["nth"])).await.unwrap();
    let there = "select (select \"_change_type\" from served.t where nth = 2) % 1000 \
                 = (select \"_commit_version\" from served.t where nth = 2) % 1000 - 1";
    assert_eq!(db.value(there).await, "t");

    for (test, swap_share) in [("any_name_refresh", None), ("any_name_swap", Some(0.0))] {
        let db = database(test).await;
        let (_directory, mut job) = loaded(&db, "nth").await;
        job.options.swap_share = swap_share;
        let outcome = run(&job).await.unwrap();
        assert_eq!((outcome.kind, outcome.swapped), (Kind::Refreshed, swap_share.is_some()));
        assert_eq!(db.value(DIGEST).await, fresh(&format!("{test}_fresh"), "nth").await);
    }
}

#[tokio::test]
async fn changes_take_any_column_name() {
    // Reduced in memory; by PostgreSQL, because zero has two signs; and by a timeseries key.
    for (test, key, newest_by) in [
        ("any_name_memory", "nth", None),
        ("any_name_aside", "held", None),
        ("any_name_series", "nth", Some("balance")),
    ] {
        let db = database(test).await;
        let (directory, mut job) = loaded(&db, key).await;
        job.options.timeseries_key = newest_by.map(str::to_owned);
        // Which row follows a newest one that was deleted, only the whole source tells.
        let outcome = run_changes(&job).await.unwrap();
        let expected = if newest_by.is_some() { Kind::Refreshed } else { Kind::Changed };
        assert_eq!(outcome.kind, expected, "{test}: {outcome:?}");
        assert_eq!(db.value(DIGEST).await, fresh(&format!("{test}_fresh"), key).await, "{test}");
        drop(directory);
    }
}
