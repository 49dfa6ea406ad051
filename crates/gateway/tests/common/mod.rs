//! The test kit: a real PostgreSQL server, a gateway on a free loopback port, and clients that
//! speak the wire byte by byte.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod gateway;
pub(crate) mod postgres;
pub(crate) mod wire;
