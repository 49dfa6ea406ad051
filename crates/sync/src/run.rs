//! A run, top-down.
//!
//! Owns: the order of things, and cancelling. A run that is cancelled, fails or is killed leaves the
//! table as it was: all that it shows is committed in one transaction, together with its position.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_util::sync::CancellationToken;

use crate::copy::{ChangeWork, LargeRows, Netting, RowEncoder, RowStream, change_stream};
use crate::error::{Error, SourceProblem};
use crate::failpoint;
use crate::job::{Job, Kind, Options, Outcome, Reload, Source, TableName};
use crate::preview::{self, Preview};
use crate::progress::{Phase, Progress};
use crate::source::{ColumnType, Feed, Inspection, Opened, READER_REVISION, SourceTable, Watch};
use crate::target::{
    Applied, Changes, Incoming, Layout, NewPosition, Position, State, Step, Target, apply_changes,
    load, refresh, stage_changes, worthwhile,
};

/// How a table that is there follows its source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All rows are read, and the differences applied.
    Whole,
    /// The change data feed is read and applied.
    Feed,
}

/// Looks for a new commit are this far apart at first, and grow rarer.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const RAREST_LOOK: Duration = Duration::from_secs(1);

/// What a Delta location holds now; reads only the log.
pub async fn inspect(source: &Source) -> Result<Inspection, Error> {
    let wanted = source.clone();
    blocking(source, move || {
        let table = SourceTable::open(&wanted)?;
        let rows = table.files()?.iter().map(|file| file.rows()).sum();
        table.inspection(rows)
    })
    .await
}

/// Refuses what no table could be made of: a key, a name, a chosen type. Reads only the log.
pub async fn check_shape(
    source: &Source,
    primary_key: &[String],
    options: &Options,
) -> Result<(), Error> {
    let opened = open(source).await?;
    Layout::of(opened.columns(), primary_key, options).map(|_| ())
}

/// The first rows of what a Delta location holds now, as text.
pub async fn preview(source: &Source, limit: usize) -> Result<Preview, Error> {
    let wanted = source.clone();
    blocking(source, move || preview::read(&wanted, limit)).await
}

