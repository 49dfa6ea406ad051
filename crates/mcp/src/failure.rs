//! How a call fails: a stable code, a message that names the field or the object, and what to do.
//!
//! Owns: the form in which an agent reads it. Never: a secret or a stack of causes.

use lakeport_client::Error;
use rmcp::model::CallToolResult;
use serde_json::{Map, Value};

#[derive(Debug)]
pub(crate) struct Failure {
    code: String,
    message: String,
    hint: Option<String>,
    /// Fields beside the error that callers of the reference tools look at.
    fields: Map<String, Value>,
}

/// Codes of our own; those of the API are passed on as they come.
pub(crate) mod code {
    pub(crate) const INVALID: &str = "INVALID_PARAMETER_VALUE";
    pub(crate) const NOT_FOUND: &str = "RESOURCE_DOES_NOT_EXIST";
    pub(crate) const STATE: &str = "INVALID_STATE";
    pub(crate) const DENIED: &str = "PERMISSION_DENIED";
    pub(crate) const UNSUPPORTED: &str = "NOT_IMPLEMENTED";
    pub(crate) const UNAVAILABLE: &str = "TEMPORARILY_UNAVAILABLE";
    pub(crate) const INTERNAL: &str = "INTERNAL_ERROR";
    pub(crate) const CANCELLED: &str = "CANCELLED";
    /// A confirmation that cannot be used: unknown, used, expired, for another call, or overtaken.
    pub(crate) const CONFIRMATION: &str = "CONFIRMATION_REFUSED";
}

impl Failure {
    pub(crate) fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), hint: None, fields: Map::new() }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(code::INVALID, message)
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub(crate) fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    #[cfg(test)]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn into_result(self) -> CallToolResult {
        let mut body = self.fields;
        body.insert(String::from("error"), Value::from(self.message.as_str()));
        body.insert(String::from("error_code"), Value::from(self.code));
        body.insert(String::from("message"), Value::from(self.message));
        if let Some(hint) = self.hint {
            body.insert(String::from("hint"), Value::from(hint));
        }
        CallToolResult::structured_error(Value::Object(body))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Api { error_code, .. } if !error_code.is_empty() => error_code.as_str(),
            Error::Api { status: 401, .. } | Error::Login { .. } => "UNAUTHENTICATED",
            Error::Api { status: 403, .. } => code::DENIED,
            Error::Api { status: 404, .. } => code::NOT_FOUND,
            Error::Name { .. } => code::INVALID,
            Error::Transport { .. } | Error::Connect { .. } | Error::WaitTimeout { .. } => {
                code::UNAVAILABLE
            }
            Error::Deleting { .. }
            | Error::Stopped { .. }
            | Error::NotAvailable { .. }
            | Error::NoHostName { .. } => code::STATE,
            _ => code::INTERNAL,
        };
        let hint = match &error {
            Error::Stopped { .. } => Some(String::from(
                "start it with manage_lakebase_database: create_or_update with stopped false",
            )),
            error => error.hint(),
        };
        Self { hint, ..Self::new(code, error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_carries_everything_twice() {
        let failure = Failure::invalid("get requires: name").hint("give it").field("name", "x");
        let result = failure.into_result();
        assert_eq!(result.is_error, Some(true));
        let body = result.structured_content.unwrap();
        assert_eq!(body["error"], "get requires: name");
        assert_eq!(body["message"], body["error"]);
        assert_eq!(body["error_code"], "INVALID_PARAMETER_VALUE");
        assert_eq!((body["hint"].as_str(), body["name"].as_str()), (Some("give it"), Some("x")));
    }
}
