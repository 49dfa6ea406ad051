//! The client side of the Databricks database API: configuration profile, REST calls, and the
//! PostgreSQL wire as far as handing over a token goes.
//!
//! Owns: everything that a command, a tool or a test needs to talk to a server. Never: anything that
//! only a Lakeport server could answer; a Databricks workspace is served as well.

mod answer;
mod document;
mod error;
mod http;
mod ini;
mod profile;
mod rest;
mod tls;
mod token;
mod unverified;
mod wire;

pub use document::Document;
pub use error::Error;
pub use http::Client;
pub use profile::{Overrides, Profile, ProfileError};
pub use rest::Paging;
pub use token::Token;
pub use wire::{Forwarder, Target};

pub type Result<T, E = Error> = std::result::Result<T, E>;
