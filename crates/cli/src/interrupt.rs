//! Ctrl-C while something is waited for that goes on by itself.
//!
//! Owns: ending the wait, and saying what goes on. Never: ending the thing itself.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// From when it is made on, Ctrl-C does not end the program but the wait.
pub(crate) struct Interrupt(Signal);

impl Interrupt {
    pub(crate) fn watch() -> Result<Self, Failure> {
        signal(SignalKind::interrupt()).map(Self).map_err(Failure::while_doing("watch for Ctrl-C"))
    }

    /// Waits for `work`; on Ctrl-C gives up with what `left` says about the state of things.
    pub(crate) async fn or<T>(
        mut self,
        work: impl Future<Output = Result<T, Failure>>,
        left: impl FnOnce() -> Failure,
    ) -> Result<T, Failure> {
        tokio::select! {
            done = work => done,
            _ = self.0.recv() => Err(left()),
        }
    }
}
