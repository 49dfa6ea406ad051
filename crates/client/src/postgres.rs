//! `tokio-postgres` on an instance: TLS, and a live token as the password of every login.
//!
//! Owns: opening a connection. Never: keeping it.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Config, Connection, NoTls};
use tokio_rustls::client::TlsStream;

use crate::wire::{Dialer, startup};
use crate::{Endpoint, Error, Result};

/// What carries a connection; it has to be polled, in a task of its own.
pub type PostgresConnection = Connection<TlsStream<TcpStream>, NoTlsStream>;

impl Endpoint {
    /// Opens a session. Of `config`, database, options and application name are used; its hosts, user
    /// and password are not.
    ///
    /// A query is cancelled by the server when its session ends; `CancelToken` would need the address
    /// that `config` does not have.
    ///
    /// # Errors
    /// In PostgreSQL's own form, also if no token can be had or the server cannot be reached: SQLSTATE
    /// 08001 and the hint of [`Error::hint`].
    pub async fn connect(
        &self,
        config: &Config,
    ) -> Result<(tokio_postgres::Client, PostgresConnection), tokio_postgres::Error> {
        match self.dial().await {
            Ok((stream, password)) => {
                let mut config = config.clone();
                config.user(self.user()).password(password.expose());
                let connected = config.connect_raw(stream, NoTls).await;
                if connected.as_ref().is_err_and(is_refusal) {
                    self.passwords().forget().await;
                }
                connected
            }
            Err(error) => Err(in_postgres_form(&error).await),
        }
    }

    async fn dial(&self) -> Result<(TlsStream<TcpStream>, crate::Token)> {
        let password = self.passwords().get().await?;
        Ok((Dialer::new(self.target())?.dial().await?, password))
    }
}

/// The token is not, or no longer, good: the next login brings another.
fn is_refusal(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("28"))
}

/// `tokio_postgres` makes its errors itself, so a server is played that has only this one to tell.
async fn in_postgres_form(error: &Error) -> tokio_postgres::Error {
    const ROOM: usize = 64 * 1024;
    let (near, mut far) = tokio::io::duplex(ROOM);
    // It fits, and the other end is held below.
    let _ = far.write_all(&startup::fatal(error)).await;
    let mut config = Config::new();
    config.user("nobody");
    let connected = config.connect_raw(near, NoTls).await;
    drop(far);
    connected.err().expect("a session whose first message is FATAL does not come about")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_error_of_ours_reads_like_one_of_postgresql() {
        let error = Error::Stopped { name: String::from("x") };
        let told = in_postgres_form(&error).await;
        let database = told.as_db_error().unwrap();
        assert_eq!(database.message(), "instance `x` is stopped");
        assert_eq!(database.code().code(), "08001");
        assert!(database.hint().unwrap().contains("lakeport instance start x"));
    }
}
