//! The control plane's sync runner, implemented with the sync engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use lakeport_catalog::DeltaLocation;
use lakeport_control::{
    ColumnInspection, Inspection, NullCharacters, PgType, RunCost, RunError, RunKind, RunMode,
    RunOutcome, RunProgress, RunSettings, SyncRun, SyncRunner, TableShape, TypeChoice,
};
use lakeport_sync::{
    Job, Kind, NullBytes, Options, Outcome, Phase, Progress, Sessions, Source, TableName,
};
use tokio_util::sync::CancellationToken;

/// How often progress is passed on.
const PROGRESS_TICK: Duration = Duration::from_millis(200);

/// How long a next commit is waited for before the whole table is looked at again.
const COMMIT_PATIENCE: Duration = Duration::from_secs(15);

/// SQLSTATE of a relation that no sync has made.
const DUPLICATE_TABLE: &str = "42P07";

/// Every run over one set of connections.
#[derive(Default)]
pub(crate) struct Syncs {
    sessions: Sessions,
}

#[async_trait]
impl SyncRunner for Syncs {
    async fn inspect(&self, source: &DeltaLocation) -> Result<Inspection, RunError> {
        let found = lakeport_sync::inspect(&to_source(source)).await.map_err(run_error)?;
        let columns = found.columns.into_iter().zip(found.spark_fields);
        let columns = columns.map(|(column, spark_json)| ColumnInspection {
            name: column.name,
            delta_type: column.delta_type,
            spark_json,
            nullable: column.nullable,
            comment: column.comment,
        });
        Ok(Inspection {
            version: found.version,
            columns: columns.collect(),
            partition_columns: found.partition_columns,
            comment: found.comment,
            properties: found.properties,
        })
    }

    async fn check_shape(
        &self,
        source: &DeltaLocation,
        shape: &TableShape,
    ) -> Result<(), RunError> {
        let options = options(shape, &RunSettings::default(), false);
        let source = to_source(source);
        let checked = lakeport_sync::check_shape(&source, &shape.primary_key, &options).await;
        checked.map_err(run_error)
    }

    async fn run(
        &self,
        run: SyncRun,
        progress: Arc<RunProgress>,
        cancel: CancellationToken,
    ) -> Result<RunOutcome, RunError> {
        let job = Job {
            sessions: Some(self.sessions.clone()),
            source: to_source(&run.source),
            target: run.target,
            table: TableName { schema: run.schema, table: run.table },
            primary_key: run.shape.primary_key.clone(),
            options: options(&run.shape, &run.settings, run.full_refresh),
        };
        let inner = Progress::default();
        let work = async {
            match run.mode {
                RunMode::Snapshot => lakeport_sync::snapshot(&job, &inner, &cancel).await,
                RunMode::Changes => lakeport_sync::changes(&job, &inner, &cancel).await,
            }
        };
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => {
                    copy_progress(&inner, &progress);
                    // It is set here only, once.
                    let _ = progress.cost.set(cost(&inner));
                    return outcome.map(to_outcome).map_err(run_error);
                }
                () = tokio::time::sleep(PROGRESS_TICK) => copy_progress(&inner, &progress),
            }
        }
    }

    async fn analyze(
        &self,
        target: tokio_postgres::Config,
        schema: &str,
        table: &str,
    ) -> Result<(), RunError> {
        let table = TableName { schema: schema.to_owned(), table: table.to_owned() };
        lakeport_sync::analyze(&target, &table).await.map_err(run_error)
    }

    async fn next_commit(
        &self,
        source: &DeltaLocation,
        version: i64,
        cancel: CancellationToken,
    ) -> Result<(), RunError> {
        let source = to_source(source);
        let seen = lakeport_sync::next_commit(&source, version, COMMIT_PATIENCE, &cancel).await;
        seen.map(|_| ()).map_err(run_error)
    }

    fn reader_revision(&self) -> i32 {
        lakeport_sync::READER_REVISION
    }

    async fn misread(&self, source: &DeltaLocation) -> Result<Option<String>, RunError> {
        lakeport_sync::misread(&to_source(source)).await.map_err(run_error)
    }

    async fn is_left(
        &self,
        target: tokio_postgres::Config,
        schema: &str,
        table: &str,
    ) -> Result<bool, RunError> {
        let table = TableName { schema: schema.to_owned(), table: table.to_owned() };
        lakeport_sync::is_left(&target, &table).await.map_err(run_error)
    }

    async fn release(
        &self,
        target: tokio_postgres::Config,
        schema: &str,
        table: &str,
        drop_table: bool,
    ) -> Result<(), RunError> {
        // Who has ended a table may go on to end its database.
        self.sessions.close(&target);
        let table = TableName { schema: schema.to_owned(), table: table.to_owned() };
        let released = if drop_table {
            lakeport_sync::drop_target(&target, &table).await
        } else {
            lakeport_sync::leave_target(&target, &table).await
        };
        match released {
            // What stands there was made by someone else, and stays theirs.
            Err(error) if error.sqlstate() == Some(DUPLICATE_TABLE) => Ok(()),
            released => released.map_err(run_error),
        }
    }
}

