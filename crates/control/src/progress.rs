//! Progress of the runs of this process: memory only, because a run that dies begins anew.

use std::collections::HashMap;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use lakeport_api::synced_table::PipelineProgress;
use uuid::Uuid;

/// Unknown numbers are negative.
const UNKNOWN: i64 = -1;

/// Written by the runner, read by whoever asks.
pub struct RunProgress {
    started: Instant,
    pub version: AtomicI64,
    pub synced_rows: AtomicI64,
    pub total_rows: AtomicI64,
    /// The rows are in; indexes are being built or changes applied.
    pub finishing: std::sync::atomic::AtomicBool,
    /// Known when the run has ended, however it did.
    pub cost: OnceLock<RunCost>,
}

/// What a run has taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunCost {
    /// Sent to PostgreSQL as rows.
    pub bytes: u64,
    pub reading: Duration,
    pub indexing: Duration,
    pub applying: Duration,
}

impl AddAssign for RunCost {
    fn add_assign(&mut self, more: Self) {
        self.bytes += more.bytes;
        self.reading += more.reading;
        self.indexing += more.indexing;
        self.applying += more.applying;
    }
}

impl Default for RunProgress {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            version: AtomicI64::new(UNKNOWN),
            synced_rows: AtomicI64::new(0),
            total_rows: AtomicI64::new(UNKNOWN),
            finishing: std::sync::atomic::AtomicBool::new(false),
            cost: OnceLock::new(),
        }
    }
}

impl RunProgress {
    /// The source's version, once it is known.
    pub(crate) fn version(&self) -> Option<i64> {
        known(&self.version)
    }

    pub(crate) fn rows(&self) -> u64 {
        u64::try_from(self.synced_rows.load(Ordering::Relaxed)).unwrap_or_default()
    }

    pub(crate) fn to_wire(&self) -> PipelineProgress {
        let synced = self.synced_rows.load(Ordering::Relaxed).max(0);
        let total = known(&self.total_rows);
        let completion = total.map(|total| match total {
            0 => 1.0,
            total => (synced as f64 / total as f64).min(1.0),
        });
        let phase = if self.finishing.load(Ordering::Relaxed) { "INDEX_SORT" } else { "MAIN" };
        PipelineProgress {
            estimated_completion_time_seconds: completion.and_then(|done| self.remaining(done)),
            latest_version_currently_processing: self.version(),
            provisioning_phase: Some(format!("PROVISIONING_PHASE_{phase}")),
            sync_progress_completion: completion,
            synced_row_count: Some(synced),
            total_row_count: total,
        }
    }

    fn remaining(&self, done: f64) -> Option<f64> {
        (done > 0.0).then(|| self.started.elapsed().as_secs_f64() * (1.0 - done) / done)
    }
}

fn known(value: &AtomicI64) -> Option<i64> {
    Some(value.load(Ordering::Relaxed)).filter(|value| *value >= 0)
}

/// Runs in progress, by synced table.
#[derive(Default)]
pub struct Progress {
    runs: Mutex<HashMap<Uuid, Arc<RunProgress>>>,
}

impl Progress {
    pub(crate) fn begin(&self, table: Uuid) -> Arc<RunProgress> {
        let run = Arc::new(RunProgress::default());
        self.runs().insert(table, Arc::clone(&run));
        run
    }

    pub(crate) fn end(&self, table: Uuid) {
        self.runs().remove(&table);
    }

    pub(crate) fn of(&self, table: Uuid) -> Option<PipelineProgress> {
        self.runs().get(&table).map(|run| run.to_wire())
    }

    pub(crate) fn version_of(&self, table: Uuid) -> Option<i64> {
        self.runs().get(&table)?.version()
    }

    fn runs(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<RunProgress>>> {
        // The map is whole at every point where a holder could panic.
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
