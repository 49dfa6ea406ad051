//! The operating-system users that servers run as: ours, or, when we are root, unprivileged ones, because
//! `postgres` refuses to run as root.
//!
//! As root each cluster has a user id of its own, so that no server can reach what belongs to another. A
//! running server needs no name for it; `initdb` and `postgres --single` do, so clusters are prepared as
//! a named user first.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;

use tokio::process::Command;

use crate::{Error, Result};

/// Tried in this order when started as root.
const CANDIDATES: &[&str] = &["lakeport", "postgres", "nobody"];

#[derive(Debug, Clone)]
pub(crate) struct OsUser {
    /// Set when we are root and servers are not.
    drop_to: Option<(u32, u32)>,
    /// The user whom a server sees when *we* connect, for `pg_ident.conf`.
    pub(crate) own_name: Option<String>,
}

impl OsUser {
    pub(crate) fn for_servers() -> Result<Self> {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let uid = rustix::process::geteuid();
        let own_name = name_of(&passwd, uid.as_raw());
        if !uid.is_root() {
            return Ok(Self { drop_to: None, own_name });
        }
        let found = CANDIDATES.iter().find_map(|name| ids_of(&passwd, name));
        match found {
            Some(ids) => Ok(Self { drop_to: Some(ids), own_name }),
            None => Err(Error::Setup(format!(
                "started as root, but PostgreSQL must run as another user and none of {} exists: \
                 add one with `useradd --system lakeport`, or start lakeport as an ordinary user",
                CANDIDATES.join(", ")
            ))),
        }
    }

    /// Whether servers run as another user than we do.
    pub(crate) fn drops(&self) -> bool {
        self.drop_to.is_some()
    }

    /// A command that runs as the servers' user, with nothing of our environment but the path.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C.UTF-8").current_dir("/");
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if let Some((uid, gid)) = self.drop_to {
            command.uid(uid).gid(gid);
        }
        command
    }

    /// The user of one cluster: of its own, where it has been given one.
    pub(crate) fn of_cluster(&self, uid: Option<u32>) -> Self {
        let mut user = self.clone();
        if let (Some(_), Some(uid)) = (self.drop_to, uid) {
            user.drop_to = Some((uid, uid));
        }
        user
    }

    /// Whether files may be given to this user id: a container may not know it.
    pub(crate) fn can_give_to(uid: u32, scratch: &Path) -> bool {
        let given = fs::create_dir(scratch).and_then(|()| lchown(scratch, Some(uid), Some(uid)));
        let removed = fs::remove_dir(scratch);
        given.is_ok() && removed.is_ok()
    }

    /// Gives one file or directory to the servers' user.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        match self.drop_to {
            Some((uid, gid)) => {
                lchown(path, Some(uid), Some(gid)).map_err(Error::io("giving away", path))
            }
            None => Ok(()),
        }
    }
}

fn fields(passwd: &str) -> impl Iterator<Item = Vec<&str>> {
    passwd.lines().map(|line| line.split(':').collect())
}

fn ids_of(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let entry = fields(passwd).find(|entry| entry.first() == Some(&name))?;
    Some((entry.get(2)?.parse().ok()?, entry.get(3)?.parse().ok()?))
}

fn name_of(passwd: &str, uid: u32) -> Option<String> {
    let uid = uid.to_string();
    let entry = fields(passwd).find(|entry| entry.get(2) == Some(&uid.as_str()))?;
    entry.first().map(|name| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:,,,:/var:/bin/bash\n";

    #[test]
    fn users_are_found_by_name_and_number() {
        assert_eq!(ids_of(PASSWD, "postgres"), Some((101, 104)));
        assert_eq!(ids_of(PASSWD, "lakeport"), None);
        assert_eq!(name_of(PASSWD, 0).as_deref(), Some("root"));
        assert_eq!(name_of(PASSWD, 7), None);
    }
}
