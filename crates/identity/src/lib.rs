//! Who callers are and what proves it: the installation's key, personal access tokens, database
//! credentials, and the certificate authority.
//!
//! Owns: every secret and its use. Never: HTTP ([`outside::Web`] is how others are asked), the PostgreSQL wire, or what an identity may do.

mod access_token;
mod ca;
mod credential;
mod error;
mod jwt;
mod keys;
pub mod login;
pub mod oauth;
mod opaque;
pub mod outside;
pub mod password;
mod vault;
mod verified;

pub use access_token::{authenticate, issue};
pub use ca::{Authority, ServerCertificate};
pub use credential::{Claims, CredentialError, CredentialRequest, Credentials};
pub use error::Error;
pub use jwt::MAX_LIFETIME as MAX_TOKEN_LIFETIME;
pub use keys::{Jwk, JwkSet, SigningKeys};
pub use opaque::OpaqueToken;
pub use vault::Vault;

pub type Result<T> = std::result::Result<T, Error>;
