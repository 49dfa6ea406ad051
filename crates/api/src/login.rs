//! One-time login links: `POST /api/2.0/lakeport/login-links`; and the key that tokens are signed with:
//! `POST /api/2.0/lakeport/signing-keys/rotate`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Signs a user in once, in a browser.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginLink {
    /// Whoever has it is the user.
    pub url: String,
    /// RFC 3339.
    pub expiration_time: String,
}

impl fmt::Debug for LoginLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginLink")
            .field("url", &"***")
            .field("expiration_time", &self.expiration_time)
            .finish()
    }
}

/// The key that signs from now on, as the JWK set names it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SigningKey {
    pub kid: String,
}
