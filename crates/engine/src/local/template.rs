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
    ADMIN_ROLE, DEFAULT_DATABASE, Error, MAINTENANCE_DATABASE, Result, SUPERUSER_GROUP, Version,
    WRITER_ROLE,
};

/// Part of a template's name: changing what goes into it makes a new one.
const REVISION: u32 = 2;

impl LocalEngine {
    /// A cluster with passwords of its own, durable, in a work directory.
    pub(super) async fn prepare(&self, version: &Version) -> Result<PathBuf> {
        let template = self.ensure_template(version).await?;
        let work = self.layout.work_directory();
        let file = ClusterFile { major: version.major, nonce: Uuid::new_v4() };
        let (from, to, user) = (template.join("data"), work.clone(), self.user.clone());
        let written = file.clone();
        run_blocking(move || {
            make_owned(&to, &user)?;
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
        run(&version.bin, "initdb", &self.user, &["--sync-only", "-D", &text(&data)]).await?;
        Ok(work)
    }

    async fn ensure_template(&self, version: &Version) -> Result<PathBuf> {
        let target = self.layout.template(&format!("{}-{REVISION}", version.full));
        if target.exists() {
            return Ok(target);
        }
        let work = self.layout.work_directory();
        make_owned(&work, &self.user)?;
        let data = work.join("data");
        initdb(&version.bin, &data, &self.user).await?;
        single_user(&version.bin, &data, &self.user, &contents(version.major)).await?;
        self.layout.move_into_place(&work, &target)?;
        Ok(target)
    }
}

async fn initdb(bin: &Path, data: &Path, user: &OsUser) -> Result<()> {
    let arguments = [
        "-D",
        &text(data),
        "-U",
        ADMIN_ROLE,
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--data-checksums",
        "--auth=reject",
        "--no-sync",
        "--no-instructions",
    ];
    run(bin, "initdb", user, &arguments).await?;
    let conf = data.join("postgresql.conf");
    let mut content = fs::read_to_string(&conf).map_err(Error::io("reading", &conf))?;
    content
        .push_str("\ninclude_if_exists 'lakeport.local.conf'\ninclude_if_exists 'lakeport.conf'\n");
    fs::write(&conf, content).map_err(Error::io("writing", &conf))
}

/// The system roles come before any user's, so that no one can have squatted on their names.
fn contents(major: u32) -> Vec<String> {
    let mut statements = vec![
        format!("create role {SUPERUSER_GROUP} nologin"),
        format!("grant pg_read_all_data, pg_write_all_data, pg_monitor to {SUPERUSER_GROUP}"),
        format!("create role {WRITER_ROLE} login"),
        format!("create database {MAINTENANCE_DATABASE}"),
        format!("revoke all on database {MAINTENANCE_DATABASE} from public"),
        format!("create database {DEFAULT_DATABASE}"),
    ];
    // Owners may index what the writer owns; before 16 a member could become the writer.
    if major >= 16 {
        statements.push(format!(
            "grant {WRITER_ROLE} to {SUPERUSER_GROUP} with inherit true, set false, admin false"
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

fn make_owned(path: &Path, user: &OsUser) -> Result<()> {
    layout::make_directory(path, 0o700)?;
    user.own(path)
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
