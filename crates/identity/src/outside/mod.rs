//! Other issuers of tokens, as far as the operator trusts them: their documents, their keys, and whether a
//! token is theirs.
//!
//! Owns: what is fetched, how often, and how much of it is kept. Never: how it is fetched, which the server
//! brings as [`Web`], or whom a token speaks for.

mod issuer;
mod keys;
mod login;
mod token;
mod web;

pub use issuer::Issuer;
pub use login::{Pending, Person, Provider, ProviderError};
pub(crate) use token::claimed_issuer;
pub use token::{Claims, TokenError};
pub use web::{Answer, Web, WebError, fetchable};
