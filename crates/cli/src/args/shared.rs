//! Arguments that several families share.

use std::time::Duration;

use clap::Args;

/// A name, as the official CLI takes it and by flag.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NameArg {
    #[arg(value_name = "NAME")]
    positional: Option<String>,
    /// The same as NAME
    #[arg(long = "name", value_name = "NAME")]
    flag: Option<String>,
}

impl NameArg {
    /// The group lets exactly one of them through.
    pub(crate) fn get(&self) -> &str {
        self.positional.as_deref().or(self.flag.as_deref()).unwrap_or_default()
    }
}

#[derive(Debug, Args)]
pub(crate) struct CreateInstanceArgs {
    #[arg(value_name = "NAME", conflicts_with = "name")]
    pub(crate) positional: Option<String>,
    /// The same as NAME
    #[arg(long)]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) fields: InstanceFields,
    /// Version of PostgreSQL, such as 16; an extension of the API
    #[arg(long)]
    pub(crate) pg_version: Option<String>,
    /// The body as JSON, or @FILE
    #[arg(long)]
    pub(crate) json: Option<String>,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InstanceFields {
    /// CU_1, CU_2, CU_4 or CU_8
    #[arg(long)]
    pub(crate) capacity: Option<String>,
    /// Allow roles with a password of their own
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) enable_pg_native_login: Option<bool>,
    /// Let secondaries answer queries
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) enable_readable_secondaries: Option<bool>,
    /// One primary and the rest secondaries
    #[arg(long, value_name = "COUNT")]
    pub(crate) node_count: Option<i64>,
    /// For how long a point in time can be restored: 2 to 35
    #[arg(long, value_name = "DAYS")]
    pub(crate) retention_window_in_days: Option<i64>,
    /// Whether it shall be stopped
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) stopped: Option<bool>,
    /// Usage policy to bill
    #[arg(long, value_name = "ID")]
    pub(crate) usage_policy_id: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Return as soon as the server has taken the request
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// For how long to wait
    #[arg(long, default_value = "20m", value_parser = duration)]
    pub(crate) timeout: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct StateChangeArgs {
    #[command(flatten)]
    pub(crate) name: NameArg,
    #[command(flatten)]
    pub(crate) wait: WaitArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// Items a request
    #[arg(long, value_name = "COUNT")]
    pub(crate) page_size: Option<u32>,
    /// Items in all
    #[arg(long, value_name = "COUNT")]
    pub(crate) limit: Option<usize>,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration =
        text.parse().map_err(|_| String::from("write it like 90s, 20m or 1h30m"))?;
    Duration::try_from(signed).map_err(|_| String::from("it cannot be negative"))
}
