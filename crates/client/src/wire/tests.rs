//! The forwarder against a scripted PostgreSQL server with real TLS.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::*;

const STARTUP: &[u8] = b"\0\0\0\x11\0\x03\0\0user\0me\0\0";
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const ASK_PASSWORD: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
const ACCEPT: &[u8] = b"R\0\0\0\x08\0\0\0\0";

struct Server {
    listener: TcpListener,
    tls: TlsAcceptor,
    ca: tempfile::NamedTempFile,
}

impl Server {
    async fn start() -> Self {
        let names = vec![String::from("127.0.0.1")];
        let certified = rcgen::generate_simple_self_signed(names).unwrap();
        let ca = tempfile::NamedTempFile::new().unwrap();
        fs::write(ca.path(), certified.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, tls: TlsAcceptor::from(Arc::new(config)), ca }
    }

    fn target(&self) -> Target {
        let port = self.listener.local_addr().unwrap().port();
        Target { host: String::from("127.0.0.1"), port, ca_file: Some(self.ca.path().to_owned()) }
    }

    async fn accept(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let (mut tcp, _) = self.listener.accept().await?;
        let mut request = [0; 8];
        tcp.read_exact(&mut request).await?;
        assert_eq!(request, SSL_REQUEST);
        tcp.write_all(b"S").await?;
        self.tls.accept(tcp).await
    }

    /// A login up to the password, which is returned.
    async fn login(&self) -> (TlsStream<TcpStream>, String) {
        let mut session = self.accept().await.unwrap();
        let mut startup = [0; STARTUP.len()];
        session.read_exact(&mut startup).await.unwrap();
        assert_eq!(startup, STARTUP);
        session.write_all(ASK_PASSWORD).await.unwrap();
        assert_eq!(session.read_u8().await.unwrap(), b'p');
        let length = session.read_u32().await.unwrap() as usize - 4;
        let mut password = vec![0; length];
        session.read_exact(&mut password).await.unwrap();
        assert_eq!(password.pop(), Some(0));
        (session, String::from_utf8(password).unwrap())
    }
}

/// A forwarder whose tokens are `token-0`, `token-1`, …
async fn forwarder(target: &Target) -> Forwarder {
    let minted = Arc::new(AtomicUsize::new(0));
    let mint = move || {
        let number = minted.fetch_add(1, Ordering::Relaxed);
        async move { Ok(Token::new(format!("token-{number}"))) }
    };
    Forwarder::start(target, mint).await.unwrap()
}

async fn open(forwarder: &Forwarder) -> UnixStream {
    UnixStream::connect(forwarder.dir().join(".s.PGSQL.5432")).await.unwrap()
}

async fn expect(stream: &mut (impl AsyncReadExt + Unpin), wanted: &[u8]) {
    let mut bytes = vec![0; wanted.len()];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(bytes, wanted);
}

async fn refusal(local: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    local.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes[0], b'E');
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn the_password_is_answered_and_the_rest_relayed_both_ways() {
    let server = Server::start().await;
    let forwarder = forwarder(&server.target()).await;
    let mut local = open(&forwarder).await;
    local.write_all(&SSL_REQUEST).await.unwrap();
    expect(&mut local, b"N").await;
    local.write_all(STARTUP).await.unwrap();

    let (mut session, password) = server.login().await;
    assert_eq!(password, "token-0");
    session.write_all(ACCEPT).await.unwrap();
    expect(&mut local, ACCEPT).await;
    local.write_all(b"query").await.unwrap();
    expect(&mut session, b"query").await;
    session.write_all(b"rows").await.unwrap();
    expect(&mut local, b"rows").await;
    drop(local);
    assert_eq!(session.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_token_is_used_again_until_it_is_refused() {
    let server = Server::start().await;
    let forwarder = forwarder(&server.target()).await;
    let refuse = b"E\0\0\0\x0cSFATAL\0\0";
    for (answer, expected) in [(ACCEPT, "token-0"), (&refuse[..], "token-0"), (ACCEPT, "token-1")] {
        let mut local = open(&forwarder).await;
        local.write_all(STARTUP).await.unwrap();
        let (mut session, password) = server.login().await;
        assert_eq!(password, expected);
        session.write_all(answer).await.unwrap();
        expect(&mut local, answer).await;
        // The relay has begun, so a refused token is forgotten by now.
        local.write_all(b"x").await.unwrap();
        expect(&mut session, b"x").await;
    }
}

#[tokio::test]
async fn a_cancel_request_goes_over_tls() {
    let server = Server::start().await;
    let forwarder = forwarder(&server.target()).await;
    let cancel = b"\0\0\0\x10\x04\xd2\x16\x2e\x01\x02\x03\x04\x05\x06\x07\x08";
    let mut local = open(&forwarder).await;
    local.write_all(cancel).await.unwrap();
    let mut session = server.accept().await.unwrap();
    expect(&mut session, cancel).await;
}

#[tokio::test]
async fn a_server_of_another_ca_gets_no_token() {
    let server = Server::start().await;
    let other = Server::start().await;
    let target = Target { ca_file: Some(other.ca.path().to_owned()), ..server.target() };
    let forwarder = forwarder(&target).await;
    let mut local = open(&forwarder).await;
    local.write_all(STARTUP).await.unwrap();
    assert!(server.accept().await.is_err());
    let refusal = refusal(&mut local).await;
    assert!(refusal.contains("08001") && refusal.contains("lakeport_ca_file"), "{refusal}");
}

#[tokio::test]
async fn without_a_ca_any_certificate_is_taken_and_clear_text_is_not() {
    let server = Server::start().await;
    let target = Target { ca_file: None, ..server.target() };
    let forwarder = forwarder(&target).await;
    let mut local = open(&forwarder).await;
    local.write_all(STARTUP).await.unwrap();
    assert_eq!(server.login().await.1, "token-0");

    let mut local = open(&forwarder).await;
    local.write_all(STARTUP).await.unwrap();
    let (mut tcp, _) = server.listener.accept().await.unwrap();
    expect(&mut tcp, &SSL_REQUEST).await;
    tcp.write_all(b"N").await.unwrap();
    assert!(refusal(&mut local).await.contains("does not offer TLS"));
}

#[tokio::test]
async fn a_failed_mint_reaches_the_user() {
    let server = Server::start().await;
    let mint =
        || async { Err(Error::Name { operation: String::from("mint"), name: String::from("..") }) };
    let forwarder = Forwarder::start(&server.target(), mint).await.unwrap();
    let mut local = open(&forwarder).await;
    local.write_all(STARTUP).await.unwrap();
    let mut session = server.accept().await.unwrap();
    expect(&mut session, STARTUP).await;
    session.write_all(ASK_PASSWORD).await.unwrap();
    assert!(refusal(&mut local).await.contains("mint"));
}

#[tokio::test]
async fn the_socket_is_private_and_disappears() {
    let server = Server::start().await;
    let forwarder = forwarder(&server.target()).await;
    let dir = forwarder.dir().to_owned();
    assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    drop(forwarder);
    assert!(!dir.exists());
}
