//! A PostgreSQL tree of our own around one that was found, so that it offers our extension, and of its own
//! those that owners of databases may create.
//!
//! PostgreSQL finds its libraries and its share directory relative to where its program is. So the
//! programs are copied, everything else is linked, and the extension directory is written anew; the tree
//! that was found stays as it is.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};

use super::extensions::{self, Rule};
use super::layout::{self, Layout};
use crate::{Error, Result};

const PROGRAMS: &[&str] = &["postgres", "initdb"];

/// The extension that every tree of ours has.
pub(crate) const OUR_EXTENSION: &str = "databricks_auth";
const EXTENSION_FILES: &[(&str, &str)] = &[
    ("databricks_auth.control", include_str!("../../extension/databricks_auth.control")),
    ("databricks_auth--1.0.sql", include_str!("../../extension/databricks_auth--1.0.sql")),
];

/// Where the parts of a found tree are.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) bin: PathBuf,
    pub(crate) share: PathBuf,
    /// The directory of all libraries, then that of the server's own.
    pub(crate) libraries: Vec<PathBuf>,
}

/// The `bin` directory of the tree of our own, made if it is not there. `apart`: for servers that run as an
/// operating-system user of their own.
pub(crate) fn ensure(layout: &Layout, full: &str, tree: &Tree, apart: bool) -> Result<PathBuf> {
    let parent = parent(layout)?;
    let controls = tree.controls()?;
    let target = parent.join(format!("{full}-{}", fingerprint(tree, &controls, apart)?));
    let prefix = common_prefix(&tree.bin, &tree.share);
    let bin = target.join(below(&tree.bin, &prefix)?);
    if target.exists() {
        return Ok(bin);
    }
    let work = layout.work_directory();
    build(&work, &prefix, tree, &controls, apart)?;
    layout.move_into_place(&work, &target)?;
    Ok(bin)
}

/// Where a tree that servers cannot reach is copied to; another place when its programs change.
pub(crate) fn place_of_copy(layout: &Layout, bin: &Path) -> Result<PathBuf> {
    let seen = seen_programs(bin)?;
    Ok(parent(layout)?.join(format!("copy-{}", short_hash(&seen))))
}

fn parent(layout: &Layout) -> Result<PathBuf> {
    let parent = layout.root().join("servers");
    layout::make_directory(&parent, 0o711)?;
    Ok(parent)
}

impl Tree {
    fn extensions(&self) -> PathBuf {
        self.share.join("extension")
    }

    /// Whether the server can load a module by this name.
    pub(crate) fn has_module(&self, name: &str) -> bool {
        let file = format!("{name}.{}", std::env::consts::DLL_EXTENSION);
        self.libraries.last().is_some_and(|modules| modules.join(file).is_file())
    }

    /// Names and control files of the extensions that are there, in the order of their names.
    pub(crate) fn controls(&self) -> Result<Vec<(String, String)>> {
        let directory = self.extensions();
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).map_err(Error::io("listing", &directory))? {
            let path = entry.map_err(Error::io("listing", &directory))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if let Some(name) = name.strip_suffix(".control") {
                let text = fs::read_to_string(&path).map_err(Error::io("reading", &path))?;
                found.push((name.to_owned(), text));
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Changes when the found programs, their extensions, our files or our rules change.
fn fingerprint(tree: &Tree, controls: &[(String, String)], apart: bool) -> Result<String> {
    let mut seen = seen_programs(&tree.bin)?;
    for (name, text) in EXTENSION_FILES {
        seen.push_str(&format!("{name}\n{text}\n"));
    }
    for (name, control) in controls {
        let rule = extensions::rule(name, control, apart);
        seen.push_str(&format!("{name} {rule:?}\n{control}\n"));
    }
    seen.push_str(&format!("{:?}", extensions::GRANTS));
    Ok(short_hash(&seen))
}

fn seen_programs(bin: &Path) -> Result<String> {
    let mut seen = format!("{}\n", bin.display());
    for program in PROGRAMS {
        let path = bin.join(program);
        let metadata = fs::metadata(&path).map_err(Error::io("looking at", &path))?;
        seen.push_str(&format!("{program} {} {}\n", metadata.size(), metadata.mtime()));
    }
    Ok(seen)
}

fn short_hash(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

fn build(
    root: &Path,
    prefix: &Path,
    tree: &Tree,
    controls: &[(String, String)],
    apart: bool,
) -> Result<()> {
    layout::make_directory(root, 0o755)?;
    let bin = root.join(below(&tree.bin, prefix)?);
    layout::make_directory(&bin, 0o755)?;
    for program in PROGRAMS {
        let to = bin.join(program);
        fs::copy(tree.bin.join(program), &to).map_err(Error::io("copying to", &to))?;
    }
    let share = root.join(below(&tree.share, prefix)?);
    layout::make_directory(&share.join("extension"), 0o755)?;
    link_entries(&tree.share, &share, |name| name != "extension")?;
    write_extensions(tree, &share.join("extension"), controls, apart)?;
    link_libraries(root, prefix, tree)
}

/// Scripts are linked; control files only of what is offered, and ours where they say more.
fn write_extensions(
    tree: &Tree,
    to: &Path,
    controls: &[(String, String)],
    apart: bool,
) -> Result<()> {
    let mut written: Vec<(String, String)> =
        EXTENSION_FILES.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    for (name, control) in controls {
        match extensions::rule(name, control, apart) {
            Rule::Offered if name != OUR_EXTENSION => {
                written.push((format!("{name}.control"), control.clone()));
            }
            Rule::Opened => {
                written.push((format!("{name}.control"), format!("{control}\ntrusted = true\n")));
            }
            Rule::Offered | Rule::Closed(_) => {}
        }
    }
    for (script, _) in extensions::GRANTS {
        let path = tree.extensions().join(script);
        if let Ok(text) = fs::read_to_string(&path)
            && let Some(text) = extensions::with_grants(script, &text)
        {
            written.push(((*script).into(), text));
        }
    }
    let ours: Vec<_> = written.iter().map(|(name, _)| name.as_str()).collect();
    link_entries(&tree.extensions(), to, |name| {
        !name.ends_with(".control") && !ours.contains(&name)
    })?;
    for (name, text) in &written {
        let path = to.join(name);
        fs::write(&path, text).map_err(Error::io("writing", &path))?;
    }
    Ok(())
}

/// A directory before those inside it, which it brings along. Libraries outside the tree are found where
/// they are.
fn link_libraries(root: &Path, prefix: &Path, tree: &Tree) -> Result<()> {
    for library in &tree.libraries {
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

fn link_entries(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let entries = fs::read_dir(from).map_err(Error::io("listing", from))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("listing", from))?;
        let name = entry.file_name();
        if wanted(&name.to_string_lossy()) {
            let link = to.join(&name);
            symlink(entry.path(), &link).map_err(Error::io("linking", &link))?;
        }
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
