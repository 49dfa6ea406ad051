//! The installation's certificate authority: one CA for HTTPS and PostgreSQL, and server certificates
//! for every name and address that is handed out.
//!
//! ECDSA P-256, because `tls-server-end-point` has no hash for Ed25519.

use lakeport_store::Store;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::{Error, Result, Vault};

const SECRET: &str = "certificate authority";

/// The CA; its key is sealed in the metadata database.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A server's certificate with its key.
pub struct ServerCertificate {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

impl Authority {
    /// Loads the CA, made on a new installation.
    pub async fn load(store: &Store, vault: &Vault) -> Result<Self> {
        let sealed = match store.secret(SECRET).await? {
            Some(sealed) => sealed,
            None => store.secret_or(SECRET, &vault.seal(SECRET, make()?.as_bytes())?).await?,
        };
        let pem = String::from_utf8(vault.unseal(SECRET, &sealed)?)
            .map_err(|_| Error::Crypto("reading the certificate authority"))?;
        Self::from_pem(&pem)
    }

    /// `pem`: the certificate followed by its key.
    fn from_pem(pem: &str) -> Result<Self> {
        let split = pem
            .find("-----BEGIN PRIVATE KEY-----")
            .ok_or(Error::Crypto("reading the certificate authority"))?;
        let (certificate, key) = pem.split_at(split);
        Ok(Self {
            certificate_pem: certificate.to_owned(),
            issuer: Issuer::from_ca_cert_pem(certificate, KeyPair::from_pem(key)?)?,
        })
    }

    /// For clients to trust; no secret.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// A certificate for these DNS names and IP addresses, good for 397 days from today.
    pub fn server_certificate(&self, names: Vec<String>) -> Result<ServerCertificate> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "lakeport");
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        valid_for(&mut params, 397);
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(ServerCertificate {
            chain: vec![certificate.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }
}

fn make() -> Result<String> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Lakeport CA");
    valid_for(&mut params, 3650);
    let certificate = params.self_signed(&key)?;
    Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
}

/// Sets the validity from yesterday, for clocks that run behind.
fn valid_for(params: &mut CertificateParams, days: i64) {
    let today = jiff::Zoned::now().date();
    let from = today.saturating_sub(jiff::Span::new().days(1));
    let until = today.saturating_add(jiff::Span::new().days(days));
    for (moment, date) in [(&mut params.not_before, from), (&mut params.not_after, until)] {
        *moment = date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        );
    }
}
