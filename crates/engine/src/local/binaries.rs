//! Finding PostgreSQL: an explicit directory, versions that were installed for us, then the system's.
//! What a version can do is probed, never assumed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{self, Layout};
use super::os_user::OsUser;
use super::overlay::{self, Tree};
use super::template::copy_tree;
use crate::{Error, Result, Version};

/// Older servers miss what the control plane relies on; newer ones are unknown.
const MAJORS: std::ops::RangeInclusive<u32> = 15..=18;
/// Lakebase Provisioned's.
const PREFERRED_MAJOR: u32 = 16;

/// Where to look, beside the data directory and the system's places.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// `bin` directories; these win.
    pub explicit: Vec<PathBuf>,
    /// Directories with one folder a version, `16/bin` among them.
    pub installed: Vec<PathBuf>,
}

pub(crate) fn default_major(versions: &BTreeMap<u32, Version>) -> Option<u32> {
    if versions.contains_key(&PREFERRED_MAJOR) {
        return Some(PREFERRED_MAJOR);
    }
    versions.keys().next_back().copied()
}

/// The first of each major version, in the order of the search.
pub(crate) async fn find(
    search: &Search,
    layout: &Layout,
    user: &OsUser,
) -> Result<BTreeMap<u32, Version>> {
    for bin in &search.explicit {
        if !bin.join("postgres").is_file() {
            return Err(Error::Setup(format!(
                "--postgres-bin {}: there is no `postgres` in it",
                bin.display()
            )));
        }
    }
    let mut versions = BTreeMap::new();
    for bin in candidates(search, layout) {
        match probe(&bin, layout, user).await {
            Ok(Some(version)) => {
                versions.entry(version.major).or_insert(version);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(bin = %bin.display(), %error, "PostgreSQL is not usable"),
        }
    }
    Ok(versions)
}

fn candidates(search: &Search, layout: &Layout) -> Vec<PathBuf> {
    let mut found = search.explicit.clone();
    let installed = [layout.root().join("postgres")];
    for directory in installed.iter().chain(&search.installed) {
        found.extend(version_directories(directory));
    }
    found.extend(version_directories(Path::new("/usr/lib/postgresql")));
    if let Some(path) = std::env::var_os("PATH") {
        found.extend(std::env::split_paths(&path));
    }
    found.retain(|bin| bin.join("postgres").is_file() && bin.join("initdb").is_file());
    found
}

fn version_directories(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let mut found: Vec<_> = entries.flatten().map(|entry| entry.path().join("bin")).collect();
    found.sort();
    found
}

async fn probe(bin: &Path, layout: &Layout, user: &OsUser) -> Result<Option<Version>> {
    let mut bin = bin.canonicalize().map_err(Error::io("resolving", bin))?;
    let mut version = server_version(&bin, user).await;
    if version.is_none()
        && let Some(copy) = copy_within_reach(&bin, layout, user).await?
    {
        version = server_version(&copy, user).await;
        bin = copy;
    }
    let Some((major, full)) = version.filter(|(major, _)| MAJORS.contains(major)) else {
        return Ok(None);
    };
    let bin = with_our_extension(bin, &full, layout, user).await;
    let share = share_directory(&bin, user).await.unwrap_or_default();
    let icu = tool_output(&bin, "pg_config", &["--configure"], user)
        .await
        .is_some_and(|text| text.contains("--with-icu"));
    Ok(Some(Version { major, full, extensions: extensions(&share), icu, bin }))
}

/// A version in a place that the servers' user cannot enter is copied to where it can.
async fn copy_within_reach(bin: &Path, layout: &Layout, user: &OsUser) -> Result<Option<PathBuf>> {
    let Some(root) = bin.parent().filter(|_| user.drops()) else { return Ok(None) };
    let relocatable = root.join("lib").is_dir() && root.join("share").is_dir();
    let Some(name) = root.file_name().filter(|_| relocatable) else { return Ok(None) };
    let target = layout.root().join("postgres").join(name);
    if !target.exists() {
        layout::make_directory(&layout.root().join("postgres"), 0o711)?;
        let aside = layout.work_directory();
        let (from, to) = (root.to_owned(), aside.clone());
        super::run_blocking(move || copy_tree(&from, &to, None)).await?;
        layout.move_into_place(&aside, &target)?;
    }
    Ok(Some(target.join("bin")))
}

/// `postgres (PostgreSQL) 16.14 …`, asked as the user that will run it.
async fn server_version(bin: &Path, user: &OsUser) -> Option<(u32, String)> {
    let text = tool_output(bin, "postgres", &["--version"], user).await?;
    let full = text.split_whitespace().nth(2)?.to_owned();
    let digits: String = full.chars().take_while(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, full))
}

async fn runs(bin: &Path, user: &OsUser) -> bool {
    let initdb = tool_output(bin, "initdb", &["--version"], user).await;
    initdb.is_some() && server_version(bin, user).await.is_some()
}

async fn share_directory(bin: &Path, user: &OsUser) -> Option<PathBuf> {
    directories(bin, user, &["--sharedir"]).await?.into_iter().next()
}

async fn directories(bin: &Path, user: &OsUser, which: &[&str]) -> Option<Vec<PathBuf>> {
    let text = tool_output(bin, "pg_config", which, user).await?;
    let found: Vec<_> = text.lines().map(|line| PathBuf::from(line.trim())).collect();
    (found.len() == which.len()).then_some(found)
}

/// The same version in a tree of our own; as it was found, where that does not work.
async fn with_our_extension(bin: PathBuf, full: &str, layout: &Layout, user: &OsUser) -> PathBuf {
    let found = directories(&bin, user, &["--sharedir", "--libdir", "--pkglibdir"]).await;
    let Some([share, libraries @ ..]) = found.as_deref() else { return bin };
    let tree = Tree { bin: &bin, share, libraries };
    let made = overlay::ensure(layout, full, &tree);
    match made {
        Ok(ours) if runs(&ours, user).await => ours,
        Ok(_) => {
            tracing::warn!(bin = %bin.display(), "a copy does not run: no databricks_auth there");
            bin
        }
        Err(error) => {
            tracing::warn!(bin = %bin.display(), %error, "no databricks_auth there");
            bin
        }
    }
}

fn extensions(share: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(share.join("extension")) else { return Vec::new() };
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".control").map(str::to_owned))
        .collect();
    names.sort();
    names
}

async fn tool_output(bin: &Path, tool: &str, arguments: &[&str], user: &OsUser) -> Option<String> {
    let output = user.command(&bin.join(tool)).args(arguments).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
