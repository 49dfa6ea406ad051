//! The TLS settings of the gateway.
//!
//! It owns versions, ALPN and session resumption; certificates are the resolver's business.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};

/// The ALPN name that PostgreSQL clients offer.
pub(crate) const ALPN: &[u8] = b"postgresql";

/// TLS 1.2 and 1.3 with the certificates of `resolver`.
///
/// Sessions are not resumed: PostgreSQL clients do not ask for it, so tickets would only cost
/// bytes and time in each handshake.
pub fn tls_config(resolver: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .expect("the default provider has cipher suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}
