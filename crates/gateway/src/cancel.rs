//! Cancel requests: the keys that clients hold, and what they stand for.
//!
//! A client gets a random process id and secret of the gateway's own; the server's real ones never
//! leave it. A request stops only the session that its key was given to, and is never answered.

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

/// The keys that are out.
#[derive(Default)]
pub(crate) struct CancelKeys {
    by_pid: Arc<Mutex<HashMap<u32, Entry>>>,
}

struct Entry {
    secret: Vec<u8>,
    target: Target,
}

/// A key that a client holds; dropping it makes the key worthless.
pub(crate) struct Key {
    pub(crate) pid: u32,
    pub(crate) secret: Vec<u8>,
    by_pid: Arc<Mutex<HashMap<u32, Entry>>>,
}

impl CancelKeys {
    /// Makes a key with a secret of so many bytes.
    pub(crate) fn issue(&self, target: Target, secret_length: usize) -> Result<Key, Refusal> {
        let mut secret = vec![0; secret_length];
        rand::fill(&mut secret).map_err(|_| Refusal::Random)?;
        let mut by_pid = locked(&self.by_pid);
        let pid = loop {
            let pid = random_pid()?;
            if pid != 0 && !by_pid.contains_key(&pid) {
                break pid;
            }
        };
        by_pid.insert(pid, Entry { secret: secret.clone(), target });
        Ok(Key { pid, secret, by_pid: self.by_pid.clone() })
    }

    /// The session that a request is for, if its key is right.
    pub(crate) fn find(&self, request: &CancelRequest) -> Option<Target> {
        let by_pid = locked(&self.by_pid);
        let entry = by_pid.get(&request.pid)?;
        verify_slices_are_equal(&entry.secret, &request.secret).ok()?;
        Some(entry.target.clone())
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        locked(&self.by_pid).remove(&self.pid);
    }
}

/// Positive as a signed number, which is how clients read it.
fn random_pid() -> Result<u32, Refusal> {
    let mut bytes = [0; 4];
    rand::fill(&mut bytes).map_err(|_| Refusal::Random)?;
    Ok(u32::from_be_bytes(bytes) >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_key_finds_its_session_and_only_while_it_lives() {
        let keys = CancelKeys::default();
        let target = |pid| Target { socket: "/nowhere".into(), pid, secret: Bytes::new() };
        let (one, two) = (keys.issue(target(1), 32).unwrap(), keys.issue(target(2), 4).unwrap());
        let find = |pid, secret: &[u8]| {
            let request = CancelRequest { pid, secret: secret.to_vec() };
            keys.find(&request).map(|target| target.pid)
        };
        assert_eq!(find(one.pid, &one.secret), Some(1));
        assert_eq!(find(two.pid, &two.secret), Some(2));
        assert_eq!(find(two.pid, &one.secret), None);
        assert_eq!(find(one.pid, &one.secret[..31]), None);
        assert_eq!(find(one.pid, &[]), None);
        let (pid, secret) = (one.pid, one.secret.clone());
        drop(one);
        assert_eq!(find(pid, &secret), None);
    }
}
