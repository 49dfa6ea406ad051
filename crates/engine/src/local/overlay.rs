//! A PostgreSQL tree of our own around one that was found, so that it can offer our extension.
//!
//! PostgreSQL finds its libraries and its share directory relative to where its program is. So the
//! programs are copied, everything else is linked, and the extension directory gains our files; the tree
//! that was found stays as it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::layout::{self, Layout};
use crate::{Error, Result};

const PROGRAMS: &[&str] = &["postgres", "initdb", "pg_config"];

const EXTENSION_FILES: &[(&str, &str)] = &[
    ("databricks_auth.control", include_str!("../../extension/databricks_auth.control")),
    ("databricks_auth--1.0.sql", include_str!("../../extension/databricks_auth--1.0.sql")),
];

/// Where the parts of a found tree are, as its `pg_config` says.
#[derive(Debug)]
pub(crate) struct Tree<'a> {
    pub(crate) bin: &'a Path,
    pub(crate) share: &'a Path,
    /// The directory of all libraries, then that of the server's own.
    pub(crate) libraries: &'a [PathBuf],
}

/// The `bin` directory of the tree of our own, made if it is not there.
pub(crate) fn ensure(layout: &Layout, full: &str, tree: &Tree<'_>) -> Result<PathBuf> {
    let parent = layout.root().join("servers");
    layout::make_directory(&parent, 0o711)?;
    let target = parent.join(format!("{full}-{}", fingerprint(tree)?));
    let prefix = common_prefix(tree.bin, tree.share);
    let bin = target.join(below(tree.bin, &prefix)?);
    if target.exists() {
        return Ok(bin);
    }
    let work = layout.work_directory();
    build(&work, &prefix, tree)?;
    layout.move_into_place(&work, &target)?;
    Ok(bin)
}

/// Changes when the found programs or our files change.
fn fingerprint(tree: &Tree<'_>) -> Result<String> {
    let mut seen = format!("{}\n", tree.bin.display());
    for program in PROGRAMS {
        let path = tree.bin.join(program);
        let metadata = fs::metadata(&path).map_err(Error::io("looking at", &path))?;
        seen.push_str(&format!("{program} {} {}\n", metadata.size(), metadata.mtime()));
    }
    for (name, text) in EXTENSION_FILES {
        seen.push_str(&format!("{name}\n{text}\n"));
    }
    let hash = digest(&SHA256, seen.as_bytes());
    Ok(hash.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect())
}

fn build(root: &Path, prefix: &Path, tree: &Tree<'_>) -> Result<()> {
    layout::make_directory(root, 0o755)?;
    let bin = root.join(below(tree.bin, prefix)?);
    layout::make_directory(&bin, 0o755)?;
    for program in PROGRAMS {
        let to = bin.join(program);
        fs::copy(tree.bin.join(program), &to).map_err(Error::io("copying to", &to))?;
    }
    let share = root.join(below(tree.share, prefix)?);
    let extensions = share.join("extension");
    layout::make_directory(&extensions, 0o755)?;
    link_entries(tree.share, &share, &["extension"])?;
    let ours: Vec<_> = EXTENSION_FILES.iter().map(|(name, _)| *name).collect();
    link_entries(&tree.share.join("extension"), &extensions, &ours)?;
    for (name, text) in EXTENSION_FILES {
        let path = extensions.join(name);
        fs::write(&path, text).map_err(Error::io("writing", &path))?;
    }
    link_libraries(root, prefix, tree)
}

/// A directory before those inside it, which it brings along. Libraries outside the tree are found where
/// they are.
fn link_libraries(root: &Path, prefix: &Path, tree: &Tree<'_>) -> Result<()> {
    for library in tree.libraries {
        let Ok(relative) = library.strip_prefix(prefix) else { continue };
        let link = root.join(relative);
        if link.exists() {
            continue;
        }
        if let Some(parent) = link.parent() {
            layout::make_directory(parent, 0o755)?;
        }
        symlink(library, &link).map_err(Error::io("linking", &link))?;
    }
    Ok(())
}

fn link_entries(from: &Path, to: &Path, except: &[&str]) -> Result<()> {
    let entries = fs::read_dir(from).map_err(Error::io("listing", from))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("listing", from))?;
        let name = entry.file_name();
        if except.iter().any(|except| name == *except) {
            continue;
        }
        let link = to.join(&name);
        symlink(entry.path(), &link).map_err(Error::io("linking", &link))?;
    }
    Ok(())
}

fn common_prefix(one: &Path, other: &Path) -> PathBuf {
    one.components()
        .zip(other.components())
        .take_while(|(one, other)| one == other)
        .map(|(component, _): (Component<'_>, _)| component)
        .collect()
}

fn below<'a>(path: &'a Path, prefix: &Path) -> Result<&'a Path> {
    path.strip_prefix(prefix)
        .map_err(|_| Error::Setup(format!("{} is not below {}", path.display(), prefix.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_prefix_is_whole_components() {
        let prefix = |one: &str, other: &str| common_prefix(Path::new(one), Path::new(other));
        let debian = prefix("/usr/lib/postgresql/15/bin", "/usr/share/postgresql/15");
        assert_eq!(debian, Path::new("/usr"));
        assert_eq!(prefix("/a/b/bin", "/a/bc/share"), Path::new("/a"));
        assert_eq!(below(Path::new("/usr/lib/x"), &debian).unwrap(), Path::new("lib/x"));
    }
}
