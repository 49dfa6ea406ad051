//! Server certificates: from our own CA, renewed by themselves, or from given files, taken up again when
//! they change.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use lakeport_identity::{Authority, ServerCertificate};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// Well before their 397 days are over.
const RENEW_AFTER: Duration = Duration::from_secs(300 * 24 * 3600);

/// How often given files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Where certificates come from.
#[derive(Clone)]
pub(crate) struct Certificates {
    authority: Arc<Authority>,
    given: Option<Arc<Given>>,
}

impl Certificates {
    pub(crate) fn new(
        authority: Arc<Authority>,
        files: Option<(PathBuf, PathBuf)>,
    ) -> Result<Self> {
        let given = files.map(|(certificate, key)| Given::read(certificate, key)).transpose()?;
        Ok(Self { authority, given: given.map(Arc::new) })
    }

    /// A resolver that always has a valid certificate for these names.
    pub(crate) fn resolver(&self, names: Vec<String>) -> Result<Arc<dyn ResolvesServerCert>> {
        if let Some(given) = &self.given {
            return Ok(Arc::clone(given) as Arc<dyn ResolvesServerCert>);
        }
        let key = self.issue(&names)?;
        Ok(Arc::new(Renewing {
            source: self.clone(),
            names,
            current: RwLock::new((Instant::now(), key)),
        }))
    }

    fn issue(&self, names: &[String]) -> Result<Arc<CertifiedKey>> {
        certified(self.authority.server_certificate(names.to_vec())?)
    }

    /// Takes given files up again when they have changed, and on SIGHUP. Sessions go on as they are.
    pub(crate) async fn watch(self, cancel: CancellationToken) -> std::result::Result<(), String> {
        let Some(given) = self.given else { return Ok(()) };
        let hangup = SignalKind::hangup();
        let mut hangup =
            signal(hangup).map_err(|error| format!("listening for SIGHUP: {error}"))?;
        let mut last_tried = given.stamps();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                _ = hangup.recv() => {}
                () = tokio::time::sleep(LOOK) => {
                    if given.stamps() == last_tried {
                        continue;
                    }
                }
            }
            last_tried = given.stamps();
            given.renew();
        }
    }
}

fn certified(certificate: ServerCertificate) -> Result<Arc<CertifiedKey>> {
    CertifiedKey::from_der(certificate.chain, certificate.key, &aws_lc_rs::default_provider())
        .map(Arc::new)
        .map_err(|error| Error::Tls(error.to_string()))
}

/// A certificate from files, as it was when they were last right.
struct Given {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Arc<CertifiedKey>>,
}

/// What changes when a file does.
type Stamp = Option<(u64, u64, SystemTime)>;

impl Given {
    fn read(certificate: PathBuf, key: PathBuf) -> Result<Self> {
        let current = RwLock::new(certified(read_files(&certificate, &key)?)?);
        Ok(Self { certificate, key, current })
    }

    fn stamps(&self) -> [Stamp; 2] {
        [&self.certificate, &self.key].map(|path| {
            let seen = fs::metadata(path).ok()?;
            Some((seen.ino(), seen.len(), seen.modified().ok()?))
        })
    }

    /// While one file is new and the other is not yet, they do not fit: the old ones serve on.
    fn renew(&self) {
        match read_files(&self.certificate, &self.key).and_then(certified) {
            Ok(fresh) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
                tracing::info!(file = %self.certificate.display(), "a new certificate serves");
            }
            Err(error) => {
                tracing::warn!(%error, "the new certificate is of no use; the old one serves on");
            }
        }
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Given {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

fn read_files(certificate: &PathBuf, key: &PathBuf) -> Result<ServerCertificate> {
    let read = |path: &PathBuf| fs::read(path).map_err(Error::io("reading", path.display()));
    let bad = |path: &PathBuf, error: &dyn fmt::Display| {
        Error::Tls(format!("{}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| bad(certificate, &error))?;
    if chain.is_empty() {
        return Err(bad(certificate, &"there is no certificate in it"));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| bad(key, &error))?;
    Ok(ServerCertificate { chain, key })
}

struct Renewing {
    source: Certificates,
    names: Vec<String>,
    current: RwLock<(Instant, Arc<CertifiedKey>)>,
}

impl fmt::Debug for Renewing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewing").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let (issued, key) = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if issued.elapsed() < RENEW_AFTER {
            return Some(key);
        }
        match self.source.issue(&self.names) {
            Ok(fresh) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = (Instant::now(), Arc::clone(&fresh));
                Some(fresh)
            }
            Err(error) => {
                tracing::error!(%error, "renewing a certificate failed; the old one serves on");
                Some(key)
            }
        }
    }
}

/// TLS of the REST API.
pub(crate) fn https_config(
    certificates: &Certificates,
    address: SocketAddr,
    domain: Option<&str>,
) -> Result<Arc<ServerConfig>> {
    let mut names = vec![String::from("localhost"), String::from("127.0.0.1")];
    let ip = address.ip().to_string();
    if !address.ip().is_unspecified() && !names.contains(&ip) {
        names.push(ip);
    }
    names.extend(domain.map(str::to_owned));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Tls(error.to_string()))?
        .with_no_client_auth()
        .with_cert_resolver(certificates.resolver(names)?);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
