//! `lakeport pgpass NAME…`: libpq's password file, for programs that cannot ask for a token themselves.
//!
//! Owns: the lines of the instances named. Never: the lines of others.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use lakeport_client::{Endpoint, Token};
use tokio::time::sleep;

use crate::args::PgpassArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// A token is renewed in the last quarter of its life, so a file that is looked after this often always
/// holds one that is good for a quarter of an hour.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

pub(crate) async fn run(context: &Context, args: &PgpassArgs) -> Result<(), Failure> {
    let path = path(args)?;
    let client = context.client()?;
    let mut endpoints = Vec::new();
    for name in &args.names {
        endpoints.push(client.endpoint(name, args.port.port).await?);
    }
    let interrupt = Interrupt::watch()?;
    write(&path, &endpoints).await?;
    context.output.note(&format!("{} holds fresh tokens", path.display()));
    if !args.watch {
        return Ok(());
    }
    let stopped = || {
        Failure::interrupted(format!(
            "interrupted: the tokens in {} are not renewed any more",
            path.display()
        ))
    };
    interrupt.or(keep_fresh(context, &path, &endpoints), stopped).await
}

async fn keep_fresh(context: &Context, path: &Path, endpoints: &[Endpoint]) -> Result<(), Failure> {
    loop {
        sleep(LOOK_AGAIN).await;
        // The server may be away for a moment; the tokens that are there still open it.
        if let Err(failure) = write(path, endpoints).await {
            context.output.note(&format!("{}: trying again", failure.message()));
        }
    }
}

async fn write(path: &Path, endpoints: &[Endpoint]) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for endpoint in endpoints {
        lines.push(Line::new(endpoint, &endpoint.passwords().get().await?));
    }
    let old = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other.map_err(Failure::while_doing(format!("read {}", path.display())))?,
    };
    let new = with_lines(&old, &lines);
    if new == old {
        return Ok(());
    }
    replace(path, &new).map_err(Failure::while_doing(format!("write {}", path.display())))
}

/// A whole file for its owner's eyes only, or the old one: libpq ignores one that others can read.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// One line, in the two halves that are compared and replaced.
struct Line {
    of: String,
    password: String,
}

impl Line {
    /// Good for every database of the instance.
    fn new(endpoint: &Endpoint, password: &Token) -> Self {
        let target = endpoint.target();
        let of = [&target.host, &target.port.to_string(), "*", endpoint.user()].map(escape);
        Self { of: of.join(":"), password: escape(password.expose()) }
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace(':', "\\:")
}

/// The first line that fits is the one that libpq takes, so ours come before those of others.
fn with_lines(old: &str, lines: &[Line]) -> String {
    let is_ours = |old: &&str| lines.iter().any(|line| old.starts_with(&format!("{}:", line.of)));
    let ours = lines.iter().map(|line| format!("{}:{}\n", line.of, line.password));
    let others = old.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n"));
    ours.chain(others).collect()
}

fn path(args: &PgpassArgs) -> Result<PathBuf, Failure> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let home = || Some(env::home_dir()?.join(".pgpass"));
    args.file
        .clone()
        .or_else(|| variable("PGPASSFILE").map(PathBuf::from))
        .or_else(home)
        .ok_or_else(|| {
            Failure::usage("there is no home directory").hint("name the file with --file")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_line_is_replaced_and_others_stay() {
        let line =
            |password: &str| Line { of: String::from("h:5432:*:me"), password: password.into() };
        let old = "# mine\nother:5432:*:me:secret\nh:5432:*:me:old\n";
        assert_eq!(
            with_lines(old, &[line("new")]),
            "h:5432:*:me:new\n# mine\nother:5432:*:me:secret\n"
        );
        assert_eq!(with_lines("", &[line("new")]), "h:5432:*:me:new\n");
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        assert_eq!(escape(r"::1\x"), r"\:\:1\\x");
    }
}
