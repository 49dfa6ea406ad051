//! The first bytes of a connection: plaintext requests, the TLS handshake, the start-up packet.
//!
//! It reads exactly what a request says and buffers nothing in plaintext, so that no byte sent
//! before encryption can be taken for one sent after it. It knows nothing of tokens or instances.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::Refusal;
use crate::message;
use crate::startup::{self, CancelRequest, Packet, Startup};
use crate::tls::ALPN;

/// Below TLS there is a buffer, because rustls reads in pieces of 4 KiB: a record of a large COPY
/// would cost five system calls.
const READ_BUFFER: usize = 16 * 1024;
/// The content type of a TLS handshake record, which no start-up packet begins with.
const TLS_HANDSHAKE: u8 = 0x16;
/// What a refused client may still have under way, and how long it may take to see the answer.
const LINGER_BYTES: u64 = 256 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(1);

pub(crate) type ClientStream = TlsStream<BufReader<TcpStream>>;

/// What a connection turns out to be.
pub(crate) enum Hello {
    Login(Box<Client>),
    /// With the connection, which stays open until the request is carried out.
    Cancel(CancelRequest, Box<dyn AsyncWrite + Send + Unpin>),
}

/// A client that asks to log in, over TLS.
pub(crate) struct Client {
    pub(crate) stream: ClientStream,
    pub(crate) startup: Startup,
    /// The host name that it asked for in the handshake.
    pub(crate) server_name: Option<String>,
}

/// Reads up to the start-up packet. A refusal has been answered already, as far as it is.
pub(crate) async fn greet(mut tcp: TcpStream, tls: Arc<ServerConfig>) -> Result<Hello, Refusal> {
    match plaintext(&mut tcp).await {
        Ok(Plaintext::Tls(entry)) => encrypted(tcp, tls, entry).await,
        Ok(Plaintext::Cancel(request)) => Ok(Hello::Cancel(request, Box::new(tcp))),
        Err(refusal) => Err(answered(&mut tcp, refusal).await),
    }
}

enum Plaintext {
    Tls(Entry),
    Cancel(CancelRequest),
}

/// How a client came to TLS.
#[derive(PartialEq, Eq)]
enum Entry {
    Direct,
    Requested,
}

async fn plaintext(tcp: &mut TcpStream) -> Result<Plaintext, Refusal> {
    let mut gss_asked = false;
    loop {
        if first_byte(tcp).await? == TLS_HANDSHAKE {
            return Ok(Plaintext::Tls(Entry::Direct));
        }
        match startup::read(tcp).await? {
            Packet::Ssl => {
                reply(tcp, b'S').await?;
                return Ok(Plaintext::Tls(Entry::Requested));
            }
            Packet::GssEnc if gss_asked => return Err(no_version(message::GSSENC_REQUEST)),
            Packet::GssEnc => {
                reply(tcp, b'N').await?;
                gss_asked = true;
            }
            Packet::Cancel(request) => return Ok(Plaintext::Cancel(request)),
            Packet::Startup { .. } => return Err(Refusal::Plaintext),
        }
    }
}

async fn first_byte(tcp: &TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    match tcp.peek(&mut byte).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(byte[0]),
    }
}

/// Answers an encryption request, which must be the last thing that the client has sent.
async fn reply(tcp: &mut TcpStream, answer: u8) -> Result<(), Refusal> {
    if has_more(tcp).await? {
        return Err(Refusal::EarlyData);
    }
    Ok(tcp.write_all(&[answer]).await?)
}

async fn has_more(tcp: &TcpStream) -> io::Result<bool> {
    poll_fn(|context| {
        let mut byte = [0];
        Poll::Ready(match tcp.poll_peek(context, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(read)) => Ok(read > 0),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Ok(false),
        })
    })
    .await
}

async fn encrypted(tcp: TcpStream, tls: Arc<ServerConfig>, entry: Entry) -> Result<Hello, Refusal> {
    let buffered = BufReader::with_capacity(READ_BUFFER, tcp);
    let mut stream = TlsAcceptor::from(tls).accept(buffered).await?;
    match start(&mut stream, entry).await {
        Ok(Start::Login(startup)) => {
            let server_name = stream.get_ref().1.server_name().map(str::to_owned);
            Ok(Hello::Login(Box::new(Client { stream, startup, server_name })))
        }
        Ok(Start::Cancel(request)) => Ok(Hello::Cancel(request, Box::new(stream))),
        Err(refusal) => Err(answered(&mut stream, refusal).await),
    }
}

enum Start {
    Login(Startup),
    Cancel(CancelRequest),
}

async fn start(stream: &mut ClientStream, entry: Entry) -> Result<Start, Refusal> {
    // Without ALPN another protocol's client could be led here; SSLRequest shows who it is.
    if entry == Entry::Direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        return Err(Refusal::NoPacket(
            "direct SSL connection without the ALPN protocol \"postgresql\"",
        ));
    }
    match startup::read(stream).await? {
        Packet::Startup { major, minor, body } => {
            Ok(Start::Login(Startup::parse(major, minor, &body)?))
        }
        Packet::Cancel(request) => Ok(Start::Cancel(request)),
        Packet::Ssl => Err(no_version(message::SSL_REQUEST)),
        Packet::GssEnc => Err(no_version(message::GSSENC_REQUEST)),
    }
}

/// A request that is out of place: PostgreSQL takes its code for a version then.
fn no_version(code: u32) -> Refusal {
    Refusal::Protocol { major: (code >> 16) as u16, minor: code as u16 }
}

/// Tells the client why it is refused, if it is told, and closes.
pub(crate) async fn answered<S>(stream: &mut S, refusal: Refusal) -> Refusal
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if !matches!(refusal, Refusal::Disconnected(_)) {
        let farewell = say_goodbye(stream, &refusal);
        // A client that does not listen is simply cut off.
        let _ = tokio::time::timeout(LINGER_TIME, farewell).await;
    }
    refusal
}

/// Closes without a word, but as TLS wants it: a client takes the end for the answer to its cancel
/// request, and a torn connection for a failure.
pub(crate) async fn hang_up(mut stream: Box<dyn AsyncWrite + Send + Unpin>) {
    let _ = tokio::time::timeout(LINGER_TIME, stream.shutdown()).await;
}

/// Closing a socket with unread bytes resets it, and the client might lose the answer; so what it
/// still sends is read away.
async fn say_goodbye<S>(stream: &mut S, refusal: &Refusal) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    if refusal.is_answered() {
        stream.write_all(&refusal.encode()).await?;
        stream.flush().await?;
    }
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}
