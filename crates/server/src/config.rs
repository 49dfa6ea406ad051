//! Configuration: flags before environment (both resolved by the caller), before a TOML file, before
//! defaults.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use jiff::SpanRelativeTo;
use lakeport_catalog::Policy;
use lakeport_control::SessionsOnRevoke;
use lakeport_engine::CapacityUnit;
use lakeport_identity::MAX_TOKEN_LIFETIME;
use serde::Deserialize;

use crate::stores::{self, CatalogSettings, ObjectStoreSettings, OutsideSettings};
use crate::{Error, Result};
pub use issuers::{IssuerSettings, LoginProvider, ProviderSettings, TrustedIssuer};

mod issuers;

const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_PG_PORT: u16 = 5432;
/// Below it, a client would do little else but fetch tokens.
const MIN_TOKEN_LIFETIME: Duration = Duration::from_secs(10);
const DEFAULT_ADMIN: &str = "admin@lakeport.local";

/// What can be set. The names are those of the flags, with underscores.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub data_dir: Option<PathBuf>,
    pub http_addr: Option<String>,
    pub https_addr: Option<String>,
    pub pg_addr: Option<String>,
    pub pg_port: Option<u16>,
    pub domain: Option<String>,
    pub keep_databases: Option<bool>,
    pub cu_memory: Option<String>,
    pub cu_cpus: Option<f64>,
    pub admin_user: Option<String>,
    pub metadata_url: Option<String>,
    pub catalog_url: Option<String>,
    /// Folders and stores that tables may lie in; if it is absent, all but the system's own folders.
    pub allowed_locations: Option<Vec<String>>,
    pub object_store: Option<Vec<ObjectStoreSettings>>,
    pub catalog: Option<Vec<CatalogSettings>>,
    pub postgres_bin: Option<Vec<PathBuf>>,
    pub log_filter: Option<String>,
    /// `keep` or `terminate`.
    pub sessions_on_revoke: Option<String>,
    /// As `FIRST-LAST`.
    pub os_uids: Option<String>,
    /// Names under which clients may reach `/mcp`, beside addresses, localhost and the domain.
    pub mcp_hosts: Option<Vec<String>>,
    pub app_public_schema: Option<bool>,
    /// How long new access tokens and database credentials live, such as `10m`.
    pub token_lifetime: Option<String>,
    /// PEM files of a certificate chain and its key, instead of certificates of our own CA.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    /// How long a session may be idle, and how long it may last.
    pub session_idle: Option<String>,
    pub session_age: Option<String>,
    /// Networks of balancers that speak the PROXY protocol.
    pub proxy_protocol_from: Option<Vec<String>>,
    pub audit_log_size: Option<String>,
    pub open_metrics: Option<bool>,
    /// Whether instances load `pg_stat_statements`.
    pub statement_statistics: Option<bool>,
    /// In the TOML file alone: tables of several keys.
    pub trusted_issuers: Option<Vec<IssuerSettings>>,
    pub login_provider: Option<ProviderSettings>,
}

impl Settings {
    /// Reads a TOML file; an unknown key is an error that names it.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(Error::io("reading", path.display()))?;
        toml::from_str(&text).map_err(|error| Error::Config(format!("{}: {error}", path.display())))
    }

    /// These settings, and those of `other` where these say nothing.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            data_dir: self.data_dir.or(other.data_dir),
            http_addr: self.http_addr.or(other.http_addr),
            https_addr: self.https_addr.or(other.https_addr),
            pg_addr: self.pg_addr.or(other.pg_addr),
            pg_port: self.pg_port.or(other.pg_port),
            domain: self.domain.or(other.domain),
            keep_databases: self.keep_databases.or(other.keep_databases),
            cu_memory: self.cu_memory.or(other.cu_memory),
            cu_cpus: self.cu_cpus.or(other.cu_cpus),
            admin_user: self.admin_user.or(other.admin_user),
            metadata_url: self.metadata_url.or(other.metadata_url),
            catalog_url: self.catalog_url.or(other.catalog_url),
            allowed_locations: self.allowed_locations.or(other.allowed_locations),
            object_store: self.object_store.or(other.object_store),
            catalog: self.catalog.or(other.catalog),
            postgres_bin: self.postgres_bin.or(other.postgres_bin),
            log_filter: self.log_filter.or(other.log_filter),
            sessions_on_revoke: self.sessions_on_revoke.or(other.sessions_on_revoke),
            os_uids: self.os_uids.or(other.os_uids),
            mcp_hosts: self.mcp_hosts.or(other.mcp_hosts),
            app_public_schema: self.app_public_schema.or(other.app_public_schema),
            token_lifetime: self.token_lifetime.or(other.token_lifetime),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
            session_idle: self.session_idle.or(other.session_idle),
            session_age: self.session_age.or(other.session_age),
            proxy_protocol_from: self.proxy_protocol_from.or(other.proxy_protocol_from),
            audit_log_size: self.audit_log_size.or(other.audit_log_size),
            open_metrics: self.open_metrics.or(other.open_metrics),
            statement_statistics: self.statement_statistics.or(other.statement_statistics),
            trusted_issuers: self.trusted_issuers.or(other.trusted_issuers),
            login_provider: self.login_provider.or(other.login_provider),
        }
    }
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    pub http_addr: SocketAddr,
    pub https_addr: Option<SocketAddr>,
    pub pg_addr: Option<IpAddr>,
    pub pg_port: u16,
    pub domain: Option<String>,
    pub keep_databases: bool,
    pub unit: CapacityUnit,
    pub admin_user: String,
    pub metadata_url: Option<MetadataUrl>,
    pub locations: Policy,
    pub(crate) outside: OutsideSettings,
    pub postgres_bin: Vec<PathBuf>,
    pub sessions_on_revoke: SessionsOnRevoke,
    pub os_uids: Option<RangeInclusive<u32>>,
    pub app_public_schema: bool,
    pub token_lifetime: Duration,
    pub tls_files: Option<(PathBuf, PathBuf)>,
    pub mcp_hosts: Vec<String>,
    pub session_idle: Option<Duration>,
    pub session_age: Option<Duration>,
    pub trusted_proxies: Vec<IpNet>,
    /// A full audit log has so many bytes.
    pub audit_log_size: u64,
    pub open_metrics: bool,
    pub statement_statistics: bool,
    pub trusted_issuers: Vec<TrustedIssuer>,
    pub login_provider: Option<LoginProvider>,
}

