//! Capacity to settings: what `CU_1` … `CU_8` mean on this machine, and the rules that turn memory and
//! cores into PostgreSQL parameters.

use std::fmt::Write;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Lakebase's cap on connections of an instance.
const MAX_CONNECTIONS: u64 = 1000;
/// Lakebase's rule below the cap.
const CONNECTIONS_PER_GIB: f64 = 104.9;
/// For the control plane and metrics, which must always get in.
const SUPERUSER_RESERVED: u64 = 5;
const RESERVED: u64 = 10;

/// The locale that clusters are made with; Lakebase's.
pub(crate) const LOCALE: &str = "C.UTF-8";

/// What one capacity unit stands for; Lakebase's is 16 GB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityUnit {
    pub memory_bytes: u64,
    pub cpus: f64,
}

impl Default for CapacityUnit {
    fn default() -> Self {
        Self { memory_bytes: GIB, cpus: 1.0 }
    }
}

/// Parameters of a cluster, in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    parameters: Vec<(&'static str, String)>,
}

impl Settings {
    /// For an instance of `units` capacity units.
    #[must_use]
    pub fn for_instance(unit: CapacityUnit, units: u32, major: u32) -> Self {
        let memory = unit.memory_bytes.saturating_mul(u64::from(units));
        let cpus = unit.cpus * f64::from(units);
        let shared_buffers = (memory / 4).max(16 * MIB);
        let connections = connections(memory);
        let work_mem = ((memory - memory / 4) / (3 * connections)).max(4 * MIB);
        let max_wal_size = wal_size(memory, units);
        let mut settings = Self::common(major);
        settings.set("shared_buffers", megabytes(shared_buffers));
        settings.set("effective_cache_size", megabytes(memory / 4 * 3));
        settings.set(
            "max_connections",
            (connections + SUPERUSER_RESERVED + reserved(major)).to_string(),
        );
        settings.set("work_mem", megabytes(work_mem));
        settings.set("maintenance_work_mem", megabytes((memory / 16).clamp(64 * MIB, 2 * GIB)));
        settings.set("max_wal_size", megabytes(max_wal_size));
        settings.set("min_wal_size", megabytes((max_wal_size / 4).max(32 * MIB)));
        settings.set("max_parallel_workers", format!("{}", workers(cpus)));
        settings.set("max_parallel_maintenance_workers", format!("{}", workers(cpus).min(4)));
        settings
    }

    /// For the cluster that holds the metadata: small, and nothing parallel.
    #[must_use]
    pub fn for_metadata(major: u32) -> Self {
        let mut settings = Self::common(major);
        settings.set("shared_buffers", String::from("32MB"));
        settings.set("max_connections", String::from("50"));
        settings.set("max_wal_size", String::from("128MB"));
        settings.set("min_wal_size", String::from("32MB"));
        settings.set("max_parallel_workers", String::from("0"));
        settings
    }

    fn common(major: u32) -> Self {
        let mut settings = Self { parameters: Vec::new() };
        for (name, value) in [
            ("listen_addresses", ""),
            ("unix_socket_permissions", "0700"),
            ("ssl", "off"),
            ("password_encryption", "scram-sha-256"),
            ("wal_level", "replica"),
            ("checkpoint_timeout", "15min"),
            // Compression by pglz makes an index build three times as long.
            ("wal_compression", "off"),
            ("jit", "off"),
            ("restart_after_crash", "on"),
            // What `initdb` writes for the locale that clusters are made with: the servers do not read
            // its file.
            ("default_text_search_config", "pg_catalog.english"),
            ("lc_messages", LOCALE),
            ("lc_monetary", LOCALE),
            ("lc_numeric", LOCALE),
            ("lc_time", LOCALE),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("log_line_prefix", "%m [%p] %q%u@%d "),
        ] {
            settings.set(name, value.to_owned());
        }
        settings.set("superuser_reserved_connections", SUPERUSER_RESERVED.to_string());
        if major >= 16 {
            settings.set("reserved_connections", RESERVED.to_string());
        }
        if major >= 17 {
            settings.set("allow_alter_system", String::from("off"));
        }
        settings
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.parameters.push((name, value));
    }

    /// The text of a configuration file. It is its own fingerprint: equal text, equal settings.
    #[must_use]
    pub fn to_conf(&self) -> String {
        let mut conf = String::from("# Written by lakeport; changes are overwritten.\n");
        for (name, value) in &self.parameters {
            // Writing to a String cannot fail.
            let _ = writeln!(conf, "{name} = '{value}'");
        }
        conf
    }
}

/// Connections that users get.
fn connections(memory: u64) -> u64 {
    let gibibytes = memory as f64 / GIB as f64;
    let by_memory = (gibibytes * CONNECTIONS_PER_GIB) as u64;
    by_memory.clamp(20, MAX_CONNECTIONS - SUPERUSER_RESERVED - RESERVED)
}

fn reserved(major: u32) -> u64 {
    if major >= 16 { RESERVED } else { 0 }
}

/// 4 GiB × √CU at full size, a quarter of the memory on small machines, and never below PostgreSQL's own
/// default: a checkpoint that comes too soon has whole pages written to the log again.
fn wal_size(memory: u64, units: u32) -> u64 {
    let full = (4 * GIB) as f64 * f64::from(units).sqrt();
    (full as u64).min(memory / 4).max(GIB)
}

fn workers(cpus: f64) -> u32 {
    (cpus.ceil() as u32).max(1)
}

fn megabytes(bytes: u64) -> String {
    format!("{}MB", bytes / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(settings: &Settings, name: &str) -> String {
        let found = settings.parameters.iter().find(|(known, _)| *known == name);
        found.unwrap_or_else(|| panic!("no {name}")).1.clone()
    }

    #[test]
    fn a_small_unit_follows_the_rules() {
        let settings = Settings::for_instance(CapacityUnit::default(), 1, 16);
        assert_eq!(value(&settings, "shared_buffers"), "256MB");
        assert_eq!(value(&settings, "effective_cache_size"), "768MB");
        assert_eq!(value(&settings, "max_connections"), "119");
        assert_eq!(value(&settings, "work_mem"), "4MB");
        assert_eq!(value(&settings, "maintenance_work_mem"), "64MB");
        assert_eq!(value(&settings, "max_wal_size"), "1024MB");
    }

    #[test]
    fn connections_never_pass_a_thousand() {
        let unit = CapacityUnit { memory_bytes: 16 * GIB, cpus: 4.0 };
        for major in 15..=18 {
            for units in [1, 2, 4, 8] {
                let settings = Settings::for_instance(unit, units, major);
                assert!(value(&settings, "max_connections").parse::<u64>().unwrap() <= 1000);
            }
        }
    }

    #[test]
    fn a_tiny_unit_still_gives_valid_settings() {
        let unit = CapacityUnit { memory_bytes: 64 * MIB, cpus: 0.1 };
        let settings = Settings::for_instance(unit, 1, 18);
        assert_eq!(value(&settings, "shared_buffers"), "16MB");
        assert_eq!(value(&settings, "max_connections"), "35");
        assert_eq!(value(&settings, "max_parallel_workers"), "1");
    }

    #[test]
    fn version_specific_parameters_stay_with_their_versions() {
        let conf = |major| Settings::for_instance(CapacityUnit::default(), 1, major).to_conf();
        assert!(!conf(15).contains("reserved_connections = '10'"));
        assert!(conf(16).contains("\nreserved_connections = '10'"));
        assert!(!conf(16).contains("allow_alter_system"));
        assert!(conf(18).contains("allow_alter_system = 'off'"));
    }
}
