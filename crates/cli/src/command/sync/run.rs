//! `lakeport sync run`: one run of the sync library, in this process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lakeport_client::{Forwarder, Target, Token};
use lakeport_sync::{
    Error, Job, Kind, NullBytes, Options, Outcome, PgType, Phase, Progress, Source, SourceProblem,
    TableName, TypeChoice,
};
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_util::sync::CancellationToken;

use crate::args::{NullBytesArg, SyncMode, SyncRunArgs};
use crate::context::Context;
use crate::failure::Failure;

const DEFAULT_DATABASE: &str = "databricks_postgres";
const REFRESH: Duration = Duration::from_millis(200);

pub(super) async fn run(context: &Context, args: SyncRunArgs) -> Result<(), Failure> {
    let table = table_name(&args.table)?;
    let storage_options = storage_options(&args.storage_option)?;
    let type_choices: Vec<TypeChoice> =
        args.type_override.iter().map(|text| type_choice(text)).collect::<Result<_, _>>()?;
    // The door, if there is one, stays open until the run is over.
    let (target, _door) = target(context, &args.target, args.port).await?;
    let job = Job {
        sessions: None,
        // Whoever runs this reads with rights of their own.
        source: Source {
            location: args.source,
            storage_options,
            may_read: Some(Arc::new(|_: &str| true)),
        },
        target,
        table,
        primary_key: args.key,
        options: Options {
            force: args.full_refresh,
            null_bytes: null_bytes(args.null_bytes),
            timeseries_key: args.timeseries_key,
            reload_share: args.reload_share,
            swap_share: args.swap_share,
            reload_on_gap: args.reload_on_gap,
            type_choices,
            memory_bytes: args.memory as usize * 1024 * 1024,
            ..Options::default()
        },
    };
    let outcome = watched(context, &job, args.mode).await?;
    if outcome.kind == Kind::Loaded
        && !args.no_analyze
        && let Err(error) = lakeport_sync::analyze(&job.target, &job.table).await
    {
        context.output.note(&format!("note: {}", error.message()));
    }
    context.output.show(&as_json(&outcome), |_| sentence(&job.table, &outcome))
}

/// Runs the job with a progress line; Ctrl-C cancels it, which leaves the table as it was.
async fn watched(context: &Context, job: &Job, mode: SyncMode) -> Result<Outcome, Failure> {
    let progress = Progress::default();
    let cancel = CancellationToken::new();
    let line = context.output.status_line();
    let started = Instant::now();
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let run = async {
        match mode {
            SyncMode::Snapshot => lakeport_sync::snapshot(job, &progress, &cancel).await,
            SyncMode::Triggered => lakeport_sync::changes(job, &progress, &cancel).await,
        }
    };
    tokio::pin!(run);
    loop {
        tokio::select! {
            outcome = &mut run => {
                return outcome.map_err(|error| failure(&error));
            }
            _ = ticks.tick() => line.update(&progress_text(&progress, started.elapsed())),
            _ = tokio::signal::ctrl_c() => cancel.cancel(),
        }
    }
}

fn failure(error: &Error) -> Failure {
    match error {
        Error::Source { problem: SourceProblem::Missing, .. } => {
            Failure::not_found(error.message())
        }
        _ if error.heals_by_reload() => Failure::new(error.message())
            .hint("run it again with --full-refresh, or always with --reload-on-gap"),
        _ => Failure::new(error.message()),
    }
}

fn progress_text(progress: &Progress, elapsed: Duration) -> String {
    let phase = match progress.phase() {
        Phase::Reading => "loading",
        Phase::Indexing => "indexing",
        Phase::Applying => "applying",
        Phase::Done => "done",
    };
    let rows = progress.synced_rows();
    let rate = rows as f64 / elapsed.as_secs_f64().max(0.001);
    let mut text = format!("{phase}: {rows} rows, {rate:.0} rows/s");
    if let Some(total) = progress.total_rows().filter(|total| *total > 0) {
        let percent = 100.0 * rows as f64 / total as f64;
        text.push_str(&format!(", {:.0} %", percent.min(100.0)));
        if rate >= 1.0 && progress.phase() == Phase::Reading {
            let left = total.saturating_sub(rows) as f64 / rate;
            text.push_str(&format!(", {left:.0} s left"));
        }
    }
    text
}

/// Where to load, and the door in front of it if the way there needs TLS.
async fn target(
    context: &Context,
    target: &str,
    port: u16,
) -> Result<(Config, Option<Forwarder>), Failure> {
    if let Some(instance) = target.strip_prefix("instance:") {
        return instance_target(context, instance, port).await;
    }
    let mut config: Config = target.parse().map_err(|error| {
        Failure::usage(format!("--target is not a connection string: {error}"))
            .hint("write postgres://USER@HOST/DATABASE, or instance:NAME/DATABASE")
    })?;
    // As libpq does, so that a password need not be in the process list.
    if let (None, Ok(password)) = (config.get_password(), std::env::var("PGPASSWORD")) {
        config.password(password);
    }
    match (config.get_ssl_mode(), config.get_hosts(), config.get_ports()) {
        (SslMode::Require, [Host::Tcp(host)], ports) => {
            let port = ports.first().copied().unwrap_or(5432);
            over_tls(&config, host, port).await
        }
        (SslMode::Require, ..) => {
            Err(Failure::usage("sslmode=require goes with exactly one host name"))
        }
        _ => Ok((config, None)),
    }
}

async fn instance_target(
    context: &Context,
    target: &str,
    port: u16,
) -> Result<(Config, Option<Forwarder>), Failure> {
    let (name, database) = target.split_once('/').unwrap_or((target, DEFAULT_DATABASE));
    let endpoint = context.client()?.endpoint(name, port).await?;
    let door = endpoint.forward().await?;
    let mut config = Config::new();
    config.user(endpoint.user()).dbname(database);
    Ok((through(&config, &door), Some(door)))
}