/// A connection string, which may hold a password: never printed.
#[derive(Clone)]
pub struct MetadataUrl(pub(crate) tokio_postgres::Config);

impl std::fmt::Debug for MetadataUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MetadataUrl(***)")
    }
}

impl TryFrom<Settings> for Config {
    type Error = Error;

    fn try_from(settings: Settings) -> Result<Self> {
        let data_dir = settings.data_dir.unwrap_or_else(default_data_dir);
        let data_dir =
            std::path::absolute(&data_dir).map_err(Error::io("resolving", data_dir.display()))?;
        Ok(Self {
            locations: stores::policy(
                settings.allowed_locations,
                settings.object_store,
                &data_dir,
            )?,
            outside: OutsideSettings::new(settings.catalog_url, settings.catalog)?,
            data_dir,
            http_addr: address("http_addr", settings.http_addr)?.unwrap_or(DEFAULT_HTTP),
            https_addr: address("https_addr", settings.https_addr)?,
            pg_addr: settings.pg_addr.as_deref().map(pg_address).transpose()?,
            pg_port: settings.pg_port.unwrap_or(DEFAULT_PG_PORT),
            domain: settings.domain.map(domain).transpose()?,
            keep_databases: settings.keep_databases.unwrap_or_default(),
            unit: unit(settings.cu_memory.as_deref(), settings.cu_cpus)?,
            admin_user: admin_user(settings.admin_user)?,
            metadata_url: settings.metadata_url.map(metadata_url).transpose()?,
            postgres_bin: settings.postgres_bin.unwrap_or_default(),
            sessions_on_revoke: sessions_on_revoke(settings.sessions_on_revoke.as_deref())?,
            os_uids: settings.os_uids.as_deref().map(os_uids).transpose()?,
            app_public_schema: settings.app_public_schema.unwrap_or_default(),
            token_lifetime: token_lifetime(settings.token_lifetime.as_deref())?,
            tls_files: tls_files(settings.tls_cert, settings.tls_key)?,
            mcp_hosts: settings.mcp_hosts.unwrap_or_default(),
            session_idle: duration("session_idle", settings.session_idle, "24h")?,
            session_age: duration("session_age", settings.session_age, "3d")?,
            trusted_proxies: networks(settings.proxy_protocol_from.unwrap_or_default())?,
            audit_log_size: audit_log_size(settings.audit_log_size.as_deref())?,
            open_metrics: settings.open_metrics.unwrap_or_default(),
            statement_statistics: settings.statement_statistics.unwrap_or(true),
            trusted_issuers: issuers::trusted(settings.trusted_issuers.unwrap_or_default())?,
            login_provider: settings.login_provider.map(issuers::provider).transpose()?,
        })
    }
}

fn bad(field: &str, problem: impl std::fmt::Display) -> Error {
    Error::Config(format!("{field}: {problem}"))
}

/// Where everything is kept, if nothing is said.
#[must_use]
pub fn default_data_dir() -> PathBuf {
    match std::env::var_os("XDG_DATA_HOME").filter(|home| !home.is_empty()) {
        Some(home) => PathBuf::from(home).join("lakeport"),
        None => PathBuf::from("lakeport-data"),
    }
}

