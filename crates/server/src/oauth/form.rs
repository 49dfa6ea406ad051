//! Parameters of queries and forms. One that comes twice is an error: two readers could disagree.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use lakeport_identity::oauth::{Code, Error};
use url::form_urlencoded;

/// Above what any of our forms has: tokens are the longest that they carry.
const MAX_BYTES: usize = 128 * 1024;

/// A form that was posted, or what is wrong with it, which each endpoint tells in its own way.
pub(super) struct Posted(pub(super) Result<Form, Error>);

impl<S: Send + Sync> FromRequest<S> for Posted {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        let (parts, body) = request.into_parts();
        let form = match to_bytes(body, MAX_BYTES).await {
            Ok(body) => Form::of_body(&parts.headers, &body),
            Err(_) => {
                Err(invalid(format!("The body is larger than {MAX_BYTES} bytes, or was cut off.")))
            }
        };
        Ok(Self(form))
    }
}

/// Not `Debug`: a value may be a secret.
pub(super) struct Form(BTreeMap<String, String>);

impl Form {
    pub(super) fn parse(text: &[u8]) -> Result<Self, Error> {
        let mut values = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text) {
            // The parser puts U+FFFD where it found no UTF-8; PostgreSQL's texts hold no NUL.
            if [&name, &value].iter().any(|text| text.contains(['\0', '\u{fffd}'])) {
                return Err(invalid("A parameter is not UTF-8, or has a NUL in it."));
            }
            if values.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(invalid(format!("{name}: it was sent twice")));
            }
        }
        Ok(Self(values))
    }

    fn of_body(headers: &HeaderMap, body: &[u8]) -> Result<Self, Error> {
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
        for bad in [&b"a=1&a=2"[..], b"a=%00", b"a=%ff", b"%ff=1", b"a=\xff"] {
            assert!(Form::parse(bad).is_err(), "{bad:?}");
        }
    }
}
