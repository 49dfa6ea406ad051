//! Supervised tasks: each has a name, what happens when it fails, and a way to be told to stop.
//!
//! The one place that spawns what lives as long as the server.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the end of a task means, if nobody asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The server is of no use without it.
    ShutDown,
    /// It is logged; the others go on.
    Log,
}

/// All supervised tasks of a server.
#[derive(Clone, Default)]
pub struct Supervisor {
    cancel: CancellationToken,
    tracker: TaskTracker,
}

impl Supervisor {
    /// Runs a task, which must end soon after its token is cancelled.
    pub fn spawn<F, E>(
        &self,
        name: impl Into<String>,
        on_failure: OnFailure,
        task: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + 'static,
    {
        let name = name.into();
        let cancel = self.cancel.clone();
        let work = tokio::spawn(tag(task(cancel.child_token())));
        self.tracker.spawn(async move {
            let failure = match work.await {
                Ok(Ok(())) => return,
                Ok(Err(message)) => message,
                Err(panic) => panic.to_string(),
            };
            tracing::error!(task.name = name, error = failure, "a task failed");
            if on_failure == OnFailure::ShutDown {
                cancel.cancel();
            }
        });
    }

    /// Cancelled when the server is to stop, or an essential task has failed.
    #[must_use]
    pub fn cancelled(&self) -> CancellationToken {
        self.cancel.clone()
    }

    /// Tells every task to stop and waits for them, at most for `deadline`; false if some did not.
    pub async fn shut_down(&self, deadline: Duration) -> bool {
        self.cancel.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait()).await.is_ok()
    }
}

/// Errors cross the task boundary as text.
async fn tag<E: fmt::Display>(task: impl Future<Output = Result<(), E>>) -> Result<(), String> {
    task.await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_essential_task_that_fails_stops_the_others() {
        let supervisor = Supervisor::default();
        supervisor.spawn("waits", OnFailure::Log, |cancel| async move {
            cancel.cancelled().await;
            Ok::<(), String>(())
        });
        supervisor.spawn("fails", OnFailure::ShutDown, |_| async { Err("broken") });
        supervisor.cancelled().cancelled().await;
        assert!(supervisor.shut_down(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_task_that_panics_has_failed() {
        let supervisor = Supervisor::default();
        supervisor.spawn("panics", OnFailure::ShutDown, |_| async {
            if std::hint::black_box(true) {
                panic!("on purpose");
            }
            Ok::<(), String>(())
        });
        supervisor.cancelled().cancelled().await;
    }
}
