//! Pools whose every new connection logs in with a live token, so that they outlive each token's hour.
//!
//! Owns: the password of new connections. Never: sizes and timeouts; those are the pool's own settings.

#[cfg(feature = "deadpool")]
pub mod deadpool;
#[cfg(feature = "sqlx")]
pub mod sqlx;
