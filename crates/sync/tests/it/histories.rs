//! Random histories: after every run the PostgreSQL table holds what the official reader sees in the
//! Delta table, however many versions a run takes at once and however runs end.

use std::pin::pin;
use std::task::Poll;

use lakeport_sync::{Job, Kind, Progress, Reload, applied, changes, drop_target};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::support::{Database, bring_to, cut_at, database, histories, run_changes};

const HISTORIES: usize = 200;
/// As many are gone through step by step.
const STEPPED: usize = 100;
const VERSIONS: u64 = 9;
const WORKERS: usize = 4;

#[derive(Deserialize)]
pub(crate) struct Version {
    pub(crate) columns: Vec<String>,
    rows: Vec<Vec<serde_json::Value>>,
}

impl Version {
    pub(crate) fn lines(&self) -> Vec<String> {
        let shown = |value: &serde_json::Value| match value {
            serde_json::Value::Null => "∅".to_owned(),
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let rows = self.rows.iter();
        let mut lines: Vec<String> =
            rows.map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|")).collect();
        lines.sort_unstable();
        lines
    }
}

/// One history and the job that follows a copy of it.
struct History {
    source: std::path::PathBuf,
    copy: tempfile::TempDir,
    expected: Vec<Version>,
    version: u64,
    job: Job,
}

impl History {
    fn new(db: &Database, nth: usize, version: u64) -> Self {
        let source = histories().join(format!("history-{nth}"));
        let expected = std::fs::read_to_string(source.join("expected.json")).unwrap();
        let expected: Vec<Version> = serde_json::from_str(&expected).unwrap();
        let copy = tempfile::tempdir().unwrap();
        cut_at(&source, version, copy.path());
        let mut job = db.job(copy.path(), &["id"]);
        job.table.table = format!("t{nth}");
        // Every fourth one has several rows a key.
        job.options.timeseries_key = (nth % 4 == 3).then(|| "ts".to_owned());
        // Of the others, every second one finds no memory to reduce changes in.
        if nth % 4 == 1 {
            job.options.memory_bytes = 0;
        }
        Self { source, copy, expected, version, job }
    }

    fn advance(&mut self, by: u64) {
        for _ in 0..by {
            self.version += 1;
            bring_to(&self.source, self.version, self.copy.path());
        }
    }

