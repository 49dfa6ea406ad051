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
    /// Let apps create in the schema public of their databases, which the cloud service does not
    #[arg(long, env = "LAKEPORT_APP_PUBLIC_SCHEMA", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub(crate) app_public_schema: Option<bool>,
    /// How long new access tokens and database credentials live: 10s to 1h [default: 1h]
    #[arg(long, env = "LAKEPORT_TOKEN_LIFETIME", value_name = "DURATION")]
    pub(crate) token_lifetime: Option<String>,
    /// What to log, such as info or lakeport_gateway=debug
    #[arg(long, env = "LAKEPORT_LOG_FILTER", value_name = "FILTER")]
    pub(crate) log_filter: Option<String>,
}
