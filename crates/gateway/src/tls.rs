//! The TLS settings of the gateway.
//!
//! It owns versions, cipher suites, ALPN and session resumption; certificates are the resolver's business.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{CipherSuite, ServerConfig};

/// The ALPN name that PostgreSQL clients offer.
pub(crate) const ALPN: &[u8] = b"postgresql";

/// TLS 1.2 and 1.3 with the certificates of `resolver`.
///
/// Sessions are not resumed: PostgreSQL clients do not ask for it, so tickets would only cost
/// bytes and time in each handshake. Of the suites that a client offers, the cheapest is taken: OpenSSL puts
/// AES-256 with SHA-384 first, which costs both sides more in handshakes and in bulk.
pub fn tls_config(resolver: Arc<dyn ResolvesServerCert>) -> Arc<ServerConfig> {
    let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(versions)
        .expect("the default provider has cipher suites for both versions")
        .with_no_client_auth()
        .with_cert_resolver(resolver);
    config.ignore_client_order = true;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Arc::new(config)
}

/// All suites of the provider, with AES-128 in front.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_cheapest(suite.suite()));
    provider
}

fn is_cheapest(suite: CipherSuite) -> bool {
    use CipherSuite as S;
    [
        S::TLS13_AES_128_GCM_SHA256,
        S::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        S::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    ]
    .contains(&suite)
}