fn address(field: &str, text: Option<String>) -> Result<Option<SocketAddr>> {
    let Some(text) = text else { return Ok(None) };
    let with_name = text.replacen("localhost:", "127.0.0.1:", 1);
    with_name.parse().map(Some).map_err(|_| {
        bad(field, format!("\"{text}\" is not an address with a port, such as 127.0.0.1:8080"))
    })
}

fn pg_address(text: &str) -> Result<IpAddr> {
    text.parse().map_err(|_| {
        bad("pg_addr", format!("\"{text}\" is not an IP address; the port is pg_port's"))
    })
}

fn domain(text: String) -> Result<String> {
    let text = text.trim_end_matches('.').to_lowercase();
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    if text.len() <= 200 && text.split('.').all(label) {
        return Ok(text);
    }
    Err(bad("domain", format!("\"{text}\" is not a DNS name")))
}

fn unit(memory: Option<&str>, cpus: Option<f64>) -> Result<CapacityUnit> {
    let default = CapacityUnit::default();
    let memory_bytes = match memory {
        Some(text) => bytes(text).filter(|bytes| *bytes >= 64 << 20).ok_or_else(|| {
            bad("cu_memory", format!("\"{text}\" is not a size of at least 64MiB, such as 1GiB"))
        })?,
        None => default.memory_bytes,
    };
    let cpus = cpus.unwrap_or(default.cpus);
    if !(cpus > 0.0 && cpus <= 1024.0) {
        return Err(bad("cu_cpus", format!("{cpus} is not a number of cores")));
    }
    Ok(CapacityUnit { memory_bytes, cpus })
}

/// `512MiB`, `1GiB`, `16GB`, or a number of bytes.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// The name becomes a PostgreSQL role, and clients write it into connection strings unquoted.
fn admin_user(name: Option<String>) -> Result<String> {
    let name = name.unwrap_or_else(|| DEFAULT_ADMIN.to_owned());
    let reserved = lakeport_engine::RESERVED_ROLE_PREFIXES.iter().any(|p| name.starts_with(p));
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"@.-_+".contains(&b));
    if plain && !reserved && (1..=63).contains(&name.len()) {
        return Ok(name);
    }
    Err(bad(
        "admin_user",
        format!(
            "\"{name}\" must have 1 to 63 letters, digits or any of @ . - _ + and may not begin \
             like a role of the system (lakeport_, lb_, pg_, databricks_)"
        ),
    ))
}

fn token_lifetime(text: Option<&str>) -> Result<Duration> {
    let Some(text) = text else { return Ok(MAX_TOKEN_LIFETIME) };
    let signed = text.parse::<jiff::SignedDuration>().ok();
    signed
        .and_then(|signed| Duration::try_from(signed).ok())
        .filter(|lifetime| (MIN_TOKEN_LIFETIME..=MAX_TOKEN_LIFETIME).contains(lifetime))
        .ok_or_else(|| bad("token_lifetime", format!("\"{text}\" is not between 10s and 1h")))
}

fn sessions_on_revoke(text: Option<&str>) -> Result<SessionsOnRevoke> {
    match text {
        None | Some("keep") => Ok(SessionsOnRevoke::Keep),
        Some("terminate") => Ok(SessionsOnRevoke::Terminate),
        Some(other) => {
            Err(bad("sessions_on_revoke", format!("\"{other}\" is not one of keep, terminate")))
        }
    }
}

/// Neither root nor the value that means no user.
fn os_uids(text: &str) -> Result<RangeInclusive<u32>> {
    let range = text.split_once('-').and_then(|(first, last)| {
        Some((first.trim().parse::<u32>().ok()?, last.trim().parse::<u32>().ok()?))
    });
    match range {
        Some((first, last)) if first > 0 && first <= last && last < u32::MAX => Ok(first..=last),
        _ => Err(bad(
            "os_uids",
            format!("\"{text}\" is not a range of user ids, such as 700000-704095"),
        )),
    }
}

fn metadata_url(text: String) -> Result<MetadataUrl> {
    // The parser's error may quote the text, and with it a password.
    text.parse().map(MetadataUrl).map_err(|_| {
        bad("metadata_url", "it is not a connection string, such as postgres://user@host/database")
    })
}

fn tls_files(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<(PathBuf, PathBuf)>> {
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(bad("tls_key", "it is missing; tls_cert needs one")),
        (None, Some(_)) => Err(bad("tls_cert", "it is missing; tls_key needs one")),
    }
}

