//! The client side of the Databricks database API: configuration profile, REST calls, and the
//! PostgreSQL wire as far as handing over a token goes.
//!
//! Owns: everything that a command, a tool or a test needs to talk to a server. Never: anything that
//! only a Lakeport server could answer; a Databricks workspace is served as well.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use lakeport_client::{Client, Overrides, Profile};
//! use serde_json::json;
//!
//! # async fn run() -> lakeport_client::Result<()> {
//! // DATABRICKS_HOST and DATABRICKS_TOKEN, or a profile of ~/.databrickscfg, or a login by browser.
//! let client = Client::new(Profile::load(&Overrides::default())?)?;
//! client.create_database_instance(&json!({ "name": "shop", "capacity": "CU_1" })).await?;
//! client.wait_available("shop", Duration::from_secs(600), |_| {}).await?;
//!
//! // Where it is, as whom to log in, and a password that is always a live token.
//! let endpoint = client.endpoint("shop", 5432).await?;
//! println!("{} as {}", endpoint.target().host, endpoint.user());
//! let password = endpoint.passwords().get().await?;
//! # drop(password);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! None by default.
//!
//! | | |
//! |---|---|
//! | `tokio-postgres` | `Endpoint::connect`: a session of `tokio-postgres` |
//! | `deadpool` | `pool::deadpool`: a pool of those |
//! | `sqlx` | `pool::sqlx`: a pool of sqlx |

mod answer;
mod auth;
mod document;
mod endpoint;
mod error;
mod http;
mod live_token;
#[cfg(any(feature = "deadpool", feature = "sqlx"))]
pub mod pool;
#[cfg(feature = "tokio-postgres")]
mod postgres;
mod profile;
mod rest;
pub mod retry;
mod tls;
mod token;
mod unverified;
mod wire;

pub use auth::{BrowserLogin, Credentials, Login, LoginCache};
pub use document::Document;
pub use endpoint::Endpoint;
pub use error::Error;
pub use http::Client;
pub use live_token::{LiveToken, Minted};
#[cfg(feature = "tokio-postgres")]
pub use postgres::PostgresConnection;
pub use profile::{ConfigFile, Overrides, Profile, ProfileEntry, ProfileError};
pub use rest::Paging;
pub use token::Token;
pub use wire::{Forwarder, Target};

pub type Result<T, E = Error> = std::result::Result<T, E>;
