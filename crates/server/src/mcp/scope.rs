//! The scopes of the tools: which level of access a token allows, and what a call needs.
//!
//! Levels include those before them, so one scope says all that a call needs.

use axum::body::Bytes;
use lakeport_identity::oauth::{ALL_APIS, TOOLS};
use lakeport_mcp::Access;
use serde::Deserialize;
use serde_json::Value;

pub(super) fn of(access: Access) -> String {
    format!("{TOOLS}{access}")
}

/// The level that a token of this scope allows, if any.
pub(crate) fn access(scope: &str) -> Option<Access> {
    let level = |scope: &str| match scope.strip_prefix(TOOLS) {
        Some(level) => level.parse().ok(),
        None => (scope == ALL_APIS).then_some(Access::Write),
    };
    scope.split(' ').filter_map(level).max()
}

#[derive(Deserialize)]
struct Message {
    method: String,
    #[serde(default)]
    params: Params,
}

#[derive(Default, Deserialize)]
struct Params {
    #[serde(default)]
    name: String,
    #[serde(default)]
    arguments: Value,
}

/// What a request needs. Everything but a call only looks; what is no message, the protocol refuses.
pub(super) fn needed(message: &Bytes) -> Access {
    let call = serde_json::from_slice::<Message>(message).ok();
    call.filter(|message| message.method == "tools/call")
        .and_then(|call| lakeport_mcp::needed_access(&call.params.name, &call.params.arguments))
        .unwrap_or(Access::Observe)
}

#[cfg(test)]
mod tests {
    use lakeport_identity::oauth::SCOPES;

    use super::*;

    #[test]
    fn every_level_is_a_scope_that_can_be_asked_for() {
        for level in Access::ALL {
            assert!(SCOPES.contains(&of(level).as_str()), "{level}");
            assert_eq!(access(&of(level)), Some(level));
        }
        assert_eq!(access("offline_access mcp:observe mcp:manage"), Some(Access::Manage));
        assert_eq!(access("mcp:observe all-apis"), Some(Access::Write));
        assert_eq!(access("offline_access"), None);
    }

    #[test]
    fn a_call_says_what_it_needs() {
        let needs = |text: &'static str| needed(&Bytes::from_static(text.as_bytes()));
        assert_eq!(
            needs(r#"{"method": "tools/call", "params": {"name": "lakebase_execute"}}"#),
            Access::Write
        );
        for harmless in [r#"{"method": "ping"}"#, "{", "[]", r#"{"method": "tools/call"}"#] {
            assert_eq!(needs(harmless), Access::Observe, "{harmless}");
        }
    }
}
