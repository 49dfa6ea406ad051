//! Where everything of the engine lies below the data directory:
//!
//! ```text
//! clusters/ID/{*.json, *.conf, postgres.log, data/}         one cluster
//! pool/VERSION/NONCE/{cluster.json, data/}                  prepared clusters
//! templates/VERSION/data/                                   what they are copied from
//! servers/VERSION/                                         their programs, with our extension
//! run/SHORT/.s.PGSQL.5432                                   sockets
//! ```
//!
//! Only `data/` and the sockets belong to the servers' user. Started as root, we write nowhere that it
//! can: it could have put a link there.
//!
//! A cluster appears and disappears by one rename, so that a crash leaves the whole of it or nothing;
//! names that start with a dot are work in progress and are removed at the next start.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::os_user::OsUser;
use crate::{ClusterId, Error, Result};

/// Within the directory of a cluster.
const LOG: &str = "postgres.log";
/// `sun_path` holds 107 bytes, of which the socket's own name and a short id take these.
const MAX_RUN_DIR_BYTES: usize = 107 - "/0123456789ab/.s.PGSQL.5432.lock".len();

/// Identifies a cluster's data wherever it moves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ClusterFile {
    pub(crate) major: u32,
    /// Passwords derive from it; no secret itself.
    pub(crate) nonce: Uuid,
    /// The user that its server runs as, where it has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<u32>,
}

impl ClusterFile {
    const NAME: &str = "cluster.json";

    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(Self::NAME);
        let text = fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
        serde_json::from_str(&text)
            .map_err(|error| Error::Setup(format!("{} is damaged: {error}", path.display())))
    }

    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        let path = directory.join(Self::NAME);
        let text = serde_json::to_string(self)
            .map_err(|error| Error::Setup(format!("writing {}: {error}", path.display())))?;
        write_durably(&path, &text)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
    run: PathBuf,
}

impl Layout {
    pub(crate) fn open(data_dir: &Path, user: &OsUser) -> Result<Self> {
        // Others must pass, not look: the servers' user has its directories further down.
        let mode = if user.drops() { 0o711 } else { 0o700 };
        make_directory(data_dir, mode)?;
        let root = data_dir.canonicalize().map_err(Error::io("resolving", data_dir))?;
        claim(&root, mode)?;
        if user.drops() {
            check_passable(&root)?;
        }
        for name in ["clusters", "pool", "templates"] {
            make_directory(&root.join(name), mode)?;
        }
        let run = run_directory(&root, mode)?;
        Ok(Self { root, run })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn cluster(&self, id: &ClusterId) -> PathBuf {
        self.root.join("clusters").join(id.as_str())
    }

    pub(crate) fn data(&self, id: &ClusterId) -> PathBuf {
        self.cluster(id).join("data")
    }

    pub(crate) fn log(&self, id: &ClusterId) -> PathBuf {
        self.cluster(id).join(LOG)
    }

    /// The logs of all clusters.
    pub(crate) fn logs(&self) -> Result<Vec<PathBuf>> {
        let clusters = self.root.join("clusters");
        let entries = fs::read_dir(&clusters).map_err(Error::io("listing", &clusters))?;
        Ok(entries.flatten().map(|entry| entry.path().join(LOG)).collect())
    }

    /// Short, because the length of a socket's path is limited.
    pub(crate) fn sockets(&self, id: &ClusterId) -> PathBuf {
        self.run.join(short(id.as_str()))
    }

    /// The file that holds, or names, all settings of a cluster.
    pub(crate) fn settings_file(&self, id: &ClusterId) -> PathBuf {
        self.cluster(id).join("postgresql.conf")
    }

    pub(crate) fn template(&self, version: &str) -> PathBuf {
        self.root.join("templates").join(version)
    }

    /// A directory for work in progress, on the same file system as where it will go.
    pub(crate) fn work_directory(&self) -> PathBuf {
        self.root.join("pool").join(format!(".{}", Uuid::new_v4()))
    }

    pub(crate) fn make_socket_directory(&self, id: &ClusterId, user: &OsUser) -> Result<()> {
        let path = self.sockets(id);
        if !path.exists() {
            make_directory(&path, 0o700)?;
            user.own(&path)?;
        }
        Ok(())
    }

    fn pool(&self, version: &str) -> PathBuf {
        self.root.join("pool").join(version)
    }

    pub(crate) fn pool_entries(&self, version: &str) -> Result<Vec<PathBuf>> {
        let pool = self.pool(version);
        let entries = match fs::read_dir(&pool) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("listing", &pool)(error)),
        };
        Ok(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect())
    }

    /// Of every cluster that is there or prepared; one that cannot be read is nobody's.
    pub(crate) fn cluster_files(&self) -> impl Iterator<Item = ClusterFile> {
        let below = |parent: PathBuf| {
            let entries = fs::read_dir(parent).into_iter().flatten().flatten();
            entries.map(|entry| entry.path())
        };
        let prepared = below(self.root.join("pool")).flat_map(below);
        let clusters = below(self.root.join("clusters")).chain(prepared);
        clusters.filter_map(|directory| ClusterFile::read(&directory).ok())
    }

    /// Turns a prepared cluster into this one; false if there is none.
    pub(crate) fn take_from_pool(&self, version: &str, target: &Path) -> Result<bool> {
        for entry in self.pool_entries(version)? {
            match fs::rename(&entry, target) {
                Ok(()) => return sync_parent(target).map(|()| true),
                // Taken by another caller between listing and renaming.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("moving", &entry)(error)),
            }
        }
        Ok(false)
    }

    pub(crate) fn move_into_pool(&self, version: &str, prepared: &Path) -> Result<()> {
        let pool = self.pool(version);
        make_directory(&pool, 0o711)?;
        self.move_into_place(prepared, &pool.join(Uuid::new_v4().to_string()))
    }

    pub(crate) fn move_into_place(&self, prepared: &Path, target: &Path) -> Result<()> {
        fs::rename(prepared, target).map_err(Error::io("moving", prepared))?;
        sync_parent(target)
    }

    pub(crate) fn remove_cluster(&self, id: &ClusterId) -> Result<()> {
        let cluster = self.cluster(id);
        let trash = self.root.join("clusters").join(format!(".{id}"));
        if cluster.exists() {
            fs::rename(&cluster, &trash).map_err(Error::io("moving", &cluster))?;
        }
        remove(&trash)?;
        remove(&self.sockets(id))
    }

    /// Removes what a crash has left half-made or half-removed.
    pub(crate) fn remove_leftovers(&self) {
        for parent in ["clusters", "pool", "templates"] {
            let Ok(entries) = fs::read_dir(self.root.join(parent)) else { continue };
            for entry in entries.flatten() {
                if entry.file_name().as_encoded_bytes().starts_with(b".")
                    && let Err(error) = remove(&entry.path())
                {
                    tracing::warn!(%error, "a leftover stays");
                }
            }
        }
    }
}

