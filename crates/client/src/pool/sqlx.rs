//! A pool of sqlx.
//!
//! ```no_run
//! use lakeport_client::{Client, Overrides, Profile, pool};
//! use sqlx::postgres::PgPoolOptions;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Profile::load(&Overrides::default())?)?;
//! let endpoint = client.endpoint("my-instance", 5432).await?;
//! let options = PgPoolOptions::new().max_connections(10);
//! let pool = pool::sqlx::connect(&endpoint, "databricks_postgres", options).await?;
//!
//! let user: String = sqlx::query_scalar("select current_user").fetch_one(&pool).await?;
//! println!("{user}");
//! # Ok(())
//! # }
//! ```

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};

use crate::{Endpoint, Token};

/// Asks again this soon while the server does not give a new token.
const AGAIN: Duration = Duration::from_secs(10);

/// Opens the pool. A task gives it a new password before the old one ends, until the pool is closed.
///
/// # Errors
/// If no token can be had, or the first connection fails.
pub async fn connect(
    endpoint: &Endpoint,
    database: &str,
    options: PgPoolOptions,
) -> Result<PgPool, sqlx::Error> {
    let (password, renew_in) = password(endpoint).await?;
    let connection = settings(endpoint, database);
    let pool = options.connect_with(connection.clone().password(password.expose())).await?;
    tokio::spawn(keep_alive(endpoint.clone(), connection, pool.clone(), renew_in));
    Ok(pool)
}

/// Everything but the password.
fn settings(endpoint: &Endpoint, database: &str) -> PgConnectOptions {
    let target = endpoint.target();
    let options = PgConnectOptions::new_without_pgpass()
        .host(&target.host)
        .port(target.port)
        .username(endpoint.user())
        .database(database);
    match &target.ca_file {
        Some(path) => options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(path),
        None => options.ssl_mode(PgSslMode::Require),
    }
}

async fn password(endpoint: &Endpoint) -> Result<(Token, Duration), sqlx::Error> {
    endpoint
        .passwords()
        .with_renewal()
        .await
        .map_err(|error| sqlx::Error::Configuration(error.into()))
}

async fn keep_alive(
    endpoint: Endpoint,
    connection: PgConnectOptions,
    pool: PgPool,
    mut renew_in: Duration,
) {
    let closed = pool.close_event();
    tokio::pin!(closed);
    loop {
        tokio::select! {
            () = &mut closed => return,
            () = tokio::time::sleep(renew_in) => {}
        }
        renew_in = match password(&endpoint).await {
            Ok((password, renew_in)) => {
                pool.set_connect_options(connection.clone().password(password.expose()));
                renew_in
            }
            Err(error) => {
                tracing::warn!(%error, "the pool has no new password yet");
                AGAIN
            }
        };
    }
}
