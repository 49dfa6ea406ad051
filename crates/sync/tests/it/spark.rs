//! Tables that Spark has written: deletion vectors, column mapping, widened types, checkpoints of every kind, and
//! values at the edges of all calendars, in maps, in variants.
//!
//! What each version holds stands beside the tables, as Spark saw it.

use std::fs;
use std::path::{Path, PathBuf};

use lakeport_sync::{Kind, Reload, drop_target};

use crate::histories::Version;
use crate::support::{Database, copy, database, run, run_changes};

struct Fixture {
    folder: PathBuf,
    expected: Vec<Version>,
}

impl Fixture {
    fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spark");
        let mut folders: Vec<_> =
            fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        folders.sort_unstable();
        assert!(folders.len() >= 22, "{}", folders.len());
        folders.into_iter().map(Self::open).collect()
    }

    fn named(name: &str) -> Self {
        Self::open(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/spark").join(name))
    }

    fn open(folder: PathBuf) -> Self {
        let expected = fs::read_to_string(folder.join("expected.json")).unwrap();
        Self { expected: serde_json::from_str(&expected).unwrap(), folder }
    }

    fn last(&self) -> usize {
        self.expected.len() - 1
    }

    fn has_feed(&self) -> bool {
        let first = self.folder.join(format!("_delta_log/{:020}.json", 0));
        fs::read_to_string(first).unwrap().contains("\"delta.enableChangeDataFeed\":\"true\"")
    }

    /// Makes a copy of the table as it was at a version: without later commits and checkpoints.
    fn at(&self, version: usize, directory: &Path) {
        let _ = fs::remove_dir_all(directory);
        copy(&self.folder, directory);
        let log = directory.join("_delta_log");
        let _ = fs::remove_file(log.join("_last_checkpoint"));
        for entry in fs::read_dir(&log).unwrap() {
            let entry = entry.unwrap();
            let of = entry.file_name().to_string_lossy().get(..20).and_then(|n| n.parse().ok());
            if of.is_some_and(|of: usize| of > version) {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    /// Loads the first of the versions and follows the feed to the others; gives how often that changed rows.
    async fn follow(&self, db: &Database, versions: &[usize]) -> usize {
        let place = tempfile::tempdir().unwrap();
        let mut job = db.job(place.path(), &["id"]);
        // Such small tables would be read anew.
        job.options.reload_share = 1000.0;
        let mut changed = 0;
        for version in versions {
            self.at(*version, place.path());
            let outcome = run_changes(&job).await.unwrap_or_else(|error| {
                panic!("{} at {version} of {versions:?}: {error}", self.folder.display())
            });
            let reload = outcome.reload;
            let allowed = matches!(reload, None | Some(Reload::Reshaped { .. }));
            assert!(allowed, "{} at {version}: {reload:?}", self.folder.display());
            changed += usize::from(outcome.kind == Kind::Changed);
            self.check(db, *version).await;
        }
        drop_target(&db.writer, &job.table).await.unwrap();
        changed
    }

    async fn check(&self, db: &Database, version: usize) {
        let expected = &self.expected[version];
        let columns: Vec<_> = expected.columns.iter().map(|name| format!("\"{name}\"")).collect();
        let mut found = db.rows(&format!("select {} from served.t", columns.join(", "))).await;
        found.sort_unstable();
        assert_eq!(found, expected.lines(), "{} at {version}", self.folder.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_is_read_as_spark_reads_it() {
    let db = database("spark_versions").await;
    let place = tempfile::tempdir().unwrap();
    for fixture in Fixture::all() {
        for version in 0..=fixture.last() {
            fixture.at(version, place.path());
            let job = db.job(place.path(), &["id"]);
            run(&job).await.unwrap_or_else(|error| {
                panic!("{} at {version}: {error}", fixture.folder.display())
            });
            fixture.check(&db, version).await;
            drop_target(&db.writer, &job.table).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_leads_from_version_to_version_and_from_each_to_the_last() {
    let db = database("spark_feeds").await;
    let mut followed = 0;
    for fixture in Fixture::all().into_iter().filter(Fixture::has_feed) {
        let last = fixture.last();
        followed += fixture.follow(&db, &(0..=last).collect::<Vec<_>>()).await;
        for first in 0..last {
            followed += fixture.follow(&db, &[first, last]).await;
        }
    }
    assert!(followed > 80, "{followed}");
}

/// The commits that a checkpoint stands for are gone.
#[tokio::test]
async fn checkpoints_alone_are_enough() {
    let db = database("spark_checkpoints").await;
    let place = tempfile::tempdir().unwrap();
    for name in ["v2_checkpoint", "checkpoint_in_parts"] {
        let fixture = Fixture::named(name);
        fixture.at(fixture.last(), place.path());
        for version in 0..=3 {
            fs::remove_file(place.path().join(format!("_delta_log/{version:020}.json"))).unwrap();
        }
        let job = db.job(place.path(), &["id"]);
        run(&job).await.unwrap();
        fixture.check(&db, fixture.last()).await;
        drop_target(&db.writer, &job.table).await.unwrap();
    }
}
