//! The installation's one key: seals what the metadata database stores, and derives what need not be
//! stored at all.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::{Error, Result};

const KEY_BYTES: usize = 32;

/// Cheap to share behind an `Arc`; never prints.
pub struct Vault {
    cipher: LessSafeKey,
    derive: hmac::Key,
}

impl Vault {
    /// From `LAKEPORT_SECRET_KEY` (base64 of 32 bytes) if given, else from the file, made if absent.
    pub fn open(from_environment: Option<&str>, file: &Path) -> Result<Self> {
        let key = match from_environment {
            Some(text) => parse_key(text, "LAKEPORT_SECRET_KEY")?,
            None => read_or_make(file)?,
        };
        Self::from_key(&key)
    }

    fn from_key(key: &[u8; KEY_BYTES]) -> Result<Self> {
        let cipher = UnboundKey::new(&AES_256_GCM, &derive(key, b"seal"))
            .map_err(|_| Error::Crypto("making the sealing key"))?;
        Ok(Self {
            cipher: LessSafeKey::new(cipher),
            derive: hmac::Key::new(hmac::HMAC_SHA256, &derive(key, b"derive")),
        })
    }

    /// Encrypts; the name is bound in, so that one sealed secret cannot stand in for another.
    pub fn seal(&self, name: &str, secret: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(|_| Error::Crypto("drawing a nonce"))?;
        let mut sealed = secret.to_vec();
        self.cipher
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| Error::Crypto("sealing a secret"))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    pub fn unseal(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let wrong = || Error::WrongKey(name.to_owned());
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut secret = sealed.to_vec();
        let length = self
            .cipher
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut secret)
            .map_err(|_| wrong())?
            .len();
        secret.truncate(length);
        Ok(secret)
    }

    /// A password with 256 bits that depends on the key and the purpose alone.
    #[must_use]
    pub fn password(&self, purpose: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.derive, purpose.as_bytes()))
    }

    /// A tag that only this installation can make.
    #[must_use]
    pub fn tag(&self, purpose: &str, text: &str) -> Vec<u8> {
        hmac::sign(&self.derive, format!("{purpose}\0{text}").as_bytes()).as_ref().to_vec()
    }
}

fn derive(key: &[u8], label: &[u8]) -> [u8; KEY_BYTES] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), label);
    let mut derived = [0; KEY_BYTES];
    derived.copy_from_slice(tag.as_ref());
    derived
}

fn parse_key(text: &str, origin: &str) -> Result<[u8; KEY_BYTES]> {
    let bytes = STANDARD.decode(text.trim()).ok();
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        Error::BadKey(format!(
            "{origin} must be the base64 text of 32 random bytes; make one with: openssl rand -base64 32"
        ))
    })
}

fn read_or_make(path: &Path) -> Result<[u8; KEY_BYTES]> {
    let file_error = |source| Error::KeyFile { path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(text) => return parse_key(&text, &path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(file_error(error)),
    }
    let mut key = [0; KEY_BYTES];
    rand::fill(&mut key).map_err(|_| Error::Crypto("drawing the installation's key"))?;
    write_durably(path, STANDARD.encode(key).as_bytes()).map_err(file_error)?;
    Ok(key)
}

/// Written aside and renamed: a crash leaves the whole key or none.
fn write_durably(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let aside = path.with_extension("new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_secrets_open_only_under_their_name_and_key() {
        let one = Vault::from_key(&[1; 32]).unwrap();
        let two = Vault::from_key(&[2; 32]).unwrap();
        let sealed = one.seal("ca", b"secret").unwrap();
        assert_eq!(one.unseal("ca", &sealed).unwrap(), b"secret");
        assert!(one.unseal("other", &sealed).is_err());
        assert!(two.unseal("ca", &sealed).is_err());
        assert!(one.unseal("ca", b"short").is_err());
    }

    #[test]
    fn the_key_file_is_private_and_stays() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.key");
        let first = Vault::open(None, &path).unwrap().password("p");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Vault::open(None, &path).unwrap().password("p"), first);
    }

    #[test]
    fn a_bad_key_says_how_to_make_one() {
        let error = Vault::open(Some("abc"), Path::new("unused")).err().unwrap().to_string();
        assert!(error.contains("openssl rand -base64 32"), "{error}");
    }
}
