//! `lakeport sync …`, but for `run`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::database::ListOfInstanceArgs;
use super::shared::{NameArg, PageArgs, WaitArgs};
#[cfg(feature = "server")]
use super::sync_run::SyncRunArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum SyncCommand {
    /// Make a PostgreSQL table equal to a Delta table, once, with no server in between
    #[cfg(feature = "server")]
    Run(Box<SyncRunArgs>),
    /// The synced tables of an instance, and how far each is
    List(ListOfInstanceArgs),
    /// How far a synced table is, and what its pipeline does
    Status(NameArg),
    /// Follow a synced table's state, a line for each change, until Ctrl-C
    Watch(WatchArgs),
    /// Start an update of a synced table and wait for its end
    Trigger(TriggerArgs),
    /// Let a synced table's pipeline rest; what is under way stops at a whole version
    Pause(NameArg),
    /// Let a paused pipeline go on
    Resume(NameArg),
    /// What the pipeline's updates have done, the newest first
    History(HistoryArgs),
    /// Show, set or remove the times at which a synced table's pipeline is updated
    Schedule(ScheduleArgs),
    /// Show or change how runs of a synced table behave
    Settings(SettingsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// End once the table is online and no update of it is under way, or has failed
    #[arg(long)]
    pub(crate) until_online: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TriggerArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// Read the whole source, under any policy
    #[arg(long)]
    pub(crate) full_refresh: bool,
    /// Update all tables of the pipeline
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").args(["cron", "remove"]))]
pub(crate) struct ScheduleArgs {
    /// catalog.schema.table
    pub(crate) name: String,
    /// Five fields as in a crontab, or six or seven as in Quartz; shows the schedule if left out
    pub(crate) cron: Option<String>,
    /// Time zone of the schedule
    #[arg(long, value_name = "ZONE", default_value = "UTC", requires = "cron")]
    pub(crate) timezone: String,
    /// Remove the schedule
    #[arg(long)]
    pub(crate) remove: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    /// What becomes of NUL characters, which PostgreSQL's text cannot hold
    #[arg(long, value_enum)]
    pub(crate) null_bytes: Option<NullBytesArg>,
    /// Share of changed rows above which an update reads the whole source instead
    #[arg(long, value_name = "SHARE")]
    pub(crate) reload_share: Option<f64>,
    /// Share of differing rows above which a refresh replaces all rows at once; readers wait meanwhile
    #[arg(long, value_name = "SHARE")]
    pub(crate) swap_share: Option<f64>,
    /// Read the whole source where changes are out of reach or its columns have changed, instead of failing
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) reload_on_gap: Option<bool>,
    /// Bounds what a run reads ahead, in MiB
    #[arg(long, value_name = "MIB")]
    pub(crate) memory: Option<u32>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum NullBytesArg {
    Fail,
    Strip,
    Replace,
}
