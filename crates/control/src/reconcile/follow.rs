//! Following a source: the pass of a continuous pipeline, which lasts until somebody ends it.
//!
//! Owns: the loop of waiting for a commit, applying it and recording that. What is recorded is for people;
//! where to go on from stands in the target.

use std::convert::Infallible;

use jiff::Timestamp;
use lakeport_api::SyncedTableState;
use tokio_util::sync::CancellationToken;

use super::synced_table::{
    Failure, Work, applied, begin, conclude, from_run_error, message, news, prepare, publish, run,
    while_wanted,
};
use crate::synced_table_wire::state_name;
use crate::{Error, Result, RunKind, RunOutcome, RunProgress};

pub(super) async fn follow(work: &Work<'_>, cancel: CancellationToken) -> Result<()> {
    begin(work).await?;
    let Err(failure) = while_wanted(work, &cancel, |stop| keep_up(work, stop)).await;
    conclude(work, failure).await
}

/// Ends by a failure only.
async fn keep_up(
    work: &Work<'_>,
    cancel: CancellationToken,
) -> std::result::Result<Infallible, Failure> {
    let mut recorded = work.table.applied.as_ref().map(|applied| applied.version);
    loop {
        // Its way to the source may hold credentials that end.
        let job = prepare(work).await?;
        let (source, source_name) = (job.source.clone(), job.source_name.clone());
        let mut again = true;
        while again {
            let started_at = Timestamp::now();
            let progress = RunProgress::default();
            let outcome = run(work, job.clone(), progress.into(), false, &cancel).await?;
            publish(work, &outcome).await?;
            if recorded != Some(outcome.version) || outcome.kind != RunKind::Unchanged {
                record(work, started_at, &outcome).await?;
                recorded = Some(outcome.version);
            }
            again = outcome.kind != RunKind::Unchanged;
            let next = work.control.runner.next_commit(&source, outcome.version, cancel.clone());
            next.await.map_err(|error| from_run_error(error, &source_name, work.table))?;
        }
    }
}

async fn record(
    work: &Work<'_>,
    started_at: Timestamp,
    outcome: &RunOutcome,
) -> std::result::Result<(), Failure> {
    let state = state_name(SyncedTableState::OnlineContinuousUpdate);
    let applied = applied(work, started_at, outcome);
    let (store, table, update) = (&work.control.store, work.table.id, work.update.id);
    let (message, news) = (message(outcome), news(work, outcome));
    let recorded = store.advance_update(table, update, &applied, &state, &message, &news).await;
    recorded.map_err(|error| Failure::Later(Error::from(error).message().to_owned()))
}
