//! From a host to an encrypted connection.
//!
//! Owns: TCP, SSLRequest, the TLS handshake. Never: a byte in clear after the request.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Target;
use crate::{Error, Result, tls};

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Dialer {
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
}

impl Dialer {
    pub(crate) fn new(target: &Target) -> Result<Self> {
        let Target { host, port, ca_file } = target.clone();
        let name =
            ServerName::try_from(host.clone()).map_err(|_| Error::Host { host: host.clone() })?;
        let config = tls::postgres_config(ca_file.as_deref())?;
        Ok(Self { host, port, name, tls: TlsConnector::from(Arc::new(config)) })
    }

    pub(crate) async fn dial(&self) -> Result<TlsStream<TcpStream>> {
        match timeout(DIAL_TIMEOUT, self.handshake()).await {
            Ok(dialled) => dialled,
            Err(_) => Err(self.unreachable(ErrorKind::TimedOut.into())),
        }
    }

    async fn handshake(&self) -> Result<TlsStream<TcpStream>> {
        let mut tcp = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|source| self.unreachable(source))?;
        tcp.set_nodelay(true).map_err(|source| self.unreachable(source))?;
        tcp.write_all(&SSL_REQUEST).await.map_err(|source| self.unreachable(source))?;
        // One byte and no more: whatever follows belongs to TLS, or fails there.
        if tcp.read_u8().await.map_err(|source| self.unreachable(source))? != b'S' {
            return Err(Error::TlsRefused { host: self.host.clone(), port: self.port });
        }
        self.tls.connect(self.name.clone(), tcp).await.map_err(|source| Error::Tls {
            host: self.host.clone(),
            port: self.port,
            source,
        })
    }

    fn unreachable(&self, source: io::Error) -> Error {
        Error::Connect { host: self.host.clone(), port: self.port, source }
    }

    pub(crate) fn broke(&self, source: io::Error) -> Error {
        Error::Relay { host: self.host.clone(), port: self.port, source }
    }
}
