//! What can go wrong with a cluster; each says what was tried on which object.

use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} {path}: {source}{hint}", path = path.display(), hint = disk_hint(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{tool} failed: {output}")]
    Tool { tool: &'static str, output: String },
    #[error("PostgreSQL {major} is not installed here; there {}", listed(.available))]
    NoSuchVersion { major: u32, available: Vec<u32> },
    #[error(
        "no PostgreSQL server was found: run `make setup`, install one, or name its bin directory \
         with --postgres-bin"
    )]
    NoPostgres,
    #[error("the server did not start: {reason}")]
    Start { reason: String },
    #[error("the server did not stop within {seconds} seconds")]
    Stop { seconds: u64 },
    #[error("{0}")]
    Setup(String),
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

fn disk_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull => "; free some space, it is tried again by itself",
        _ => "",
    }
}

fn listed(majors: &[u32]) -> String {
    match majors {
        [] => String::from("is none"),
        [one] => format!("is {one}"),
        several => {
            let list: Vec<_> = several.iter().map(u32::to_string).collect();
            format!("are {}", list.join(", "))
        }
    }
}
