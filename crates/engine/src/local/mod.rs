//! Engine `local`: real PostgreSQL servers as processes of this machine.
//!
//! Each cluster has a directory of its own, and listens only on a unix socket in a directory that no
//! one else can enter. Servers are not children in the sense of a lifetime: they outlive a crash of
//! ours, and the next start finds them by their `postmaster.pid`.

mod binaries;
mod extensions;
mod files;
mod layout;
mod logs;
mod os_user;
mod overlay;
mod postmaster;
mod template;
mod uids;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;

pub use binaries::Search;

use crate::{ClusterId, Endpoint, Engine, Error, Observed, Process, Result, Settings, Version};
use layout::{ClusterFile, Layout};
use os_user::OsUser;
use uids::Uids;

/// Derives the password of a role from a purpose; the engine stores none.
pub type Passwords = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// Clusters kept ready, of the default version.
const POOL_SIZE: usize = 4;
/// A stop checkpoints, which may take long on a busy cluster.
const STOP_LIMIT: Duration = Duration::from_secs(120);
const PORT: u16 = 5432;

pub struct LocalEngine {
    layout: Layout,
    /// Who prepares clusters.
    user: OsUser,
    uids: Uids,
    versions: BTreeMap<u32, Version>,
    default_major: u32,
    passwords: Passwords,
    /// One cluster copy at a time: they compete for the same disk.
    templates: Mutex<()>,
}

impl LocalEngine {
    /// Prepares the data directory and finds the PostgreSQL versions.
    pub async fn open(
        data_dir: &Path,
        search: Search,
        passwords: Passwords,
        uids: Option<RangeInclusive<u32>>,
    ) -> Result<Self> {
        let user = OsUser::for_servers()?;
        let layout = Layout::open(data_dir, &user)?;
        let uids = Uids::open(uids, &layout, &user)?;
        let versions = binaries::find(&search, &layout, &user, uids.any()).await?;
        let default_major = binaries::default_major(&versions).ok_or(Error::NoPostgres)?;
        layout.remove_leftovers();
        Ok(Self {
            layout,
            user,
            uids,
            versions,
            default_major,
            passwords,
            templates: Mutex::new(()),
        })
    }

    /// Whether the servers of instances load `pg_stat_statements`, where they have it; they do, if nothing
    /// else is said.
    #[must_use]
    pub fn with_statement_statistics(mut self, on: bool) -> Self {
        if !on {
            self.versions.values_mut().for_each(|version| version.preloaded.clear());
        }
        self
    }

    /// 16, as Lakebase Provisioned, or the nearest that is there.
    #[must_use]
    pub fn default_major(&self) -> u32 {
        self.default_major
    }

    /// Where the server of a cluster writes its log.
    #[must_use]
    pub fn log_file(&self, id: &ClusterId) -> PathBuf {
        self.layout.log(id)
    }

    /// Cuts the logs that have grown too large.
    pub async fn trim_logs(&self) -> Result<()> {
        let layout = self.layout.clone();
        run_blocking(move || {
            for log in layout.logs()? {
                logs::trim(&log).map_err(Error::io("cutting", &log))?;
            }
            Ok(())
        })
        .await
    }

    fn version(&self, major: u32) -> Result<&Version> {
        self.versions.get(&major).ok_or_else(|| Error::NoSuchVersion {
            major,
            available: self.versions.keys().copied().collect(),
        })
    }

    /// The cluster that holds the metadata loads nothing.
    fn machine<'a>(&'a self, id: &ClusterId, major: u32) -> files::Machine<'a> {
        let version = self.versions.get(&major).filter(|_| *id != ClusterId::system());
        files::Machine {
            layout: &self.layout,
            user: &self.user,
            major,
            preloaded: version.map_or(&[], |version| &version.preloaded),
        }
    }

    fn cluster_file(&self, id: &ClusterId) -> Result<ClusterFile> {
        ClusterFile::read(&self.layout.cluster(id))
    }

    fn password(&self, file: &ClusterFile, role: &str) -> String {
        (self.passwords)(&format!("cluster {} role {role}", file.nonce))
    }
}