fn options(shape: &TableShape, settings: &RunSettings, force: bool) -> Options {
    let usual = Options::default();
    Options {
        force,
        memory_bytes: settings.memory_bytes.unwrap_or(usual.memory_bytes),
        null_bytes: match settings.null_characters {
            NullCharacters::Fail => NullBytes::Fail,
            NullCharacters::Strip => NullBytes::Strip,
            NullCharacters::Replace => NullBytes::Replace,
        },
        timeseries_key: shape.timeseries_key.clone(),
        reload_share: settings.reload_share.unwrap_or(usual.reload_share),
        swap_share: settings.swap_share,
        reload_on_gap: settings.reload_on_gap,
        type_choices: shape.type_choices.iter().map(type_choice).collect(),
        ..usual
    }
}

fn type_choice(choice: &TypeChoice) -> lakeport_sync::TypeChoice {
    use lakeport_sync::PgType as To;
    let pg_type = match choice.pg_type {
        PgType::Varchar(size) => To::Varchar(size),
        PgType::Vector(size) => To::Vector(size),
        PgType::HalfVector(size) => To::HalfVector(size),
    };
    lakeport_sync::TypeChoice { column: choice.column.clone(), pg_type }
}

fn to_source(source: &DeltaLocation) -> Source {
    let storage_options: HashMap<String, String> = source.options.clone();
    Source {
        location: source.location.as_str().to_owned(),
        storage_options,
        may_read: source.may_read.clone(),
    }
}

fn copy_progress(from: &Progress, to: &RunProgress) {
    let number = |value: Option<u64>| value.and_then(|v| i64::try_from(v).ok());
    to.synced_rows.store(number(Some(from.synced_rows())).unwrap_or(i64::MAX), Relaxed);
    if let Some(total) = number(from.total_rows()) {
        to.total_rows.store(total, Relaxed);
    }
    if let Some(version) = from.version() {
        to.version.store(version, Relaxed);
    }
    to.finishing.store(from.phase() != Phase::Reading, Relaxed);
}

fn cost(of: &Progress) -> RunCost {
    RunCost {
        bytes: of.bytes(),
        reading: of.spent(Phase::Reading),
        indexing: of.spent(Phase::Indexing),
        applying: of.spent(Phase::Applying),
    }
}

fn to_outcome(outcome: Outcome) -> RunOutcome {
    let Outcome { version, rows, inserted, updated, deleted, .. } = outcome;
    let kind = match outcome.kind {
        Kind::Unchanged => RunKind::Unchanged,
        Kind::Changed => RunKind::Changed,
        Kind::Loaded | Kind::Refreshed => RunKind::Loaded,
    };
    let mut summary = match outcome.kind {
        Kind::Loaded => format!("Version {version} was loaded: {rows} rows."),
        Kind::Refreshed | Kind::Changed => format!(
            "Version {version} was applied: {inserted} rows inserted, {updated} updated, {deleted} \
             deleted; {rows} rows."
        ),
        Kind::Unchanged => format!("Version {version} was applied already: {rows} rows."),
    };
    if let Some(reload) = &outcome.reload {
        summary.push_str(&format!(" The whole source was read, because {reload}."));
    }
    if outcome.swapped {
        summary.push_str(" So many rows differed that all of them were replaced at once.");
    }
    let warning = (outcome.null_key_rows > 0).then(|| {
        format!("{} rows with NULL in the primary key were left out.", outcome.null_key_rows)
    });
    let committed_at =
        outcome.commit_timestamp_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let is_published = !outcome.owned;
    RunOutcome { version, committed_at, rows, summary, kind, is_published, warning }
}

fn run_error(error: lakeport_sync::Error) -> RunError {
    RunError {
        message: error.message(),
        retryable: error.is_retryable(),
        heals_by_reload: error.heals_by_reload(),
        feed_off: error.is_feed_off(),
    }
}
