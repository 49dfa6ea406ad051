//! Clients: raw sockets, TLS, single messages, and tokio-postgres over a stream made here.

use std::collections::HashMap;
use std::sync::Arc;

use lakeport_gateway::Gateway;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::NoTls;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::gateway::Running;

pub(crate) const SSL: u32 = 80_877_103;
pub(crate) const GSS: u32 = 80_877_104;
pub(crate) const CANCEL: u32 = 80_877_102;
pub(crate) const V3_0: u32 = 0x3_0000;
pub(crate) const V3_2: u32 = 0x3_0002;

pub(crate) type Tls = TlsStream<TcpStream>;

/// A packet with a length and a code.
pub(crate) fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = (8 + body.len()) as u32;
    [&length.to_be_bytes()[..], &code.to_be_bytes(), body].concat()
}

pub(crate) fn startup(code: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let pairs = parameters.iter().map(|(name, value)| format!("{name}\0{value}\0"));
    packet(code, format!("{}\0", pairs.collect::<String>()).as_bytes())
}

pub(crate) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (4 + body.len()) as u32;
    [&[kind][..], &length.to_be_bytes(), body].concat()
}

pub(crate) fn password(password: &str) -> Vec<u8> {
    message(b'p', format!("{password}\0").as_bytes())
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0").as_bytes())
}

/// One message; `None` at the end of the stream.
pub(crate) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Option<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await.ok()?;
    let length = stream.read_u32().await.ok()? as usize;
    let mut body = vec![0; length - 4];
    stream.read_exact(&mut body).await.ok()?;
    Some((kind, body))
}

/// The fields of an ErrorResponse.
pub(crate) type Fields = HashMap<char, String>;

pub(crate) fn fields(body: &[u8]) -> Fields {
    let texts = body.split(|byte| *byte == 0).filter(|text| !text.is_empty());
    texts.map(|text| (text[0].into(), String::from_utf8_lossy(&text[1..]).into_owned())).collect()
}

/// Reads an ErrorResponse, and the end of the stream behind it.
pub(crate) async fn read_error<S: AsyncRead + Unpin>(stream: &mut S) -> Fields {
    let (kind, body) = read(stream).await.expect("an answer");
    assert_eq!(kind, b'E', "an error");
    assert!(read(stream).await.is_none(), "the gateway closes after an error");
    fields(&body)
}

impl Running {
    pub(crate) async fn tcp(&self) -> TcpStream {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp
    }

    /// Sends one piece on a fresh plaintext connection.
    pub(crate) async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut tcp = self.tcp().await;
        tcp.write_all(bytes).await.unwrap();
        tcp
    }

    pub(crate) async fn tls(&self) -> Tls {
        self.tls_as("localhost").await
    }

    pub(crate) async fn tls_as(&self, server_name: &str) -> Tls {
        let tcp = self.tcp().await;
        self.tls_on(tcp, server_name).await
    }

    pub(crate) async fn tls_on(&self, mut tcp: TcpStream, server_name: &str) -> Tls {
        tcp.write_all(&packet(SSL, &[])).await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'S');
        self.handshake(tcp, server_name, &[]).await.unwrap()
    }

    pub(crate) async fn handshake(
        &self,
        tcp: TcpStream,
        server_name: &str,
        alpn: &[&str],
    ) -> std::io::Result<Tls> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(server_name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, tcp).await
    }

    /// Starts up over TLS and gives a password; the stream stands before the answer.
    pub(crate) async fn try_login(&self, parameters: &[(&str, &str)], token: &str) -> Tls {
        login_on(self.tls().await, V3_0, parameters, token).await
    }

    /// What a login that must fail is told.
    pub(crate) async fn refused(&self, parameters: &[(&str, &str)], token: &str) -> Fields {
        read_error(&mut self.try_login(parameters, token).await).await
    }

    /// A tokio-postgres client over TLS.
    pub(crate) async fn client(&self, user: &str, token: &str) -> tokio_postgres::Client {
        let mut config = tokio_postgres::Config::new();
        config.user(user).password(token).dbname("postgres").application_name("kit");
        let (client, connection) = config.connect_raw(self.tls().await, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

pub(crate) async fn login_on<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    version: u32,
    parameters: &[(&str, &str)],
    token: &str,
) -> S {
    stream.write_all(&startup(version, parameters)).await.unwrap();
    let (kind, body) = read(&mut stream).await.expect("a password request");
    assert_eq!((kind, body.as_slice()), (b'R', &[0, 0, 0, 3][..]), "a password request");
    stream.write_all(&password(token)).await.unwrap();
    stream
}

/// What a session begins with.
pub(crate) struct Welcome {
    pub(crate) parameters: HashMap<String, String>,
    pub(crate) pid: u32,
    pub(crate) secret: Vec<u8>,
}

/// Reads up to ReadyForQuery.
pub(crate) async fn welcome<S: AsyncRead + Unpin>(stream: &mut S) -> Welcome {
    let mut welcome = Welcome { parameters: HashMap::new(), pid: 0, secret: Vec::new() };
    let first = read(stream).await.expect("an answer");
    let ok = (b'R', vec![0; 4]);
    assert_eq!(first, ok, "accepted, not {}", String::from_utf8_lossy(&first.1));
    loop {
        let (kind, body) = read(stream).await.expect("a whole welcome");
        match kind {
            b'S' => {
                let text = String::from_utf8(body).unwrap();
                let mut texts = text.split('\0').map(str::to_owned);
                welcome.parameters.insert(texts.next().unwrap(), texts.next().unwrap());
            }
            b'K' => {
                welcome.pid = u32::from_be_bytes(body[..4].try_into().unwrap());
                welcome.secret = body[4..].to_vec();
            }
            b'Z' => return welcome,
            other => panic!("unexpected message {}", char::from(other)),
        }
    }
}

/// Waits until the gateway has so many sessions: a client's end is noticed by the server first.
pub(crate) async fn until_sessions(gateway: &Gateway, wanted: usize) {
    while gateway.sessions() != wanted {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
