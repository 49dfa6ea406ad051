//! Clusters ahead of need: one `initdb` a version, and copies of it that only want a name.
//!
//! Copies share PostgreSQL's system identifier; whatever is keyed by cluster uses ours.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use lakeport_pg::{quote_literal, scram_verifier};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::layout::{self, ClusterFile};
use super::os_user::OsUser;
use super::{LocalEngine, run_blocking};
use crate::{
    ADMIN_ROLE, DEFAULT_DATABASE, Error, MAINTENANCE_DATABASE, Result, SUPERUSER_GROUP,
    TABLE_OWNER_ROLE, Version, WRITER_ROLE, sizing::LOCALE,
};

/// Part of a template's name: changing what goes into it makes a new one.
const REVISION: u32 = 3;

/// Names a template, and the pool of its copies.
pub(super) fn name(version: &Version) -> String {
    format!("{}-{REVISION}", version.full)
}

impl LocalEngine {
    /// A cluster with passwords of its own, durable, in a work directory.
    pub(super) async fn prepare(&self, version: &Version) -> Result<PathBuf> {
        let template = self.ensure_template(version).await?;
        let work = self.layout.work_directory();
        let prepared = self.copy_template(version, &template, &work).await;
        self.keep_or_remove(prepared, work)
    }

    async fn copy_template(&self, version: &Version, template: &Path, work: &Path) -> Result<()> {
        let uid = self.uids.free(&self.layout)?;
        let file = ClusterFile { major: version.major, nonce: Uuid::new_v4(), uid };
        let (from, to, user) = (template.join("data"), work.to_owned(), self.user.clone());
        let written = file.clone();
        run_blocking(move || {
            layout::make_directory(&to, 0o711)?;
            written.write(&to)?;
            copy_tree(&from, &to.join("data"), Some(&user))
        })
        .await?;
        let statements = [ADMIN_ROLE, WRITER_ROLE].map(|role| {
            let verifier = scram_verifier(&self.password(&file, role));
            format!("alter role {role} password {}", quote_literal(&verifier))
        });
        let data = work.join("data");
        single_user(&version.bin, &data, &self.user, &statements).await?;
        if uid.is_some() {
            let (tree, owner) = (data.clone(), self.user.of_cluster(uid));
            run_blocking(move || own_tree(&tree, &owner)).await?;
        }
        sync(&version.bin, &data, &self.user.of_cluster(uid)).await
    }

    async fn ensure_template(&self, version: &Version) -> Result<PathBuf> {
        let target = self.layout.template(&name(version));
        if target.exists() {
            return Ok(target);
        }
        let work = self.layout.work_directory();
        let made = self.make_template(version, &work).await;
        let work = self.keep_or_remove(made, work)?;
        self.layout.move_into_place(&work, &target)?;
        Ok(target)
    }

    async fn make_template(&self, version: &Version, work: &Path) -> Result<()> {
        layout::make_directory(work, 0o711)?;
        let data = work.join("data");
        layout::make_directory(&data, 0o700)?;
        self.user.own(&data)?;
        initdb(&version.bin, &data, &self.user).await?;
        single_user(&version.bin, &data, &self.user, &contents(version.major)).await?;
        sync(&version.bin, &data, &self.user).await
    }

    /// What failed is not left lying around: it is tried again, and would fill the disk.
    fn keep_or_remove(&self, result: Result<()>, work: PathBuf) -> Result<PathBuf> {
        match result {
            Ok(()) => Ok(work),
            Err(error) => {
                if let Err(error) = layout::remove(&work) {
                    tracing::warn!(%error, "a leftover stays until the next start");
                }
                Err(error)
            }
        }
    }
}

async fn initdb(bin: &Path, data: &Path, user: &OsUser) -> Result<()> {
    let arguments = [
        "-D",
        &text(data),
        "-U",
        ADMIN_ROLE,
        "--encoding=UTF8",
        &format!("--locale={LOCALE}"),
        "--data-checksums",
        "--auth=reject",
        "--no-sync",
        "--no-instructions",
    ];
    run(bin, "initdb", user, &arguments).await
}