    async fn check(&self, db: &Database) {
        let expected = &self.expected[usize::try_from(self.version).unwrap()];
        let columns: Vec<String> =
            expected.columns.iter().map(|column| format!("\"{column}\"")).collect();
        let query = format!("select {} from served.{}", columns.join(", "), self.job.table.table);
        let mut found = db.rows(&query).await;
        found.sort_unstable();
        let place = format!("{} at version {}", self.source.display(), self.version);
        assert_eq!(found, expected.lines(), "{place}");
        let position = applied(&db.writer, &self.job.table).await.unwrap().unwrap();
        assert_eq!(position.version, i64::try_from(self.version).unwrap(), "{place}");
        assert_eq!(position.rows, found.len() as u64, "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_equals_its_source_after_every_run() {
    let db = database("histories").await;
    let (mut changed, mut deleted_newest) = (0, 0);
    for nth in 0..STEPPED {
        // Each starts elsewhere, and goes on in steps of another size.
        let first = nth as u64 % (VERSIONS - 1);
        let mut history = History::new(&db, nth, first);
        let step = 1 + nth as u64 / 8 % 4;
        assert_eq!(run_changes(&history.job).await.unwrap().kind, Kind::Loaded);
        history.check(&db).await;
        while history.version < VERSIONS - 1 {
            history.advance(step.min(VERSIONS - 1 - history.version));
            let outcome = run_changes(&history.job).await.unwrap();
            match outcome.reload {
                None => changed += 1,
                Some(Reload::NewestDeleted { .. }) => deleted_newest += 1,
                Some(other) => panic!("{}: {other}", history.source.display()),
            }
            history.check(&db).await;
        }
        assert_eq!(run_changes(&history.job).await.unwrap().kind, Kind::Unchanged);
    }
    assert!(changed > STEPPED && deleted_newest > 0, "{changed} {deleted_newest}");
}

/// A snapshot of each version, and the feed from there to the last one in one run.
#[tokio::test(flavor = "multi_thread")]
async fn from_every_version_the_feed_leads_to_the_last() {
    let db = std::sync::Arc::new(database("every_version").await);
    let workers = (0..WORKERS).map(|worker| {
        let db = std::sync::Arc::clone(&db);
        tokio::spawn(async move {
            for nth in (worker..HISTORIES).step_by(WORKERS) {
                for first in 0..VERSIONS - 1 {
                    let mut history = History::new(&db, nth, first);
                    run_changes(&history.job).await.unwrap();
                    history.advance(VERSIONS - 1 - first);
                    run_changes(&history.job).await.unwrap();
                    history.check(&db).await;
                    drop_target(&db.writer, &history.job.table).await.unwrap();
                }
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_end_anywhere_lose_and_double_nothing() {
    let db = database("ends").await;
    let mut ended = 0;
    for nth in 0..30 {
        let mut history = History::new(&db, nth, 0);
        let mut polls = 1;
        loop {
            // Killed a little later each time, until a run gets through.
            while !finishes_within(&history.job, polls).await {
                ended += 1;
                polls += 1 + polls / 2;
            }
            history.check(&db).await;
            if history.version == VERSIONS - 1 {
                break;
            }
            history.advance(1);
            polls = 1 + nth % 7;
        }
    }
    assert!(ended > 100, "{ended}");
}

/// Drops the run after some polls, as the end of the process would.
async fn finishes_within(job: &Job, polls: usize) -> bool {
    let (progress, cancel) = (Progress::default(), CancellationToken::new());
    let mut run = pin!(changes(job, &progress, &cancel));
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match run.as_mut().poll(context) {
            Poll::Ready(outcome) => {
                outcome.unwrap();
                Poll::Ready(true)
            }
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_backends_lose_and_double_nothing() {
    let db = database("backends").await;
    let killer = db.another_client().await;
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                where usename = 'backends' and application_name like 'lakeport sync%'";
    let mut killed = 0;
    for nth in 0..12 {
        let mut history = History::new(&db, nth, 0);
        run_changes(&history.job).await.unwrap();
        while history.version < VERSIONS - 1 {
            history.advance(1);
            for queries in 0..6 {
                let attack = async {
                    for _ in 0..queries {
                        killer.query_one("select 1", &[]).await.unwrap();
                    }
                    killer.query_one(kill, &[]).await.unwrap().get::<_, i64>(0)
                };
                let (outcome, hit) = tokio::join!(run_changes(&history.job), attack);
                killed += hit;
                if let Err(error) = outcome {
                    assert!(error.is_retryable(), "{error:?}");
                }
            }
            run_changes(&history.job).await.unwrap();
            history.check(&db).await;
        }
    }
    assert!(killed > 0);
}

#[tokio::test]
async fn a_range_applied_twice_does_no_harm() {
    let db = database("doubled").await;
    for nth in 0..16 {
        let mut history = History::new(&db, nth, 2);
        run_changes(&history.job).await.unwrap();
        history.advance(4);
        run_changes(&history.job).await.unwrap();
        let back = format!(
            "update lakeport_sync.positions set version = 2 where table_name = '{}'",
            history.job.table.table
        );
        db.client.batch_execute(&back).await.unwrap();
        run_changes(&history.job).await.unwrap();
        // The position's number of rows is only kept where changes are new.
        let expected = &history.expected[6];
        let query = format!("select * from served.{}", history.job.table.table);
        let mut found = db.rows(&query).await;
        found.sort_unstable();
        assert_eq!(found, expected.lines(), "{nth}");
    }
}