/// `90s`, `24h`, `3d`; `off` for none.
fn duration(field: &str, text: Option<String>, default: &str) -> Result<Option<Duration>> {
    let text = text.as_deref().unwrap_or(default);
    if text == "off" {
        return Ok(None);
    }
    let parsed = text.parse::<jiff::Span>().ok();
    let exact = parsed.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let positive = exact.and_then(|exact| Duration::try_from(exact).ok());
    positive.filter(|duration| !duration.is_zero()).map(Some).ok_or_else(|| {
        bad(field, format!("\"{text}\" is not a time, such as 90s, 24h or 3d; off is none"))
    })
}

/// `10.1.0.0/16`, or one address.
fn networks(texts: Vec<String>) -> Result<Vec<IpNet>> {
    let network = |text: String| {
        let one = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| one()).map_err(|_| {
            bad(
                "proxy_protocol_from",
                format!("\"{text}\" is not a network or an address, such as 10.1.0.0/16"),
            )
        })
    };
    texts.into_iter().map(network).collect()
}

fn audit_log_size(text: Option<&str>) -> Result<u64> {
    let text = text.unwrap_or("64MiB");
    bytes(text).filter(|bytes| *bytes >= 64 << 10).ok_or_else(|| {
        bad("audit_log_size", format!("\"{text}\" is not a size of at least 64KiB, such as 64MiB"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(toml: &str) -> Result<Config> {
        toml::from_str::<Settings>(toml)
            .map_err(|error| Error::Config(error.to_string()))?
            .try_into()
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = config("").unwrap();
        assert_eq!(config.http_addr.to_string(), "127.0.0.1:8080");
        assert_eq!(config.pg_port, 5432);
        assert_eq!(config.admin_user, "admin@lakeport.local");
        assert_eq!(config.unit, CapacityUnit { memory_bytes: 1 << 30, cpus: 1.0 });
        assert!(!config.keep_databases && !config.open_metrics);
        assert!(config.trusted_proxies.is_empty());
        let hours = |count: u64| Some(Duration::from_secs(count * 3_600));
        assert_eq!((config.session_idle, config.session_age), (hours(24), hours(72)));
    }

    #[test]
    fn times_and_networks_are_written_as_people_do() {
        let config = config(
            "session_idle = '90s'\nsession_age = 'off'\n\
             proxy_protocol_from = ['10.1.0.0/16', '2001:db8::1']",
        )
        .unwrap();
        assert_eq!(config.session_idle, Some(Duration::from_secs(90)));
        assert_eq!(config.session_age, None);
        let shown: Vec<_> = config.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["10.1.0.0/16", "2001:db8::1/128"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (toml, field) in [
            ("htp_addr = '127.0.0.1:1'", "htp_addr"),
            ("http_addr = 'nonsense'", "http_addr"),
            ("pg_addr = '127.0.0.1:5432'", "pg_addr"),
            ("cu_memory = '1 potato'", "cu_memory"),
            ("cu_memory = '1MiB'", "cu_memory"),
            ("cu_cpus = 0.0", "cu_cpus"),
            ("admin_user = 'lakeport_admin'", "admin_user"),
            ("admin_user = 'a b'", "admin_user"),
            ("domain = 'a..b'", "domain"),
            ("sessions_on_revoke = 'maybe'", "sessions_on_revoke"),
            ("os_uids = '0-9'", "os_uids"),
            ("os_uids = '9-1'", "os_uids"),
            ("os_uids = '1-4294967295'", "os_uids"),
            ("token_lifetime = '2h'", "token_lifetime"),
            ("token_lifetime = 'soon'", "token_lifetime"),
            ("tls_cert = '/c'", "tls_key"),
            ("session_idle = 'soon'", "session_idle"),
            ("session_idle = '0s'", "session_idle"),
            ("session_age = '-1h'", "session_age"),
            ("proxy_protocol_from = ['10.0.0.0/8', 'near']", "proxy_protocol_from"),
            ("audit_log_size = '1kB'", "audit_log_size"),
            ("catalog_url = 'x'", "catalog_url"),
            ("trusted_issuers = [{ url = 'http://x' }]", "trusted_issuers.url"),
            ("trusted_issuers = [{ url = 'https://x', audience = 'y' }]", "audience"),
            ("login_provider = { url = 'https://x' }", "login_provider.client_id"),
        ] {
            let message = config(toml).unwrap_err().to_string();
            assert!(message.contains(field), "{toml}: {message}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        let shown = format!("{:?}", config("metadata_url = 'postgres://u:hunter2@h/d'").unwrap());
        assert!(!shown.contains("hunter2"));
        let error = config("metadata_url = 'postgres://u:hunter2@h:port/d'").unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("16GB"), Some(16_000_000_000));
        assert_eq!(bytes("512 MiB"), Some(512 << 20));
        assert_eq!(bytes("99999999999GiB"), None);
    }
}
