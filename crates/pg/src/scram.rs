//! SCRAM-SHA-256 verifiers, made on our side so that no password stands in a statement.

use postgres_protocol::password;

/// The text that `ALTER ROLE … PASSWORD` stores as it is.
#[must_use]
pub fn scram_verifier(secret: &str) -> String {
    password::scram_sha_256(secret.as_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn verifier_is_salted_and_never_the_secret() {
        let one = super::scram_verifier("secret");
        assert!(one.starts_with("SCRAM-SHA-256$4096:"));
        assert!(!one.contains("secret"));
        assert_ne!(one, super::scram_verifier("secret"));
    }
}
