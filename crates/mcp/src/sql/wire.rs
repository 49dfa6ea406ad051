//! Messages to and from PostgreSQL over the private socket of a [`Forwarder`], which supplies the token.
//!
//! Owns: framing, the start of a session, bounds on what is read. Text format throughout, so that every
//! type can be shown. Never: what a message means for a statement.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use bytes::BytesMut;
use lakeport_client::Forwarder;
use postgres_protocol::IsNull;
use postgres_protocol::message::backend::{Header, Message};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::error::SqlError;

/// A longer message, which is a row of that size, is not read at all.
const LONGEST_MESSAGE: usize = 8 << 20;

pub(super) struct Wire {
    stream: UnixStream,
    incoming: BytesMut,
    socket: PathBuf,
    key: Option<(i32, i32)>,
    // Closing it closes the connection.
    _door: Forwarder,
}

impl Wire {
    pub(super) async fn connect(
        door: Forwarder,
        parameters: &[(&str, &str)],
    ) -> Result<Self, SqlError> {
        let socket = door.dir().join(format!(".s.PGSQL.{}", door.port()));
        let stream = UnixStream::connect(&socket).await?;
        let mut wire = Self { stream, incoming: BytesMut::new(), socket, key: None, _door: door };
        let mut startup = BytesMut::new();
        frontend::startup_message(parameters.iter().copied(), &mut startup)?;
        wire.send(&startup).await?;
        wire.log_in().await?;
        Ok(wire)
    }

    /// The forwarder answers the question for the password; any other one is beyond it.
    async fn log_in(&mut self) -> Result<(), SqlError> {
        loop {
            match self.receive().await? {
                Message::AuthenticationOk
                | Message::ParameterStatus(_)
                | Message::NoticeResponse(_) => {}
                Message::BackendKeyData(key) => {
                    self.key = Some((key.process_id(), key.secret_key()));
                }
                Message::ReadyForQuery(_) => return Ok(()),
                Message::ErrorResponse(error) => return Err(SqlError::server(error.fields())),
                _ => return Err(unexpected("an authentication that takes no token").into()),
            }
        }
    }

    pub(super) async fn send(&mut self, messages: &BytesMut) -> io::Result<()> {
        self.stream.write_all(messages).await
    }

    pub(super) async fn receive(&mut self) -> Result<Message, SqlError> {
        loop {
            if let Some(header) = Header::parse(&self.incoming)?
                && usize::try_from(header.len()).is_ok_and(|length| length > LONGEST_MESSAGE)
            {
                return Err(SqlError::TooLong { most: LONGEST_MESSAGE });
            }
            if let Some(message) = Message::parse(&mut self.incoming)? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.incoming).await? == 0 {
                return Err(io::Error::from(ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Asks the server to end what runs; whether it still could is seen on the connection itself.
    pub(super) async fn cancel(&self) -> io::Result<()> {
        let Some((process, secret)) = self.key else { return Ok(()) };
        let mut request = BytesMut::new();
        frontend::cancel_request(process, secret, &mut request);
        let mut stream = UnixStream::connect(&self.socket).await?;
        stream.write_all(&request).await?;
        // The server closes when it has passed the signal on.
        stream.read(&mut [0; 1]).await.map(drop)
    }
}

pub(super) fn unexpected(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("the server sent {what}"))
}

/// Statement, parameters as text, columns as text, at most so many rows, and the end of the round.
pub(super) struct Request(BytesMut);

impl Request {
    pub(super) fn new() -> Self {
        Self(BytesMut::new())
    }

    pub(super) fn simple(sql: &str) -> io::Result<BytesMut> {
        let mut buffer = BytesMut::new();
        frontend::query(sql, &mut buffer)?;
        Ok(buffer)
    }

    pub(super) fn statement(
        mut self,
        portal: &str,
        sql: &str,
        parameters: &[Option<&str>],
    ) -> io::Result<Self> {
        frontend::parse("", sql, std::iter::empty(), &mut self.0)?;
        let bound = frontend::bind(
            portal,
            "",
            std::iter::empty(),
            parameters,
            |value, buffer| {
                Ok(match value {
                    Some(text) => {
                        buffer.extend_from_slice(text.as_bytes());
                        IsNull::No
                    }
                    None => IsNull::Yes,
                })
            },
            std::iter::empty(),
            &mut self.0,
        );
        bound.map_err(|_| io::Error::new(ErrorKind::InvalidInput, "a parameter is too long"))?;
        frontend::describe(b'P', portal, &mut self.0)?;
        Ok(self)
    }

    pub(super) fn execute(mut self, portal: &str, max_rows: i32) -> io::Result<BytesMut> {
        frontend::execute(portal, max_rows, &mut self.0)?;
        frontend::sync(&mut self.0);
        Ok(self.0)
    }
}
