//! A run, top-down.
//!
//! Owns: the order of things, and cancelling. A run that is cancelled, fails or is killed leaves the
//! table as it was: all that it shows is committed in one transaction, together with its position.

use std::sync::Arc;

use tokio_postgres::Config;
use tokio_util::sync::CancellationToken;

use crate::copy::{RowEncoder, RowStream};
use crate::error::{Error, SourceProblem};
use crate::job::{Job, Kind, Outcome, Source, TableName};
use crate::progress::{Phase, Progress};
use crate::source::{Inspection, SourceTable};
use crate::target::{Changes, Layout, NewPosition, Position, State, Target, load, refresh};

/// What a Delta location holds now; reads only the log.
pub async fn inspect(source: &Source) -> Result<Inspection, Error> {
    let wanted = source.clone();
    blocking(source, move || {
        let table = SourceTable::open(&wanted)?;
        let rows = table.files()?.iter().map(|file| file.rows()).sum();
        Ok(table.inspection(rows))
    })
    .await
}

/// Makes the target table equal to the source's current version, in one transaction that readers never
/// wait for.
pub async fn snapshot(
    job: &Job,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Outcome, Error> {
    let source = until(cancel, open(&job.source)).await?;
    progress.start(source.version());
    let layout = Layout::of(source.columns(), &job.primary_key)?;

    let mut target = until(cancel, Target::open(&job.target, &job.table)).await?;
    let outcome = until(cancel, bring_up(&mut target, &source, &layout, job, progress)).await;
    if matches!(outcome, Err(Error::Cancelled)) {
        target.interrupt().await;
    }
    if outcome.is_ok() {
        progress.enter(Phase::Done);
    }
    outcome
}

/// Drops a synced table and its position; it is no error if there is none.
pub async fn drop_target(config: &Config, table: &TableName) -> Result<(), Error> {
    Target::open(config, table).await?.drop_table().await
}

/// Forgets a synced table's position and leaves the table as it is; it is no error if there is none.
pub async fn forget_target(config: &Config, table: &TableName) -> Result<(), Error> {
    Target::open(config, table).await?.forget().await
}

/// The version that a synced table holds, or nothing where no sync has made one.
pub async fn applied(config: &Config, table: &TableName) -> Result<Option<Position>, Error> {
    Target::connect(config, table).await?.position().await
}

/// Decides by what is there between a first load, a refresh, and nothing to do.
async fn bring_up(
    target: &mut Target,
    source: &Arc<SourceTable>,
    layout: &Layout,
    job: &Job,
    progress: &Progress,
) -> Result<Outcome, Error> {
    target.prepare().await?;
    match target.state().await? {
        State::Foreign => Err(Error::foreign("sync", &job.table)),
        State::Absent => first_load(target, source, layout, job, progress).await,
        State::Synced(position) => {
            let changes = Changes::find(target, layout).await?;
            if is_current(&position, source) && !job.options.force {
                return Ok(unchanged(source, &position));
            }
            differential(target, source, layout, &changes, job, progress).await
        }
    }
}

async fn first_load(
    target: &mut Target,
    source: &Arc<SourceTable>,
    layout: &Layout,
    job: &Job,
    progress: &Progress,
) -> Result<Outcome, Error> {
    let rows = rows(source, layout, job, progress).await?;
    let counts = load(target, layout, rows, &position(source), progress).await?;
    Ok(Outcome {
        rows: counts.rows,
        inserted: counts.rows,
        null_key_rows: counts.null_key_rows,
        ..outcome(source, Kind::Loaded)
    })
}

async fn differential(
    target: &mut Target,
    source: &Arc<SourceTable>,
    layout: &Layout,
    changes: &Changes,
    job: &Job,
    progress: &Progress,
) -> Result<Outcome, Error> {
    let rows = rows(source, layout, job, progress).await?;
    let found = refresh(target, layout, changes, rows, &position(source), progress).await?;
    Ok(Outcome {
        rows: found.counts.rows,
        inserted: found.inserted,
        updated: found.updated,
        deleted: found.deleted,
        null_key_rows: found.counts.null_key_rows,
        ..outcome(source, Kind::Refreshed)
    })
}

fn unchanged(source: &SourceTable, position: &Position) -> Outcome {
    Outcome { rows: position.rows, ..outcome(source, Kind::Unchanged) }
}

fn outcome(source: &SourceTable, kind: Kind) -> Outcome {
    Outcome {
        version: source.version(),
        commit_timestamp_ms: source.commit_timestamp_ms(),
        rows: 0,
        inserted: 0,
        updated: 0,
        deleted: 0,
        null_key_rows: 0,
        kind,
    }
}

fn is_current(position: &Position, source: &SourceTable) -> bool {
    position.version == source.version() && position.source_table_id == source.table_id()
}

fn position(source: &SourceTable) -> NewPosition {
    NewPosition {
        source_table_id: source.table_id().to_owned(),
        version: source.version(),
        commit_timestamp_ms: source.commit_timestamp_ms(),
    }
}

/// The version's rows, listed and ready to be read.
async fn rows(
    source: &Arc<SourceTable>,
    layout: &Layout,
    job: &Job,
    progress: &Progress,
) -> Result<RowStream, Error> {
    let listed = Arc::clone(source);
    let files = blocking(&job.source, move || listed.files()).await?;
    progress.expect_rows(files.iter().map(|file| file.rows()).sum());
    let columns = layout.columns.iter();
    let columns = columns.map(|column| (column.name.clone(), column.column_type)).collect();
    let table = job.table.to_string();
    let encoder = RowEncoder::new(table, columns, layout.key.clone(), job.options.null_bytes);
    Ok(RowStream::new(Arc::clone(source), files, encoder, &job.options, progress.clone()))
}

async fn open(source: &Source) -> Result<Arc<SourceTable>, Error> {
    let wanted = source.clone();
    blocking(source, move || SourceTable::open(&wanted).map(Arc::new)).await
}

/// The kernel blocks, so it gets a thread where that hurts nobody.
async fn blocking<T: Send + 'static>(
    source: &Source,
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(crash) => {
            let message = format!("reading its log failed unexpectedly: {crash}");
            Err(source.problem(SourceProblem::Corrupt, message))
        }
    }
}

async fn until<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::Cancelled),
        result = work => result,
    }
}
