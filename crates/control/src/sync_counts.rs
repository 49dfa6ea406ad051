//! What the runs of this process have come to, for each synced table: numbers for whoever watches the
//! server. Memory only, and nothing is decided by it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use lakeport_store::SyncedTable;
use uuid::Uuid;

use crate::{Control, RunCost, RunOutcome, RunProgress};

/// The counts of one synced table, since this process began.
#[derive(Debug, Clone, Default)]
pub struct TableCounts {
    pub name: String,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
    /// Rows that were read, whatever became of them.
    pub rows: u64,
    pub cost: RunCost,
    /// The newest version of the source that a run has seen.
    pub seen: Option<i64>,
    pub applied: Option<AppliedCount>,
}

#[derive(Debug, Clone, Copy)]
pub struct AppliedCount {
    pub version: i64,
    /// From its commit until it was visible here, where the log tells when it was committed.
    pub delay: Option<Duration>,
}

/// How a run has ended.
pub(crate) enum Ended<'a> {
    Well(&'a RunOutcome),
    Failed,
    Cancelled,
}

impl TableCounts {
    /// Versions that were seen and are not applied.
    #[must_use]
    pub fn lag(&self) -> Option<i64> {
        let (seen, applied) = (self.seen?, self.applied?);
        Some((seen - applied.version).max(0))
    }

    fn add(&mut self, progress: &RunProgress, ended: &Ended<'_>) {
        self.rows += progress.rows();
        if let Some(cost) = progress.cost.get() {
            self.cost += *cost;
        }
        self.seen = self.seen.max(progress.version());
        match ended {
            Ended::Well(outcome) => {
                self.completed += 1;
                let before = self.applied.filter(|before| before.version == outcome.version);
                self.applied = before.or_else(|| Some(applied_now(outcome)));
            }
            Ended::Failed => self.failed += 1,
            Ended::Cancelled => self.cancelled += 1,
        }
    }
}

fn applied_now(outcome: &RunOutcome) -> AppliedCount {
    let delay = outcome.committed_at.map(|at| Timestamp::now().duration_since(at));
    // A writer's clock may be ahead of this one.
    let delay = delay.map(|delay| Duration::try_from(delay).unwrap_or_default());
    AppliedCount { version: outcome.version, delay }
}

#[derive(Debug, Default)]
pub struct SyncCounts(Mutex<HashMap<Uuid, TableCounts>>);

impl SyncCounts {
    pub(crate) fn record(&self, table: &SyncedTable, progress: &RunProgress, ended: &Ended<'_>) {
        let mut tables = self.tables();
        let counts = tables.entry(table.id).or_default();
        counts.name.clone_from(&table.name);
        counts.add(progress, ended);
    }

    pub(crate) fn forget(&self, table: Uuid) {
        self.tables().remove(&table);
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<Uuid, TableCounts>> {
        // Counts are whole at every point where a holder could panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// The counts of every table that has had a run here, with what runs in progress have seen.
    #[must_use]
    pub fn sync_counts(&self) -> Vec<TableCounts> {
        let tables = self.sync_counts.tables();
        let now = tables.iter().map(|(id, counts)| {
            let seen = self.progress.version_of(*id).max(counts.seen);
            TableCounts { seen, ..counts.clone() }
        });
        now.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::RunKind;

    fn progress(version: i64, rows: i64) -> RunProgress {
        let progress = RunProgress::default();
        progress.version.store(version, Relaxed);
        progress.synced_rows.store(rows, Relaxed);
        let second = Duration::from_secs(1);
        let cost = RunCost { bytes: 10, reading: second, indexing: second, applying: second };
        assert!(progress.cost.set(cost).is_ok());
        progress
    }

    fn outcome(version: i64) -> RunOutcome {
        RunOutcome {
            version,
            committed_at: Some(Timestamp::now() - jiff::SignedDuration::from_secs(5)),
            rows: 3,
            summary: String::new(),
            kind: RunKind::Changed,
            is_published: true,
            warning: None,
        }
    }

    #[test]
    fn what_failed_lags_until_it_is_applied() {
        let mut counts = TableCounts::default();
        counts.add(&progress(3, 5), &Ended::Failed);
        assert_eq!((counts.lag(), counts.failed), (None, 1));
        counts.add(&progress(3, 5), &Ended::Well(&outcome(3)));
        assert_eq!(counts.lag(), Some(0));
        let delay = counts.applied.and_then(|applied| applied.delay).unwrap();
        assert!(delay >= Duration::from_secs(5));
        counts.add(&progress(5, 1), &Ended::Cancelled);
        assert_eq!((counts.lag(), counts.cancelled, counts.completed), (Some(2), 1, 1));
        assert_eq!((counts.rows, counts.cost.bytes), (11, 30));
        assert_eq!(counts.cost.applying, Duration::from_secs(3));
        // Nothing new: the version became visible when it did.
        counts.add(&progress(5, 0), &Ended::Well(&outcome(3)));
        assert_eq!(counts.applied.and_then(|applied| applied.delay), Some(delay));
    }

    #[test]
    fn a_commit_from_the_future_has_no_delay() {
        let ahead = Timestamp::now() + jiff::SignedDuration::from_hours(1);
        let outcome = RunOutcome { committed_at: Some(ahead), ..outcome(1) };
        assert_eq!(applied_now(&outcome).delay, Some(Duration::ZERO));
    }
}
