//! SQL on behalf of an agent: one session a call, as the caller's own role, fenced by the server.
//!
//! Owns: what a session may do and how much of an answer is kept. The walls, from the outside in: the
//! caller's own rights; a READ ONLY transaction that is rolled back; PostgreSQL's own timeouts; one
//! statement, by the extended protocol; and, last and least, a look at the statement's words. Never: a
//! token in sight of the agent.

mod cursor;
mod error;
mod json;
mod rows;
mod scanner;
mod session;
mod statement;
mod wire;

pub(crate) use cursor::{CURSOR_LIFETIME, Cursors};
pub(crate) use rows::{Cell, Column, Page};
pub(crate) use session::{Executed, Session, Target};
pub(crate) use statement::{Effect, Statement};