#[async_trait]
impl Engine for LocalEngine {
    fn versions(&self) -> Vec<Version> {
        self.versions.values().cloned().collect()
    }

    async fn observe(&self, id: &ClusterId) -> Observed {
        let directory = self.layout.cluster(id);
        match directory.try_exists() {
            Ok(false) => return Observed::Absent,
            Ok(true) => {}
            Err(error) => return Observed::Unknown { reason: error.to_string() },
        }
        let file = match self.cluster_file(id) {
            Ok(file) => file,
            Err(error) => return Observed::Unknown { reason: error.to_string() },
        };
        let fingerprint = files::fingerprint(&self.machine(id, file.major), id);
        match postmaster::observe(&self.layout.data(id)) {
            Ok(process) => Observed::Present { process, fingerprint },
            Err(error) => Observed::Unknown { reason: error.to_string() },
        }
    }

    async fn provision(&self, id: &ClusterId, major: u32) -> Result<()> {
        let target = self.layout.cluster(id);
        if target.exists() {
            return Ok(());
        }
        let version = self.version(major)?;
        if self.layout.take_from_pool(&template::name(version), &target)? {
            return Ok(());
        }
        let _one_at_a_time = self.templates.lock().await;
        let prepared = self.prepare(version).await?;
        self.layout.move_into_place(&prepared, &target)
    }

    async fn configure(&self, id: &ClusterId, settings: &Settings) -> Result<()> {
        let file = self.cluster_file(id)?;
        self.layout.make_socket_directory(id, &self.user.of_cluster(file.uid))?;
        files::write(&self.machine(id, file.major), id, settings)
    }

    async fn start(&self, id: &ClusterId) -> Result<()> {
        let data = self.layout.data(id);
        if postmaster::observe(&data)? == Process::Ready {
            return Ok(());
        }
        let file = self.cluster_file(id)?;
        let version = self.version(file.major)?;
        let user = self.user.of_cluster(file.uid);
        self.layout.make_socket_directory(id, &user)?;
        let own_user = file.uid.is_some() && self.uids.any();
        let launch = postmaster::Launch {
            bin: if own_user { &version.bin } else { &version.shared_bin },
            data: &data,
            settings: &self.layout.settings_file(id),
            log: &self.layout.log(id),
            user: &user,
        };
        postmaster::start(launch).await
    }

    async fn stop(&self, id: &ClusterId) -> Result<()> {
        postmaster::stop(&self.layout.data(id), postmaster::Stop::Fast, STOP_LIMIT).await
    }

    async fn destroy(&self, id: &ClusterId) -> Result<()> {
        if self.layout.cluster(id).exists() {
            let data = self.layout.data(id);
            postmaster::stop(&data, postmaster::Stop::Immediate, STOP_LIMIT).await?;
        }
        let layout = self.layout.clone();
        let id = id.clone();
        run_blocking(move || layout.remove_cluster(&id)).await
    }

    async fn publish_identities(&self, id: &ClusterId, json: &str) -> Result<()> {
        let cluster = self.layout.cluster(id);
        if !cluster.exists() {
            return Ok(());
        }
        let json = json.to_owned();
        run_blocking(move || files::publish_identities(&cluster, &json)).await
    }

    fn endpoint(&self, id: &ClusterId) -> Endpoint {
        Endpoint::UnixSocket(self.layout.sockets(id).join(format!(".s.PGSQL.{PORT}")))
    }

    fn connection(&self, id: &ClusterId, role: &str, database: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.layout.sockets(id)).port(PORT).user(role).dbname(database);
        // Without its file the cluster does not exist, and connecting says so.
        if let Ok(file) = self.cluster_file(id) {
            config.password(self.password(&file, role));
        }
        config
    }

    async fn fill_pool(&self) -> Result<()> {
        let version = self.version(self.default_major)?;
        let name = template::name(version);
        while self.layout.pool_entries(&name)?.len() < POOL_SIZE {
            let _one_at_a_time = self.templates.lock().await;
            let prepared = self.prepare(version).await?;
            self.layout.move_into_pool(&name, &prepared)?;
        }
        Ok(())
    }
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::Setup(format!("a file operation was interrupted: {error}"))),
    }
}
