//! `lakeport sync run …`.

use clap::{Args, ValueEnum};

use super::sync::NullBytesArg;

#[derive(Debug, Args)]
pub(crate) struct SyncRunArgs {
    /// The Delta table: a path or a file, s3, abfss or gs URL
    #[arg(long, value_name = "URI")]
    pub(crate) source: String,
    /// postgres://…, or instance:NAME[/DATABASE]
    #[arg(long)]
    pub(crate) target: String,
    /// Table to make or refresh
    #[arg(long, value_name = "SCHEMA.NAME")]
    pub(crate) table: String,
    /// Columns of the primary key
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', required = true)]
    pub(crate) key: Vec<String>,
    /// How to follow the source
    #[arg(long, value_enum, default_value_t = SyncMode::Snapshot)]
    pub(crate) mode: SyncMode,
    /// Of source rows with one key, keep the one that is greatest in this column
    #[arg(long, value_name = "COLUMN")]
    pub(crate) timeseries_key: Option<String>,
    /// Share of changed rows above which --mode triggered reads all rows instead
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    pub(crate) reload_share: f64,
    /// Share of differing rows above which a refresh replaces all rows at once; readers wait meanwhile
    #[arg(long, value_name = "SHARE")]
    pub(crate) swap_share: Option<f64>,
    /// Read all rows if the changes are out of reach or the source's columns have changed, instead of failing
    #[arg(long)]
    pub(crate) reload_on_gap: bool,
    /// Compare all rows even if the table already holds the source's version
    #[arg(long)]
    pub(crate) full_refresh: bool,
    /// Leave gathering statistics of a table that was loaded to autovacuum
    #[arg(long)]
    pub(crate) no_analyze: bool,
    /// Option of the object store, such as aws_region=eu-west-1; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) storage_option: Vec<String>,
    /// What to do with NUL characters, which PostgreSQL's text cannot hold
    #[arg(long, value_enum, default_value_t = NullBytesArg::Fail)]
    pub(crate) null_bytes: NullBytesArg,
    /// A column's type: COLUMN=varchar(N), vector(N) or halfvec(N); may be repeated
    #[arg(long, value_name = "COLUMN=TYPE")]
    pub(crate) type_override: Vec<String>,
    /// Bounds what is read ahead, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    pub(crate) memory: u32,
    /// Port of PostgreSQL for instance: targets
    #[arg(long, env = "LAKEPORT_PG_PORT", default_value_t = 5432)]
    pub(crate) port: u16,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SyncMode {
    /// Read all rows and apply the differences
    Snapshot,
    /// Read the change data feed since the version that the table holds, and apply it
    Triggered,
}