/// The sync library speaks no TLS of its own.
async fn over_tls(
    config: &Config,
    host: &str,
    port: u16,
) -> Result<(Config, Option<Forwarder>), Failure> {
    let password = config.get_password().map(String::from_utf8_lossy).unwrap_or_default();
    let password = Token::new(password);
    let target = Target { host: host.to_owned(), port, ca_file: None };
    let mint = move || std::future::ready(Ok(password.clone()));
    let door = Forwarder::start(&target, mint).await?;
    Ok((through(config, &door), Some(door)))
}

/// The same user, database, password and options, by way of the door.
fn through(config: &Config, door: &Forwarder) -> Config {
    let mut local = Config::new();
    local.host_path(door.dir()).port(door.port()).ssl_mode(SslMode::Disable);
    if let Some(user) = config.get_user() {
        local.user(user);
    }
    if let Some(database) = config.get_dbname() {
        local.dbname(database);
    }
    if let Some(password) = config.get_password() {
        local.password(password);
    }
    if let Some(options) = config.get_options() {
        local.options(options);
    }
    local
}

fn table_name(text: &str) -> Result<TableName, Failure> {
    let (schema, table) = text.split_once('.').unwrap_or(("public", text));
    if schema.is_empty() || table.is_empty() || table.contains('.') {
        return Err(Failure::usage(format!("`{text}` is not a name of the form schema.name")));
    }
    Ok(TableName { schema: schema.to_owned(), table: table.to_owned() })
}

/// The value may be a secret, so a wrong option is not repeated.
fn storage_options(options: &[String]) -> Result<HashMap<String, String>, Failure> {
    options
        .iter()
        .map(|option| option.split_once('='))
        .map(|pair| pair.map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect::<Option<_>>()
        .ok_or_else(|| Failure::usage("--storage-option must be KEY=VALUE"))
}

fn null_bytes(argument: NullBytesArg) -> NullBytes {
    match argument {
        NullBytesArg::Fail => NullBytes::Fail,
        NullBytesArg::Strip => NullBytes::Strip,
        NullBytesArg::Replace => NullBytes::Replace,
    }
}

/// `name=varchar(20)`.
fn type_choice(text: &str) -> Result<TypeChoice, Failure> {
    let parts = text.rsplit_once('=').and_then(|(column, kind)| {
        let (kind, size) = kind.strip_suffix(')')?.split_once('(')?;
        Some((column, kind, size))
    });
    let pg_type = parts.and_then(|(_, kind, size)| {
        Some(match kind.to_lowercase().as_str() {
            "varchar" => PgType::Varchar(size.parse().ok().filter(|size| *size > 0)?),
            "vector" => PgType::Vector(size.parse().ok().filter(|size| *size > 0)?),
            "halfvec" => PgType::HalfVector(size.parse().ok().filter(|size| *size > 0)?),
            _ => return None,
        })
    });
    match parts.zip(pg_type) {
        Some(((column, ..), pg_type)) => Ok(TypeChoice { column: column.to_owned(), pg_type }),
        None => Err(Failure::usage(format!("--type-override cannot be \"{text}\""))
            .hint("write COLUMN=varchar(N), COLUMN=vector(N) or COLUMN=halfvec(N)")),
    }
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome.kind {
        Kind::Loaded => "loaded",
        Kind::Refreshed => "refreshed",
        Kind::Changed => "changed",
        Kind::Unchanged => "unchanged",
    }
}

fn as_json(outcome: &Outcome) -> Value {
    json!({
        "outcome": kind(outcome),
        "version": outcome.version,
        "commit_timestamp_ms": outcome.commit_timestamp_ms,
        "rows": outcome.rows,
        "inserted": outcome.inserted,
        "updated": outcome.updated,
        "deleted": outcome.deleted,
        "null_key_rows": outcome.null_key_rows,
        "swapped": outcome.swapped,
        "reload": outcome.reload.as_ref().map(ToString::to_string),
    })
}

fn sentence(table: &TableName, outcome: &Outcome) -> String {
    let Outcome { version, rows, inserted, updated, deleted, .. } = outcome;
    let mut text = format!(
        "{table} is {} at version {version}: {rows} rows ({inserted} inserted, {updated} updated, \
         {deleted} deleted)",
        kind(outcome)
    );
    if outcome.null_key_rows > 0 {
        text.push_str(&format!("; {} rows left out, their key is NULL", outcome.null_key_rows));
    }
    if outcome.swapped {
        text.push_str("; so many differed that all rows were replaced at once");
    }
    if let Some(reload) = &outcome.reload {
        text.push_str(&format!("; all rows were read, because {reload}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_have_one_or_two_parts() {
        assert_eq!(table_name("s.t").unwrap().to_string(), "s.t");
        assert_eq!(table_name("t").unwrap().to_string(), "public.t");
        for bad in ["", ".t", "s.", "a.b.c"] {
            assert!(table_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn types_are_chosen_by_column() {
        let choice = type_choice("a=b=vector(3)").unwrap();
        assert_eq!((choice.column.as_str(), choice.pg_type), ("a=b", PgType::Vector(3)));
        for bad in ["a", "a=text", "a=varchar", "a=varchar(0)", "a=vector(x)"] {
            assert!(type_choice(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wrong_storage_option_is_not_repeated() {
        let options = storage_options(&[String::from("a=b=c")]).unwrap();
        assert_eq!(options["a"], "b=c");
        let failure = storage_options(&[String::from("secret")]).unwrap_err();
        assert!(!format!("{failure:?}").contains("secret"));
    }
}
