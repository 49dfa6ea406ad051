//! TLS settings of the client side.
//!
//! Owns: reading a CA file, and the choice between a verified and an encrypted-only connection.
//! Never: a provider other than the one that the workspace names.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::unverified::EncryptedOnly;
use crate::{Error, Result};

/// With a CA the server must prove its name. Without one the connection is encrypted but anybody may
/// be at the other end: what `sslmode=require` means, and what the official tools do.
pub(crate) fn postgres_config(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .map_err(|error| unusable(ca_file.unwrap_or(Path::new("")), &error))?;
    let mut config = match ca_file {
        Some(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(encrypted_only(provider))
            .with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

fn encrypted_only(provider: Arc<CryptoProvider>) -> Arc<EncryptedOnly> {
    Arc::new(EncryptedOnly::new(provider))
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| unusable(path, &error))?;
    }
    Ok(store)
}

/// The certificates of a PEM file; at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(path, &error))?;
    if certificates.is_empty() {
        return Err(unusable(path, &"it holds no certificate"));
    }
    Ok(certificates)
}

fn unusable(path: &Path, reason: &dyn std::fmt::Display) -> Error {
    Error::CaFile { path: path.to_owned(), reason: reason.to_string() }
}
