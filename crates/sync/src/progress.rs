//! How far a run is, for someone who looks on from another task.
//!
//! Owns: a few atomics, and a clock. Never decides anything.

use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Cheap to clone; all clones show the same run.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<State>);

#[derive(Debug)]
struct State {
    total_rows: AtomicI64,
    synced_rows: AtomicU64,
    version: AtomicI64,
    bytes: AtomicU64,
    phase: AtomicU8,
    clock: Mutex<Clock>,
}

#[derive(Debug)]
struct Clock {
    phase: Phase,
    since: Instant,
    /// By phase, of the time before.
    spent: [Duration; 4],
}

impl Clock {
    fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.spent[self.phase as usize] += now.duration_since(self.since);
        (self.phase, self.since) = (phase, now);
    }
}

const UNKNOWN: i64 = -1;

impl Default for State {
    fn default() -> Self {
        Self {
            total_rows: AtomicI64::new(UNKNOWN),
            synced_rows: AtomicU64::new(0),
            version: AtomicI64::new(UNKNOWN),
            bytes: AtomicU64::new(0),
            phase: AtomicU8::new(Phase::Reading as u8),
            clock: Mutex::new(Clock {
                phase: Phase::Reading,
                since: Instant::now(),
                spent: [Duration::ZERO; 4],
            }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Reading,
    Indexing,
    Applying,
    Done,
}

impl Progress {
    /// Rows of the source's version, if its log tells.
    #[must_use]
    pub fn total_rows(&self) -> Option<u64> {
        u64::try_from(self.0.total_rows.load(Relaxed)).ok()
    }

    /// Rows sent to the server so far.
    #[must_use]
    pub fn synced_rows(&self) -> u64 {
        self.0.synced_rows.load(Relaxed)
    }

    /// The version being processed, once it is known.
    #[must_use]
    pub fn version(&self) -> Option<i64> {
        Some(self.0.version.load(Relaxed)).filter(|version| *version != UNKNOWN)
    }

    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.0.phase.load(Relaxed) {
            phase if phase == Phase::Reading as u8 => Phase::Reading,
            phase if phase == Phase::Indexing as u8 => Phase::Indexing,
            phase if phase == Phase::Applying as u8 => Phase::Applying,
            _ => Phase::Done,
        }
    }

    /// Bytes of rows sent to the server so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.0.bytes.load(Relaxed)
    }

    /// How long the run has been in a phase so far.
    #[must_use]
    pub fn spent(&self, phase: Phase) -> Duration {
        let mut clock = self.clock();
        let current = clock.phase;
        clock.enter(current);
        clock.spent[phase as usize]
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, Clock> {
        // Whole at every point where a holder could panic.
        self.0.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn start(&self, version: i64) {
        self.0.version.store(version, Relaxed);
        self.0.total_rows.store(UNKNOWN, Relaxed);
        self.0.synced_rows.store(0, Relaxed);
        self.enter(Phase::Reading);
    }

    /// The same rows are read once more.
    pub(crate) fn restart(&self) {
        self.0.synced_rows.store(0, Relaxed);
    }

    pub(crate) fn expect_rows(&self, total: Option<u64>) {
        let total = total.and_then(|total| i64::try_from(total).ok()).unwrap_or(UNKNOWN);
        self.0.total_rows.store(total, Relaxed);
    }

    pub(crate) fn add_rows(&self, rows: u64) {
        self.0.synced_rows.fetch_add(rows, Relaxed);
    }

    pub(crate) fn add_bytes(&self, bytes: usize) {
        self.0.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.clock().enter(phase);
        self.0.phase.store(phase as u8, Relaxed);
    }
}