/// Makes a directory of ours; what is there already is left as it is.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).map_err(Error::io("making directory", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
        .map_err(Error::io("setting the mode of", path))
}

/// Written aside and renamed: a crash leaves the old content or the new, and neither is lost with the
/// power.
pub(crate) fn write_durably(path: &Path, text: &str) -> Result<()> {
    let aside = path.with_extension("new");
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(Error::io("writing", &aside))?;
    fs::rename(&aside, path).map_err(Error::io("moving", &aside))?;
    sync_parent(path)
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("removing", path)(error))
        }
        _ => Ok(()),
    }
}

fn sync_parent(path: &Path) -> Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    File::open(parent).and_then(|file| file.sync_all()).map_err(Error::io("syncing", parent))
}

/// A directory that others can write to, or that belongs to someone else, is not turned into ours.
fn claim(root: &Path, mode: u32) -> Result<()> {
    let metadata = fs::symlink_metadata(root).map_err(Error::io("looking at", root))?;
    let shared = metadata.permissions().mode() & 0o022 != 0;
    if shared || !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Error::Setup(format!(
            "{} is not a directory of this user alone: choose one that only you can write to",
            root.display()
        )));
    }
    fs::set_permissions(root, fs::Permissions::from_mode(mode))
        .map_err(Error::io("setting the mode of", root))
}

/// Sockets lie below the data directory, or, where its path is too long for one, below /tmp.
fn run_directory(root: &Path, mode: u32) -> Result<PathBuf> {
    let below = root.join("run");
    if below.as_os_str().len() <= MAX_RUN_DIR_BYTES {
        make_directory(&below, mode)?;
        return Ok(below);
    }
    let path = Path::new("/tmp").join(format!("lakeport-{}", short(&root.to_string_lossy())));
    match fs::create_dir(&path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            return Err(Error::io("making directory", &path)(error));
        }
        _ => claim(&path, mode)?,
    }
    Ok(path)
}

fn short(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// The servers' user must reach the data directory through every folder above it.
fn check_passable(root: &Path) -> Result<()> {
    for folder in root.ancestors().skip(1) {
        let metadata = fs::metadata(folder).map_err(Error::io("looking at", folder))?;
        if metadata.permissions().mode() & 0o001 == 0 {
            return Err(Error::Setup(format!(
                "started as root, PostgreSQL runs as an unprivileged user, which cannot pass {}: \
                 run `chmod o+x {}`, or choose another --data-dir",
                folder.display(),
                folder.display(),
            )));
        }
    }
    Ok(())
}
