//! A private door to a PostgreSQL server that takes tokens: a unix socket that only this user can open,
//! carried over TLS, with the password supplied on the way.
//!
//! Any PostgreSQL client works through it, one without TLS too, and the token is in no environment
//! variable and no process list. Owns: accepting, dialling, relaying. Never: SQL.

mod dial;
mod login;
pub(crate) mod startup;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

pub(crate) use self::dial::Dialer;
use self::startup::Opening;
use crate::live_token::{LiveToken, Minted};
use crate::{Error, Result, Token};

/// The server to reach.
#[derive(Debug, Clone)]
pub struct Target {
    pub host: String,
    pub port: u16,
    /// Without it the connection is encrypted but the server is not verified.
    pub ca_file: Option<PathBuf>,
}

/// The open door; dropping it closes the socket and every connection through it.
#[derive(Debug)]
pub struct Forwarder {
    dir: TempDir,
    accept: JoinHandle<()>,
}

impl Forwarder {
    const PORT: u16 = 5432;
    /// For how long a token is taken to be good whose end is not told: well below an hour.
    const REUSE: Duration = Duration::from_secs(900);

    /// `mint` is asked for a password when the server wants one; an answer is used for ten minutes.
    ///
    /// # Errors
    /// If the host, the CA file or the temporary directory cannot be used.
    pub async fn start<F, M>(target: &Target, mint: F) -> Result<Self>
    where
        F: Fn() -> M + Send + Sync + 'static,
        M: Future<Output = Result<Token>> + Send + 'static,
    {
        let mint = move || {
            let minted = mint();
            async move { Ok(Minted { token: minted.await?, lives: Self::REUSE }) }
        };
        Self::with_tokens(target, Arc::new(LiveToken::new(mint))).await
    }

    /// With passwords that others use as well.
    ///
    /// # Errors
    /// If the host, the CA file or the temporary directory cannot be used.
    pub async fn with_tokens(target: &Target, tokens: Arc<LiveToken>) -> Result<Self> {
        let link = Link { dialer: Dialer::new(target)?, tokens };
        let dir = private_directory()?;
        let listener = UnixListener::bind(dir.path().join(format!(".s.PGSQL.{}", Self::PORT)))
            .map_err(|source| Error::Socket { dir: dir.path().to_owned(), source })?;
        let accept = tokio::spawn(accept(listener, Arc::new(link)));
        Ok(Self { dir, accept })
    }

    /// What libpq takes as `host`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        Self::PORT
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

fn private_directory() -> Result<TempDir> {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    /// The longest address of a unix socket is 104 bytes on the strictest system.
    const LONGEST_PARENT: usize = 70;
    let mut parent = std::env::temp_dir();
    if parent.as_os_str().len() > LONGEST_PARENT {
        parent = PathBuf::from("/tmp");
    }
    tempfile::Builder::new()
        .prefix("lakeport-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(&parent)
        .map_err(|source| Error::Socket { dir: parent, source })
}

/// The connections live in this task, so that aborting it ends them.
async fn accept(listener: UnixListener, link: Arc<Link>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((local, _)) => {
                    let link = Arc::clone(&link);
                    connections.spawn(async move { link.serve(local).await });
                }
                Err(error) => tracing::warn!(%error, "the private socket cannot accept"),
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

struct Link {
    dialer: Dialer,
    tokens: Arc<LiveToken>,
}

impl Link {
    async fn serve(&self, mut local: UnixStream) {
        if let Err(error) = self.forward(&mut local).await {
            tracing::debug!(%error, "connection ended");
            // The local side may be gone already; then nobody is left to tell.
            let _ = local.write_all(&startup::fatal(&error)).await;
        }
    }

    async fn forward(&self, local: &mut UnixStream) -> Result<()> {
        match startup::read(local).await.map_err(|source| self.broke(source))? {
            None => Ok(()),
            Some(Opening::Cancel(packet)) => self.cancel(&packet).await,
            Some(Opening::Startup(packet)) => self.session(local, &packet).await,
        }
    }

    async fn session(&self, local: &mut UnixStream, packet: &[u8]) -> Result<()> {
        let mut remote = self.dialer.dial().await?;
        remote.write_all(packet).await.map_err(|source| self.broke(source))?;
        login::run(local, &mut remote, &self.tokens, &|source| self.broke(source)).await?;
        // How a session ends, a reset included, is for its two sides to interpret.
        let _ = copy_bidirectional(local, &mut remote).await;
        Ok(())
    }

    async fn cancel(&self, packet: &[u8]) -> Result<()> {
        let mut remote = self.dialer.dial().await?;
        remote.write_all(packet).await.map_err(|source| self.broke(source))?;
        remote.shutdown().await.map_err(|source| self.broke(source))
    }

    fn broke(&self, source: std::io::Error) -> Error {
        self.dialer.broke(source)
    }
}

#[cfg(test)]
mod tests;
