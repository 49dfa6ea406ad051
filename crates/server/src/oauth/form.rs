//! Parameters of queries and forms. One that comes twice is an error: two readers could disagree.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use lakeport_identity::oauth::{Code, Error};
use url::form_urlencoded;

/// Not `Debug`: a value may be a secret.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Error> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            if values.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(invalid(format!("{name}: it was sent twice")));
            }
        }
        Ok(Self(values))
    }

    pub(super) fn of_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Error> {
        let kind =
            headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(invalid("The body must be application/x-www-form-urlencoded."));
        }
        Self::parse(body)
    }

    /// An empty parameter counts as absent (RFC 6749, 3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Error> {
        self.get(name).ok_or_else(|| invalid(format!("{name}: it is missing")))
    }
}

pub(super) fn invalid(description: impl Into<String>) -> Error {
    Error::refused(Code::InvalidRequest, description)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_come_once_and_not_empty() {
        let form = Form::parse(b"a=1&b=&c=x%20y+z").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!(form.get("b"), None);
        assert_eq!(form.get("c"), Some("x y z"));
        assert!(form.required("d").is_err());
        assert!(Form::parse(b"a=1&a=2").is_err());
    }
}
