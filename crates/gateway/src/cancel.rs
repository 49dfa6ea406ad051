//! Cancel requests: the keys that clients hold, and what they stand for.
//!
//! A client gets its server session's process id, and a random secret of the gateway's own; the server's
//! real one never leaves it. Two instances may have sessions with one process id, so the whole key finds a
//! session. A request stops only the session that its key was given to, and is never answered.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::error::Refusal;
use crate::message;
use crate::sessions::locked;
use crate::startup::CancelRequest;

/// How long a server may take to note a cancel request.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session of a PostgreSQL server, as its own cancel key names it.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) socket: PathBuf,
    pub(crate) pid: u32,
    pub(crate) secret: Bytes,
}

impl Target {
    /// Cancels what the session runs. Errors are not reported: it may well be over.
    pub(crate) async fn cancel(&self) {
        match tokio::time::timeout(PATIENCE, self.send()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "cancel request did not reach its server"),
            Err(_) => tracing::debug!("cancel request was not taken in time"),
        }
    }

    async fn send(&self) -> io::Result<()> {
        let mut request = BytesMut::new();
        message::cancel_request(&mut request, self.pid, &self.secret);
        let mut server = UnixStream::connect(&self.socket).await?;
        server.write_all(&request).await?;
        // The server closes once it has signalled the session; the client waits for that too.
        server.read(&mut [0]).await.map(drop)
    }
}

/// The keys that are out: those of one process id differ in their secrets.
#[derive(Default)]
pub(crate) struct CancelKeys {
    by_pid: Arc<Mutex<HashMap<u32, Vec<Entry>>>>,
}

struct Entry {
    secret: Vec<u8>,
    target: Target,
}

impl Entry {
    /// Takes as long whichever byte differs.
    fn has(&self, secret: &[u8]) -> bool {
        verify_slices_are_equal(&self.secret, secret).is_ok()
    }
}

/// A key that a client holds; dropping it makes the key worthless.
pub(crate) struct Key {
    pub(crate) pid: u32,
    pub(crate) secret: Vec<u8>,
    by_pid: Arc<Mutex<HashMap<u32, Vec<Entry>>>>,
}

impl CancelKeys {
    /// Makes a key with a secret of so many bytes.
    pub(crate) fn issue(&self, target: Target, secret_length: usize) -> Result<Key, Refusal> {
        let pid = target.pid;
        let mut by_pid = locked(&self.by_pid);
        let entries = by_pid.entry(pid).or_default();
        let secret = loop {
            let mut secret = vec![0; secret_length];
            rand::fill(&mut secret).map_err(|_| Refusal::Random)?;
            if !entries.iter().any(|entry| entry.has(&secret)) {
                break secret;
            }
        };
        entries.push(Entry { secret: secret.clone(), target });
        Ok(Key { pid, secret, by_pid: self.by_pid.clone() })
    }

    /// The session that a request is for, if its key is right.
    pub(crate) fn find(&self, request: &CancelRequest) -> Option<Target> {
        let by_pid = locked(&self.by_pid);
        let entry = by_pid.get(&request.pid)?.iter().find(|entry| entry.has(&request.secret))?;
        Some(entry.target.clone())
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let mut by_pid = locked(&self.by_pid);
        if let Some(entries) = by_pid.get_mut(&self.pid) {
            entries.retain(|entry| !entry.has(&self.secret));
            if entries.is_empty() {
                by_pid.remove(&self.pid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(socket: &str, pid: u32) -> Target {
        Target { socket: socket.into(), pid, secret: Bytes::new() }
    }

    fn find(keys: &CancelKeys, pid: u32, secret: &[u8]) -> Option<PathBuf> {
        keys.find(&CancelRequest { pid, secret: secret.to_vec() }).map(|target| target.socket)
    }

    #[test]
    fn only_the_whole_key_finds_its_session_and_only_while_it_lives() {
        let keys = CancelKeys::default();
        let issue = |socket, pid, length| keys.issue(target(socket, pid), length).unwrap();
        // Two instances have sessions with the same process id, in both versions of the protocol.
        let all = [issue("/a", 7, 32), issue("/b", 7, 32), issue("/c", 7, 4), issue("/d", 8, 4)];
        for (key, socket) in all.iter().zip(["/a", "/b", "/c", "/d"]) {
            assert_eq!(find(&keys, key.pid, &key.secret), Some(socket.into()));
        }
        let [one, other, old, last] = all;
        assert_eq!((one.pid, last.pid), (7, 8));
        assert_eq!(find(&keys, last.pid, &one.secret), None);
        assert_eq!(find(&keys, one.pid, &one.secret[..31]), None);
        assert_eq!(find(&keys, one.pid, &one.secret[..4]), None);
        assert_eq!(find(&keys, one.pid, &[]), None);
        let (pid, secret) = (one.pid, one.secret.clone());
        drop(one);
        assert_eq!(find(&keys, pid, &secret), None);
        assert_eq!(find(&keys, pid, &other.secret), Some("/b".into()));
        drop((other, old, last));
        assert!(locked(&keys.by_pid).is_empty(), "no process id is kept without a session");
    }

    #[test]
    fn keys_of_one_process_id_never_have_one_secret() {
        let keys = CancelKeys::default();
        let all: Vec<_> = (0..256).map(|_| keys.issue(target("/a", 7), 1).unwrap()).collect();
        let secrets: std::collections::HashSet<_> = all.iter().map(|key| &key.secret).collect();
        assert_eq!(secrets.len(), 256);
    }
}
