//! What can go wrong with identities and secrets. No variant holds a secret.

use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("secret key file {path}: {source}", path = path.display())]
    KeyFile { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    BadKey(String),
    #[error(
        "the secret \"{0}\" of the metadata database does not open with this installation's key: \
         start with the LAKEPORT_SECRET_KEY or secret.key that it was made with"
    )]
    WrongKey(String),
    #[error("cryptography failed while {0}")]
    Crypto(&'static str),
    #[error("certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("token: {0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    #[error("password: {0}")]
    Password(&'static str),
    #[error(transparent)]
    Store(#[from] lakeport_store::Error),
}