/// Makes the target table equal to the source's current version, in one transaction that readers never
/// wait for.
pub async fn snapshot(
    job: &Job,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Outcome, Error> {
    follow(job, Way::Whole, progress, cancel).await
}

/// Makes the target table equal to the source's current version by the changes since the version that
/// it holds, in one transaction. A table that is not there yet is loaded; so is one of which too much
/// has changed, and the outcome says so.
pub async fn changes(
    job: &Job,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Outcome, Error> {
    follow(job, Way::Feed, progress, cancel).await
}

/// Waits until the source has a version after `version`, or `patience` is over: a table that was
/// replaced has no next version. Gives whether there is one.
pub async fn next_commit(
    source: &Source,
    version: i64,
    patience: Duration,
    cancel: &CancellationToken,
) -> Result<bool, Error> {
    let deadline = tokio::time::Instant::now() + patience;
    let wanted = source.clone();
    let open = move || Watch::new(&wanted, version.saturating_add(1)).map(Arc::new);
    let watch = until(cancel, blocking(source, open)).await?;
    let mut pause = FIRST_LOOK;
    loop {
        let look = Arc::clone(&watch);
        if until(cancel, blocking(source, move || look.is_there())).await? {
            return Ok(true);
        }
        if tokio::time::Instant::now() + pause > deadline {
            return Ok(false);
        }
        let sleep = async {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        until(cancel, sleep).await?;
        pause = (pause * 3 / 2).min(RAREST_LOOK);
    }
}

async fn follow(
    job: &Job,
    way: Way,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Outcome, Error> {
    // Neither waits for the other: a small run is mostly this.
    let both = async { tokio::try_join!(open(&job.source), open_target(job)) };
    let (source, mut target) = until(cancel, both).await?;
    failpoint::reach("connected");
    progress.start(source.version());
    let layout = Layout::of(source.columns(), &job.primary_key, &job.options)?;
    let mut layout = layout.with_physical_names(source.physical_names());
    if layout.has_vectors() {
        layout.vectors_in = Some(until(cancel, target.schema_of_vectors()).await?);
    }
    let outcome = until(cancel, bring_up(&mut target, &source, &layout, job, way, progress)).await;
    if matches!(outcome, Err(Error::Cancelled)) {
        target.interrupt().await;
    }
    if outcome.is_ok() {
        progress.enter(Phase::Done);
        if let Some(sessions) = &job.sessions {
            target.keep(sessions, &job.target).await;
        }
    }
    outcome
}

async fn open_target(job: &Job) -> Result<Target, Error> {
    match &job.sessions {
        Some(sessions) => Target::open_kept(sessions, &job.target, &job.table).await,
        None => Target::open(&job.target, &job.table).await,
    }
}

/// Drops a synced table and its position; it is no error if there is none.
pub async fn drop_target(config: &Config, table: &TableName) -> Result<(), Error> {
    Target::open(config, table).await?.drop_table().await
}

/// Ends the sync of a table and leaves the table as it is; it is no error if there is none.
pub async fn leave_target(config: &Config, table: &TableName) -> Result<(), Error> {
    Target::open(config, table).await?.leave().await
}

/// Whether the table is there as a sync of this role that has ended left it.
pub async fn is_left(config: &Config, table: &TableName) -> Result<bool, Error> {
    Target::connect(config, table).await?.is_left().await
}

/// Why an older build may have loaded the source wrongly, if it may. Reads the footers of its files.
pub async fn misread(source: &Source) -> Result<Option<String>, Error> {
    let wanted = source.clone();
    blocking(source, move || SourceTable::open(&wanted)?.misread_before()).await
}

/// Gathers statistics of a table that was loaded. That is no part of the load: it would only keep the rows
/// from being announced, and autovacuum does it some time later too.
pub async fn analyze(config: &Config, table: &TableName) -> Result<(), Error> {
    Target::connect(config, table).await?.analyze().await
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
    way: Way,
    progress: &Progress,
) -> Result<Outcome, Error> {
    target.prepare().await?;
    failpoint::reach("prepared");
    let Options { force, reload_on_gap, .. } = job.options;
    let no_feed = way == Way::Feed && !force && !reload_on_gap && !source.has_feed();
    match target.state().await? {
        State::Foreign { owner, owned } => Err(Error::foreign("sync", &job.table, &owner, owned)),
        State::Absent | State::Left { .. } if no_feed => Err(source.no_feed()),
        State::Absent => first_load(target, source, layout, job, false, progress).await,
        State::Left { .. } => first_load(target, source, layout, job, true, progress).await,
        State::Synced { position, owned } => {
            let changes = Changes::find(target, layout, &position).await?;
            let work = Work { target, source, layout, changes: &changes, job, progress };
            Ok(Outcome { owned, ..work.bring_forward(way, &position).await? })
        }
    }
}

/// What following the feed has come to.
enum Followed {
    Done(Box<Outcome>),
    /// Nothing was applied.
    Reload(Reload),
}

/// All that a run works with.
struct Work<'a> {
    target: &'a mut Target,
    source: &'a Arc<SourceTable>,
    layout: &'a Layout,
    changes: &'a Changes,
    job: &'a Job,
    progress: &'a Progress,
}

impl Work<'_> {
    async fn bring_forward(mut self, way: Way, before: &Position) -> Result<Outcome, Error> {
        let Options { force, reload_on_gap, .. } = self.job.options;
        let reload = match (self.changes.misfit(), self.misread(before).await?) {
            (Some(what), _) if !force && !reload_on_gap => {
                let (table, what) = (self.job.table.to_string(), what.to_owned());
                return Err(Error::Shape { table, what });
            }
            (Some(what), _) => Some(Reload::Reshaped(what.to_owned())),
            (None, Some(what)) => Some(Reload::Misread(what)),
            (None, None) if is_current(before, self.source) && !force => {
                return Ok(unchanged(self.source, before));
            }
            (None, None) if way == Way::Whole => None,
            (None, None) if force => Some(Reload::Asked),
            (None, None) => match self.follow_feed(before).await? {
                Followed::Done(outcome) => return Ok(*outcome),
                Followed::Reload(reload) => Some(reload),
            },
        };
        let Self { target, source, layout, changes, job, progress } = self;
        let outcome = differential(target, source, layout, changes, job, progress).await?;
        Ok(Outcome { reload, ..outcome })
    }

    /// Why a reader of an older build may have loaded the table wrongly. Found out once: afterwards the position
    /// tells that it is well.
    async fn misread(&self, before: &Position) -> Result<Option<String>, Error> {
        if before.reader_revision >= READER_REVISION {
            return Ok(None);
        }
        let source = Arc::clone(self.source);
        match blocking(&self.job.source, move || source.misread_before()).await {
            Ok(None) => {
                let Target { positions, table, .. } = &*self.target;
                positions.confirm_reader(self.target.client(), table).await?;
                Ok(None)
            }
            Err(error) if !error.is_retryable() => {
                // Changes can be followed without the old files. The next run asks again.
                tracing::warn!(table = %self.job.table, %error, "old files cannot be looked at");
                Ok(None)
            }
            found => found,
        }
    }

    async fn follow_feed(&mut self, before: &Position) -> Result<Followed, Error> {
        let gap = self.job.options.reload_on_gap;
        match self.read_feed(before).await {
            Err(error) if gap && error.heals_by_reload() => {
                Ok(Followed::Reload(Reload::Gap(error.message())))
            }
            followed => followed,
        }
    }

    async fn read_feed(&mut self, before: &Position) -> Result<Followed, Error> {
        let Self { target, source, layout, changes, job, progress } = self;
        let (table, applied) = (Arc::clone(source), before.clone());
        let open = move || Feed::open(&table, applied.version, &applied.source_table_id);
        let feed = match blocking(&job.source, open).await? {
            Opened::Feed(feed) => feed,
            Opened::Reshaped(what) => return Ok(Followed::Reload(Reload::Reshaped(what))),
        };
        let share = job.options.reload_share;
        // An update is two changes.
        let limit = worthwhile(before, share).saturating_mul(2);
        let work = Arc::new(change_work(feed, layout, job, limit, progress));
        let mut position = position(source, layout);
        position.is_whole = false;
        position.columns = position.columns.filter(|columns| *columns != before.columns);
        let step = Step { changes, before, position: &position, limit, options: &job.options };
        let mut applied = Applied::NoRoom;
        if layout.nets_in_memory() {
            let feed = Incoming::Feed(Netting::new(Arc::clone(&work), &job.options));
            applied = apply_changes(target, layout, &step, feed, progress).await?;
        }
        if matches!(applied, Applied::NoRoom) {
            progress.restart();
            let rows = change_stream(work, &job.options);
            let aside = Incoming::Aside(stage_changes(target, layout, rows).await?);
            applied = apply_changes(target, layout, &step, aside, progress).await?;
        }
        Ok(match applied {
            Applied::Reload(reload) => Followed::Reload(reload),
            // Not of what was collected aside.
            Applied::NoRoom => {
                Followed::Reload(Reload::TooManyChanges { changes: limit / 2, rows: before.rows })
            }
            Applied::Done(found) => Followed::Done(Box::new(Outcome {
                rows: found.counts.rows,
                inserted: found.inserted,
                updated: found.updated,
                deleted: found.deleted,
                null_key_rows: found.counts.null_key_rows,
                ..outcome(source, Kind::Changed)
            })),
        })
    }
}

fn change_work(
    feed: Feed,
    layout: &Layout,
    job: &Job,
    limit: u64,
    progress: &Progress,
) -> ChangeWork {
    ChangeWork {
        feed,
        table: job.table.to_string(),
        columns: encoded(layout),
        key: layout.key.clone(),
        nul: job.options.null_bytes,
        // Which row of a key has gone is only told by all its columns.
        whole: layout.newest_by.is_some(),
        limit,
        progress: progress.clone(),
        large: LargeRows::default(),
    }
}

fn encoded(layout: &Layout) -> Vec<(String, ColumnType)> {
    let columns = layout.columns.iter();
    columns.map(|column| (column.name.clone(), column.column_type)).collect()
}

async fn first_load(
    target: &mut Target,
    source: &Arc<SourceTable>,
    layout: &Layout,
    job: &Job,
    replaces: bool,
    progress: &Progress,
) -> Result<Outcome, Error> {
    let rows = rows(source, layout, job, progress).await?;
    let position = position(source, layout);
    let counts = load(target, layout, rows, &position, replaces, progress).await?;
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
    let found = refresh(
        target,
        layout,
        changes,
        rows,
        &position(source, layout),
        job.options.swap_share,
        progress,
    )
    .await?;
    Ok(Outcome {
        rows: found.counts.rows,
        inserted: found.inserted,
        updated: found.updated,
        deleted: found.deleted,
        swapped: found.swapped,
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
        owned: true,
        swapped: false,
        reload: None,
    }
}

fn is_current(position: &Position, source: &SourceTable) -> bool {
    position.version == source.version() && position.source_table_id == source.table_id()
}

fn position(source: &SourceTable, layout: &Layout) -> NewPosition {
    NewPosition {
        is_whole: true,
        columns: Some(layout.physical_columns()),
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
    let table = job.table.to_string();
    let encoder =
        RowEncoder::new(table, encoded(layout), layout.key.clone(), job.options.null_bytes);
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
