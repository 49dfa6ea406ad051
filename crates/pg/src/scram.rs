//! SCRAM-SHA-256 verifiers (RFC 5803, as PostgreSQL writes them): made on our side, so that no password
//! stands in a statement, and compared with a password that was sent in the clear inside TLS.

use std::num::NonZeroU32;
use std::sync::LazyLock;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use postgres_protocol::password;

/// Above it a verifier is not computed: whoever owns a database chooses the count.
const MAX_ITERATIONS: u32 = 1_000_000;
const KEY_BYTES: usize = 32;

/// What a password is compared with where there is none, so that this takes as long.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let secret = aws_lc_rs::rand::generate(&aws_lc_rs::rand::SystemRandom::new());
    // Without random numbers the verifier is nobody's all the same: what comes of it is thrown away.
    let secret: [u8; KEY_BYTES] = secret.map_or([0; KEY_BYTES], |random| random.expose());
    scram_verifier(&STANDARD.encode(secret))
});

/// The text that `ALTER ROLE … PASSWORD` stores as it is.
#[must_use]
pub fn scram_verifier(secret: &str) -> String {
    password::scram_sha_256(secret.as_bytes())
}

/// Whether `verifier` was made of this password. Without a verifier it takes as long and is false, as it
/// is for one that is not SCRAM-SHA-256 (`md5…`).
#[must_use]
pub fn scram_matches(verifier: Option<&str>, password: &str) -> bool {
    let known = verifier.and_then(Verifier::parse);
    match known.as_ref().or(Verifier::parse(&NOBODY).as_ref()) {
        Some(verifier) => verifier.matches(password) && known.is_some(),
        None => false,
    }
}

struct Verifier {
    iterations: NonZeroU32,
    salt: Vec<u8>,
    stored_key: Vec<u8>,
}

impl Verifier {
    /// `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`
    fn parse(text: &str) -> Option<Self> {
        let (parameters, keys) = text.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
        let (iterations, salt) = parameters.split_once(':')?;
        let (stored_key, _) = keys.split_once(':')?;
        let iterations =
            iterations.parse().ok().filter(|count: &NonZeroU32| count.get() <= MAX_ITERATIONS)?;
        let (salt, stored_key) = (STANDARD.decode(salt).ok()?, STANDARD.decode(stored_key).ok()?);
        Some(Self { iterations, salt, stored_key })
    }

    /// RFC 5802: `StoredKey = H(HMAC(SaltedPassword, "Client Key"))`.
    fn matches(&self, password: &str) -> bool {
        // As PostgreSQL does: what SASLprep refuses is taken as it is.
        let prepared = stringprep::saslprep(password).unwrap_or_else(|_| password.into());
        let mut salted = [0; KEY_BYTES];
        let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
        pbkdf2::derive(algorithm, self.iterations, &self.salt, prepared.as_bytes(), &mut salted);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client_key = hmac::sign(&key, b"Client Key");
        let stored_key = digest(&SHA256, client_key.as_ref());
        verify_slices_are_equal(stored_key.as_ref(), &self.stored_key).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifier_is_salted_and_never_the_secret() {
        let one = scram_verifier("secret");
        assert!(one.starts_with("SCRAM-SHA-256$4096:"));
        assert!(!one.contains("secret"));
        assert_ne!(one, scram_verifier("secret"));
    }

    #[test]
    fn only_the_password_matches_its_verifier() {
        // The soft hyphen falls to SASLprep; the last cannot be prepared and is taken as it is.
        for (password, same) in [
            ("secret", "secret"),
            ("pass\u{ad}word", "password"),
            ("\u{2168}", "IX"),
            ("", ""),
            ("\u{7}", "\u{7}"),
        ] {
            let verifier = scram_verifier(password);
            assert!(scram_matches(Some(&verifier), same), "{password:?}");
            assert!(!scram_matches(Some(&verifier), "Secret"), "{password:?}");
        }
    }

    #[test]
    fn what_is_no_verifier_matches_nothing() {
        let good = scram_verifier("x");
        let many = good.replacen("4096", "1000001", 1);
        let none = good.replacen("4096", "0", 1);
        for bad in
            ["", "md5b8e3ac9a2d4a3ef6b3ee5d4f5d7a0b11", "SCRAM-SHA-256$4096:x$y", &many, &none]
        {
            assert!(!scram_matches(Some(bad), "x"), "{bad}");
        }
        assert!(!scram_matches(None, "x"));
        assert!(!scram_matches(None, ""));
    }
}