async fn sync(bin: &Path, data: &Path, user: &OsUser) -> Result<()> {
    run(bin, "initdb", user, &["--sync-only", "-D", &text(data)]).await
}

/// The system roles come before any user's, so that no one can have squatted on their names.
fn contents(major: u32) -> Vec<String> {
    let mut statements = vec![
        format!("create role {SUPERUSER_GROUP} nologin"),
        format!("grant pg_read_all_data, pg_write_all_data, pg_monitor to {SUPERUSER_GROUP}"),
        format!("create role {TABLE_OWNER_ROLE} nologin"),
        format!("create role {WRITER_ROLE} login in role {TABLE_OWNER_ROLE}"),
        format!("create database {MAINTENANCE_DATABASE}"),
        format!("revoke all on database {MAINTENANCE_DATABASE} from public"),
        format!("create database {DEFAULT_DATABASE}"),
    ];
    // Owners may index synced tables; before 16 a member could become the role that owns them.
    if major >= 16 {
        statements.push(format!(
            "grant {TABLE_OWNER_ROLE} to {SUPERUSER_GROUP} with inherit true, set false, admin false"
        ));
    }
    statements
}

/// Runs statements without a server. With `-j`, an empty line ends a statement.
async fn single_user(bin: &Path, data: &Path, user: &OsUser, statements: &[String]) -> Result<()> {
    let failed = |output: String| Error::Tool { tool: "postgres --single", output };
    let mut child = user
        .command(&bin.join("postgres"))
        .args(["--single", "-j", "-D", &text(data)])
        .args([
            "-c",
            "exit_on_error=true",
            "-c",
            "log_checkpoints=off",
            "-c",
            "shared_buffers=16MB",
        ])
        .args(["-c", "log_min_messages=warning", "postgres"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(Error::io("running", &bin.join("postgres")))?;
    if let Some(mut stdin) = child.stdin.take() {
        let script: String = statements.iter().map(|sql| format!("{sql};\n\n")).collect();
        stdin.write_all(script.as_bytes()).await.map_err(|error| failed(error.to_string()))?;
    }
    let output = child.wait_with_output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(last_lines(&output.stderr)))
}

async fn run(bin: &Path, tool: &'static str, user: &OsUser, arguments: &[&str]) -> Result<()> {
    let program = bin.join(tool);
    let output = user
        .command(&program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(Error::io("running", &program))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Tool { tool, output: last_lines(&output.stderr) })
}

fn last_lines(output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    let lines: Vec<_> = output.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Copies files and directories with their modes, by reference where the file system can.
pub(super) fn copy_tree(from: &Path, to: &Path, owner: Option<&OsUser>) -> Result<()> {
    let metadata = fs::symlink_metadata(from).map_err(Error::io("looking at", from))?;
    if metadata.is_symlink() {
        let target = fs::read_link(from).map_err(Error::io("reading", from))?;
        return std::os::unix::fs::symlink(target, to).map_err(Error::io("linking", to));
    }
    if metadata.is_dir() {
        fs::create_dir(to).map_err(Error::io("making directory", to))?;
        for entry in fs::read_dir(from).map_err(Error::io("listing", from))? {
            let entry = entry.map_err(Error::io("listing", from))?;
            copy_tree(&entry.path(), &to.join(entry.file_name()), owner)?;
        }
        fs::set_permissions(to, fs::Permissions::from_mode(metadata.permissions().mode()))
            .map_err(Error::io("setting the mode of", to))?;
    } else {
        fs::copy(from, to).map_err(Error::io("copying to", to))?;
    }
    owner.map_or(Ok(()), |user| user.own(to))
}

fn own_tree(path: &Path, owner: &OsUser) -> Result<()> {
    let metadata = fs::symlink_metadata(path).map_err(Error::io("looking at", path))?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(Error::io("listing", path))? {
            let entry = entry.map_err(Error::io("listing", path))?;
            own_tree(&entry.path(), owner)?;
        }
    }
    owner.own(path)
}
