//! Passwords that people choose, as Argon2id digests.
//!
//! Both functions take tens of milliseconds and 19 MiB: call them where blocking is allowed.

use std::sync::LazyLock;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use aws_lc_rs::rand;

use crate::{Error, Result};

const MIN_CHARS: usize = 8;
const MAX_BYTES: usize = 1024;

/// What an unknown user's password is checked against, so that the answer takes as long.
static NOBODY: LazyLock<Option<String>> = LazyLock::new(|| hash("no such user").ok());

/// The digest of a new password, in PHC form.
pub fn hash(password: &str) -> Result<String> {
    if password.chars().count() < MIN_CHARS {
        return Err(Error::Password("it is shorter than 8 characters; choose a longer one"));
    }
    if password.len() > MAX_BYTES {
        return Err(Error::Password("it is longer than 1024 bytes; choose a shorter one"));
    }
    let mut salt = [0; 16];
    rand::fill(&mut salt).map_err(|_| Error::Crypto("drawing a salt"))?;
    let hash = Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|_| Error::Crypto("digesting a password"))?;
    Ok(hash.to_string())
}

/// Whether the password is that of the digest; `None` is the digest of an unknown user.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let Some(against) = hash.or(NOBODY.as_deref()) else { return false };
    let same = password.len() <= MAX_BYTES
        && Argon2::default().verify_password(password.as_bytes(), against).is_ok();
    same && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_password_fits_its_digest() {
        let digest = hash("correct horse").unwrap();
        assert!(digest.starts_with("$argon2id$"));
        assert!(verify("correct horse", Some(&digest)));
        assert!(!verify("correct horse ", Some(&digest)));
        assert!(!verify("no such user", None));
        assert_ne!(hash("correct horse").unwrap(), digest);
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(hash("1234567").is_err());
        assert!(hash(&"x".repeat(1025)).is_err());
    }
}
