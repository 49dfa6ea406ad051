//! PostgreSQL know-how that several parts share: quoting, SCRAM verifiers, our own connections, and
//! reading errors.
//!
//! Owns: how Lakeport itself talks to a server. Never: what it says (that is each caller's SQL), and no
//! client bytes.

mod connect;
mod error;
mod ident;
mod scram;

pub use connect::{Session, connect, pinned};
pub use error::{describe, sqlstate};
pub use ident::{IdentError, QualifiedName, QuotedIdent, quote_literal};
pub use scram::{scram_matches, scram_verifier};
