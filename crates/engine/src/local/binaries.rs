//! Finding PostgreSQL: an explicit directory, versions that were installed for us, then the system's.
//! What a version can do is probed, never assumed.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::extensions;
use super::layout::Layout;
use super::os_user::OsUser;
use super::overlay::{self, OUR_EXTENSION, Tree};
use super::template::copy_tree;
use crate::{Error, Result, Version};

/// Older servers miss what the control plane relies on; newer ones are unknown.
const MAJORS: std::ops::RangeInclusive<u32> = 15..=18;
/// Client programs that somebody may need beside a server.
const TOOLS: &[&str] = &[
    "pg_amcheck",
    "pg_basebackup",
    "pg_combinebackup",
    "pg_dump",
    "pg_dumpall",
    "pg_restore",
    "pg_rewind",
    "pg_upgrade",
    "pg_verifybackup",
    "pg_waldump",
    "pgbench",
    "psql",
];
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

/// The first of each major version, in the order of the search. `apart`: new servers get an
/// operating-system user of their own.
pub(crate) async fn find(
    search: &Search,
    layout: &Layout,
    user: &OsUser,
    apart: bool,
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
        let known = |major: &u32| versions.contains_key(major);
        match probe(&bin, layout, user, apart, known).await {
            Ok(Some(version)) => {
                versions.insert(version.major, version);
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(bin = %bin.display(), %error, "PostgreSQL is not usable"),
        }
    }
    Ok(versions)
}

/// None if no server runs there, or one whose major version is known already.
async fn probe(
    bin: &Path,
    layout: &Layout,
    user: &OsUser,
    apart: bool,
    known: impl Fn(&u32) -> bool,
) -> Result<Option<Version>> {
    match locate(bin, layout, user).await? {
        Some(found) if !known(&found.major) => {
            describe(&found, layout, user, apart).await.map(Some)
        }
        _ => Ok(None),
    }
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

/// A server that runs here, and where.
struct Found {
    major: u32,
    full: String,
    bin: PathBuf,
}

async fn locate(bin: &Path, layout: &Layout, user: &OsUser) -> Result<Option<Found>> {
    let mut bin = bin.canonicalize().map_err(Error::io("resolving", bin))?;
    let mut version = server_version(&bin, user).await;
    if version.is_none()
        && let Some(copy) = copy_within_reach(&bin, layout, user).await?
    {
        version = server_version(&copy, user).await;
        bin = copy;
    }
    let version = version.filter(|(major, _)| MAJORS.contains(major));
    Ok(version.map(|(major, full)| Found { major, full, bin }))
}

async fn describe(found: &Found, layout: &Layout, user: &OsUser, apart: bool) -> Result<Version> {
    let Found { major, full, bin } = found;
    let tree = tree_of(bin, user).await?;
    let controls = tree.controls()?;
    let ours = tree_of_our_own(&tree, full, layout, user, apart).await?;
    let (mut extensions, closed_extensions) = match &ours {
        Some(_) => extensions::sort(&controls, apart),
        None => extensions::sort_untouched(&controls),
    };
    if ours.is_some() {
        extensions.push(String::from(OUR_EXTENSION));
        extensions.sort();
        extensions.dedup();
    }
    let shared = match apart {
        true => tree_of_our_own(&tree, full, layout, user, false).await?,
        false => ours.clone(),
    };
    let program = bin.join("postgres");
    let linked = super::run_blocking(move || linked_libraries(&program)).await?;
    let there = |tool: &&&str| bin.join(tool).is_file();
    let preloaded = extensions::PRELOADED.iter().filter(|name| tree.has_module(name));
    Ok(Version {
        major: *major,
        full: full.clone(),
        extensions,
        closed_extensions,
        icu: linked.contains("libicui18n"),
        xml: linked.contains("libxml2"),
        tls: linked.contains("libssl"),
        lz4: linked.contains("liblz4"),
        zstd: linked.contains("libzstd"),
        tools: TOOLS.iter().filter(there).map(|tool| (*tool).to_owned()).collect(),
        preloaded: preloaded.map(|name| (*name).to_owned()).collect(),
        bin: ours.unwrap_or_else(|| bin.clone()),
        shared_bin: shared.unwrap_or_else(|| bin.clone()),
    })
}

/// The names, up to the first dot, of the shared libraries that a program asks for. They stand in it as
/// strings that end in a zero byte.
fn linked_libraries(program: &Path) -> Result<HashSet<String>> {
    let content = fs::read(program).map_err(Error::io("reading", program))?;
    let strings = content.split(|byte| *byte == 0).filter(|text| text.starts_with(b"lib"));
    let names = strings.filter_map(|text| std::str::from_utf8(text).ok()?.split_once('.'));
    Ok(names.filter(|(_, rest)| is_library(rest)).map(|(name, _)| name.to_owned()).collect())
}

/// `so.1`, `dylib` or `73.dylib`, after the name.
fn is_library(suffix: &str) -> bool {
    suffix.split('.').any(|part| part == "so" || part == "dylib")
}

/// A version in a place that the servers' user cannot enter is copied to where it can.
async fn copy_within_reach(bin: &Path, layout: &Layout, user: &OsUser) -> Result<Option<PathBuf>> {
    let Some(root) = bin.parent().filter(|_| user.drops()) else { return Ok(None) };
    let relocatable = root.join("lib").is_dir() && root.join("share").is_dir();
    if !relocatable {
        return Ok(None);
    }
    let target = overlay::place_of_copy(layout, bin)?;
    if !target.exists() {
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

/// Where the parts of a server are: as its `pg_config` says, or, where it has none, beside its programs.
async fn tree_of(bin: &Path, user: &OsUser) -> Result<Tree> {
    let which = ["--sharedir", "--libdir", "--pkglibdir"];
    let said = tool_output(bin, "pg_config", &which, user).await.unwrap_or_default();
    let places: Vec<_> = said.lines().map(|line| PathBuf::from(line.trim())).collect();
    if let [share, libraries @ ..] = places.as_slice()
        && libraries.len() == 2
    {
        return Ok(Tree { bin: bin.into(), share: share.clone(), libraries: libraries.into() });
    }
    let root = bin.parent().unwrap_or(bin);
    let with = |folder: &str, file: &str| {
        let places = [root.join(folder).join("postgresql"), root.join(folder)];
        places.into_iter().find(|place| place.join(file).is_file())
    };
    match (with("share", "postgres.bki"), with("lib", "plpgsql.so")) {
        (Some(share), Some(modules)) => {
            Ok(Tree { bin: bin.into(), share, libraries: vec![root.join("lib"), modules] })
        }
        _ => Err(Error::Setup(format!(
            "{} has no pg_config, and no share and lib beside it",
            bin.display()
        ))),
    }
}

/// The same version in a tree of our own; none where such a tree does not work.
async fn tree_of_our_own(
    tree: &Tree,
    full: &str,
    layout: &Layout,
    user: &OsUser,
    apart: bool,
) -> Result<Option<PathBuf>> {
    match overlay::ensure(layout, full, tree, apart) {
        Ok(ours) if runs(&ours, user).await => return Ok(Some(ours)),
        Ok(_) => {
            tracing::warn!(bin = %tree.bin.display(), "a copy does not run: no databricks_auth there");
        }
        Err(error) => {
            tracing::warn!(bin = %tree.bin.display(), %error, "no databricks_auth there");
        }
    }
    Ok(None)
}

async fn tool_output(bin: &Path, tool: &str, arguments: &[&str], user: &OsUser) -> Option<String> {
    let output = user.command(&bin.join(tool)).args(arguments).output().await.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
