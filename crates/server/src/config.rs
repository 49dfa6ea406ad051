//! Configuration: flags before environment (both resolved by the caller), before a TOML file, before
//! defaults.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use lakeport_engine::CapacityUnit;
use serde::Deserialize;

use crate::{Error, Result};
pub use outside::{IssuerSettings, LoginProvider, ProviderSettings, TrustedIssuer};

mod outside;

const DEFAULT_HTTP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const DEFAULT_PG_PORT: u16 = 5432;
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
    pub postgres_bin: Option<Vec<PathBuf>>,
    pub log_filter: Option<String>,
    /// PEM files of a certificate chain and its key, instead of certificates of our own CA.
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
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
            postgres_bin: self.postgres_bin.or(other.postgres_bin),
            log_filter: self.log_filter.or(other.log_filter),
            tls_cert: self.tls_cert.or(other.tls_cert),
            tls_key: self.tls_key.or(other.tls_key),
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
    pub postgres_bin: Vec<PathBuf>,
    pub tls_files: Option<(PathBuf, PathBuf)>,
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
        if settings.catalog_url.is_some() {
            return Err(Error::Config(String::from(
                "catalog_url: an outside Unity Catalog server is not supported; leave it out to use \
                 the embedded catalog",
            )));
        }
        let data_dir = settings.data_dir.unwrap_or_else(default_data_dir);
        Ok(Self {
            data_dir: std::path::absolute(&data_dir)
                .map_err(Error::io("resolving", data_dir.display()))?,
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
            tls_files: tls_files(settings.tls_cert, settings.tls_key)?,
            trusted_issuers: outside::issuers(settings.trusted_issuers.unwrap_or_default())?,
            login_provider: settings.login_provider.map(outside::provider).transpose()?,
        })
    }
}

fn bad(field: &str, problem: impl std::fmt::Display) -> Error {
    Error::Config(format!("{field}: {problem}"))
}

fn default_data_dir() -> PathBuf {
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
        assert!(!config.keep_databases);
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
            ("tls_cert = '/c'", "tls_key"),
            ("catalog_url = 'http://x'", "catalog_url"),
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
