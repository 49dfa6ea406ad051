//! Logging in to an instance's PostgreSQL server over its unix socket.
//!
//! It is the client's own role that logs in, by the server's trust in who the gateway is; the
//! gateway has no password to give and runs no statement. What the server says before it is ready
//! is kept for the client, but for the secret of the cancel key, which stays here.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::cancel::{Key, Target};
use crate::error::Refusal;
use crate::message::{self, ErrorFields, Message};
use crate::route::{Backend, Instance};
use crate::startup::Startup;

/// The most that a server may say before it is ready.
const MAX_GREETING: usize = 256 * 1024;

/// A server session that is ready for queries.
pub(crate) struct Upstream {
    pub(crate) stream: UnixStream,
    /// The real cancel key; a server may have none.
    pub(crate) target: Option<Target>,
    /// Parameters and notices.
    greeting: BytesMut,
    /// ReadyForQuery, and whatever came with it.
    ready: BytesMut,
}

impl Upstream {
    /// What the client gets: the server's greeting, with a secret in its cancel key that is the gateway's.
    pub(crate) fn welcome(&self, key: Option<&Key>) -> BytesMut {
        let mut out = BytesMut::new();
        message::authentication_ok(&mut out);
        out.extend_from_slice(&self.greeting);
        if let Some(key) = key {
            message::backend_key_data(&mut out, key.pid, &key.secret);
        }
        out.extend_from_slice(&self.ready);
        out
    }
}

pub(crate) async fn log_in(
    instance: &Instance,
    backend: Backend,
    startup: &Startup,
) -> Result<Upstream, Refusal> {
    let unreachable = |source| Refusal::Unreachable { name: instance.name.clone(), source };
    let mut stream = UnixStream::connect(&backend.socket).await.map_err(unreachable)?;
    let mut packet = BytesMut::new();
    message::startup(&mut packet, &startup.parameters);
    stream.write_all(&packet).await.map_err(unreachable)?;

    let role = startup.user.as_str();
    let mut login =
        Login { instance, role, backend, accepted: false, target: None, kept: BytesMut::new() };
    let mut input = BytesMut::new();
    loop {
        while let Some(message) = message::take(&mut input).map_err(|_| login.nonsense())? {
            if login.step(&message)? {
                return Ok(login.finish(stream, &message, &input));
            }
        }
        match stream.read_buf(&mut input).await {
            Ok(0) => return Err(unreachable(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            Err(error) => return Err(unreachable(error)),
        }
    }
}

/// A login under way.
struct Login<'a> {
    instance: &'a Instance,
    role: &'a str,
    backend: Backend,
    accepted: bool,
    target: Option<Target>,
    kept: BytesMut,
}

impl Login<'_> {
    /// Takes one message in; true when the server is ready.
    fn step(&mut self, message: &Message) -> Result<bool, Refusal> {
        match message.kind() {
            message::AUTHENTICATION if message::is_authentication_ok(message.body()) => {
                self.accepted = true;
            }
            message::AUTHENTICATION => {
                return Err(Refusal::NotLetIn { name: self.instance.name.clone() });
            }
            message::ERROR_RESPONSE => {
                return Err(self.refused(ErrorFields::decode(message.body())));
            }
            message::NOTICE_RESPONSE => self.keep(message)?,
            message::PARAMETER_STATUS if self.accepted => self.keep(message)?,
            message::BACKEND_KEY_DATA if self.accepted => self.target = Some(self.target(message)?),
            message::READY_FOR_QUERY if self.accepted => return Ok(true),
            _ => return Err(self.nonsense()),
        }
        Ok(false)
    }

    fn keep(&mut self, message: &Message) -> Result<(), Refusal> {
        self.kept.extend_from_slice(message.raw());
        if self.kept.len() > MAX_GREETING { Err(self.nonsense()) } else { Ok(()) }
    }

    fn target(&self, message: &Message) -> Result<Target, Refusal> {
        let (pid, secret) =
            message.body().split_first_chunk::<4>().ok_or_else(|| self.nonsense())?;
        Ok(Target {
            socket: self.backend.socket.clone(),
            pid: u32::from_be_bytes(*pid),
            secret: Bytes::copy_from_slice(secret),
        })
    }

    /// The server's words, but for those about a way in that only the gateway has.
    fn refused(&self, fields: ErrorFields) -> Refusal {
        if fields.is_shut_out() {
            return Refusal::NoLogin { role: self.role.to_owned() };
        }
        Refusal::Server(fields)
    }

    fn nonsense(&self) -> Refusal {
        Refusal::BackendProtocol { name: self.instance.name.clone() }
    }

    fn finish(self, stream: UnixStream, ready: &Message, more: &[u8]) -> Upstream {
        let ready = BytesMut::from(&[ready.raw(), more].concat()[..]);
        Upstream { stream, target: self.target, greeting: self.kept, ready }
    }
}
