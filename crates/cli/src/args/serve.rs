//! `lakeport serve`. Every value is optional: flag and variable are resolved here, the TOML file and
//! the defaults by the server.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(next_help_heading = "Server options")]
pub(crate) struct ServeArgs {
    /// TOML file with the same settings, in snake_case
    #[arg(long, env = "LAKEPORT_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept [default: $XDG_DATA_HOME/lakeport or ./lakeport-data]
    #[arg(long, env = "LAKEPORT_DATA_DIR", value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Address of the REST API; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "LAKEPORT_HTTP_ADDR", value_name = "ADDR")]
    pub(crate) http_addr: Option<String>,
    /// Address of the REST API over TLS
    #[arg(long, env = "LAKEPORT_HTTPS_ADDR", value_name = "ADDR")]
    pub(crate) https_addr: Option<String>,
    /// Address of the PostgreSQL gateway [default: a loopback address for each instance]
    #[arg(long, env = "LAKEPORT_PG_ADDR", value_name = "ADDR")]
    pub(crate) pg_addr: Option<String>,
    /// Port of the PostgreSQL gateway [default: 5432]
    #[arg(long, env = "LAKEPORT_PG_PORT", value_name = "PORT")]
    pub(crate) pg_port: Option<u16>,
    /// DNS zone under which instances get their names
    #[arg(long, env = "LAKEPORT_DOMAIN", value_name = "NAME")]
    pub(crate) domain: Option<String>,
    /// Leave the databases running when the server stops
    #[arg(long, env = "LAKEPORT_KEEP_DATABASES", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) keep_databases: Option<bool>,
    /// Memory of one capacity unit [default: 1GiB]
    #[arg(long, env = "LAKEPORT_CU_MEMORY", value_name = "SIZE")]
    pub(crate) cu_memory: Option<String>,
    /// Cores of one capacity unit [default: 1]
    #[arg(long, env = "LAKEPORT_CU_CPUS", value_name = "COUNT")]
    pub(crate) cu_cpus: Option<f64>,
    /// The first administrator [default: admin@lakeport.local]
    #[arg(long, env = "LAKEPORT_ADMIN_USER", value_name = "NAME")]
    pub(crate) admin_user: Option<String>,
    /// PostgreSQL that holds the metadata [default: a small cluster of its own]
    #[arg(long, env = "LAKEPORT_METADATA_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) metadata_url: Option<String>,
    /// Unity Catalog server that resolves three-part names [default: the embedded one]
    #[arg(long, env = "LAKEPORT_CATALOG_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) catalog_url: Option<String>,
    /// Folder or URL that Delta tables may lie in; may be repeated [default: all but the system's]
    #[arg(
        long,
        env = "LAKEPORT_ALLOWED_LOCATIONS",
        value_name = "LOCATION",
        value_delimiter = ','
    )]
    pub(crate) allowed_location: Option<Vec<String>>,
    /// Directory with PostgreSQL programs, before those found; may be repeated
    #[arg(long, env = "LAKEPORT_POSTGRES_BIN", value_name = "DIR", value_delimiter = ':')]
    pub(crate) postgres_bin: Option<Vec<PathBuf>>,
    /// PEM file with the certificate chain for HTTPS and PostgreSQL [default: from a CA of its own]
    #[arg(long, env = "LAKEPORT_TLS_CERT", value_name = "FILE")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// PEM file with the key of that certificate
    #[arg(long, env = "LAKEPORT_TLS_KEY", value_name = "FILE")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Open sessions of who loses the right to log in: keep or terminate [default: keep]
    #[arg(long, env = "LAKEPORT_SESSIONS_ON_REVOKE", value_name = "POLICY")]
    pub(crate) sessions_on_revoke: Option<String>,
    /// Name under which MCP clients reach /mcp, beside addresses, localhost and the domain; may be repeated
    #[arg(
        long = "mcp-host",
        env = "LAKEPORT_MCP_HOSTS",
        value_name = "NAME",
        value_delimiter = ','
    )]
    pub(crate) mcp_hosts: Option<Vec<String>>,
    /// End sessions that were idle for so long; off for never [default: 24h]
    #[arg(long, env = "LAKEPORT_SESSION_IDLE", value_name = "TIME")]
    pub(crate) session_idle: Option<String>,
    /// End sessions that are so old; off for never [default: 3d]
    #[arg(long, env = "LAKEPORT_SESSION_AGE", value_name = "TIME")]
    pub(crate) session_age: Option<String>,
    /// Network of balancers that speak PROXY protocol v2 to the gateway; may be repeated
    #[arg(
        long,
        env = "LAKEPORT_PROXY_PROTOCOL_FROM",
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub(crate) proxy_protocol_from: Option<Vec<String>>,
    /// Size at which a new audit log is begun; five full ones are kept [default: 64MiB]
    #[arg(long, env = "LAKEPORT_AUDIT_LOG_SIZE", value_name = "SIZE")]
    pub(crate) audit_log_size: Option<String>,
    /// Let clients of this machine read /metrics without a token
    #[arg(long, env = "LAKEPORT_OPEN_METRICS", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) open_metrics: Option<bool>,
    /// Count what each statement of an instance costs, with pg_stat_statements [default: true]
    #[arg(long, env = "LAKEPORT_STATEMENT_STATISTICS", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) statement_statistics: Option<bool>,
    /// Let apps create in the schema public of their databases, which the cloud service does not
    #[arg(long, env = "LAKEPORT_APP_PUBLIC_SCHEMA", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) app_public_schema: Option<bool>,
    /// How long new access tokens and database credentials live: 10s to 1h [default: 1h]
    #[arg(long, env = "LAKEPORT_TOKEN_LIFETIME", value_name = "DURATION")]
    pub(crate) token_lifetime: Option<String>,
    /// As root: user ids, one for each PostgreSQL server [default: 4096 chosen from the data directory]
    #[arg(long, env = "LAKEPORT_OS_UIDS", value_name = "FIRST-LAST")]
    pub(crate) os_uids: Option<String>,
    /// What to log, such as info or lakeport_gateway=debug
    #[arg(long, env = "LAKEPORT_LOG_FILTER", value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
}
