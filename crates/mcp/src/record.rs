//! The record of calls: who called what and how it ended; never arguments or rows, which may hold data.
//!
//! Owns: what a record says. Whoever embeds the tools keeps it.

use serde::Serialize;

/// A call that has ended.
#[derive(Debug, Serialize)]
pub struct Called<'a> {
    pub subject: &'a str,
    pub tool: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<&'a str>,
    /// `done`, `asked` for a question to the user, else the code of the error.
    pub outcome: &'a str,
    pub duration_ms: u64,
}

/// Keeps what calls leave behind.
pub trait Record: Send + Sync {
    fn called(&self, call: &Called<'_>);
}

/// A line in the log of the program.
pub(crate) struct Log;

impl Record for Log {
    fn called(&self, call: &Called<'_>) {
        let Called { subject, tool, action, outcome, duration_ms } = *call;
        tracing::info!(target: "audit", subject, tool, action, outcome, duration_ms, "mcp call");
    }
}
