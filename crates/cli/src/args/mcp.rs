//! `lakeport mcp`.

use std::time::Duration;

use clap::Args;
use lakeport_mcp::Access;

use super::shared::duration;

/// How a client is told of it, and what the tools do: docs/mcp.md.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// observe: change nothing; manage: instances and syncs, SQL reads only; write: SQL writes too
    #[arg(long, env = "LAKEPORT_MCP_ACCESS", default_value_t = Access::Manage, value_name = "LEVEL")]
    pub(crate) access: Access,
    /// Instances whose end or interruption a person must confirm; * stands for any characters
    #[arg(long, env = "LAKEPORT_MCP_PROTECT", value_name = "NAMES", value_delimiter = ',')]
    pub(crate) protect: Vec<String>,
    /// Destroy what is not protected at the first call, as the reference tools do
    #[arg(long)]
    pub(crate) no_confirm: bool,
    /// After which time PostgreSQL ends a statement
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub(crate) statement_timeout: Duration,
    /// Rows of one answer; the rest is fetched with a cursor
    #[arg(long, default_value_t = 200, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_rows: u16,
    /// Role that reading statements switch to; the user must be a member of it
    #[arg(long, value_name = "ROLE")]
    pub(crate) read_role: Option<String>,
    /// Port of PostgreSQL, which the API does not tell
    #[arg(long, env = "LAKEPORT_PG_PORT", default_value_t = 5432)]
    pub(crate) port: u16,
}
