//! From an HTTP answer to JSON or to an error, in the order that the official SDKs read a body.
//!
//! Owns: the forms of an error body. Never: retries.

use lakeport_api::ErrorBody;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Longer texts are some proxy's page rather than a message.
const LONGEST_TEXT: usize = 300;

pub(crate) async fn read(operation: &str, response: Response) -> Result<Value> {
    let status = response.status();
    let header_id = response
        .headers()
        .get("x-request-id")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let host = response.url().origin().ascii_serialization();
    let body = response.bytes().await.map_err(|source| Error::Transport {
        operation: operation.to_owned(),
        host: host.clone(),
        reason: String::from("the answer broke off"),
        certificate: false,
        source,
    })?;
    if status.is_success() {
        return success(operation, &body);
    }
    // Every server has pages that it does not have; only the API says which object is not there.
    if status == StatusCode::NOT_FOUND && serde_json::from_slice::<Map<_, _>>(&body).is_err() {
        let status = status.as_u16();
        return Err(Error::NotTheApi { operation: operation.to_owned(), host, status });
    }
    Err(failure(operation, status, &body, header_id))
}

fn success(operation: &str, body: &[u8]) -> Result<Value> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(body)
        .map_err(|source| Error::Decode { operation: operation.to_owned(), source })
}

fn failure(operation: &str, status: StatusCode, body: &[u8], header_id: Option<String>) -> Error {
    let parsed = match serde_json::from_slice::<Value>(body) {
        Ok(json @ Value::Object(_)) => from_json(&json),
        _ => ErrorBody { message: from_text(body), ..ErrorBody::default() },
    };
    let message = match parsed.message {
        message if message.is_empty() => reason(status),
        message => message,
    };
    Error::Api {
        operation: operation.to_owned(),
        status: status.as_u16(),
        error_code: parsed.error_code,
        message,
        request_id: request_id(&parsed.details).or(header_id),
    }
}

/// `error` (OAuth) and `detail` (SCIM) win over `message`. A field of a wrong type is as good as absent.
fn from_json(json: &Value) -> ErrorBody {
    let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
    ErrorBody {
        error_code: text("error_code").unwrap_or_default(),
        message: text("detail")
            .or_else(|| Some(describe(text("error")?, text("error_description"))))
            .or_else(|| text("message"))
            .unwrap_or_default(),
        details: json
            .get("details")
            .and_then(|details| Vec::deserialize(details).ok())
            .unwrap_or_default(),
    }
}

/// OAuth's pair of a code and a sentence.
fn describe(error: String, description: Option<String>) -> String {
    description.map_or(error.clone(), |description| format!("{error}: {description}"))
}

fn from_text(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = match text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>")) {
        Some((title, _)) => title,
        None => text.as_ref(),
    };
    text.trim().chars().filter(|c| !c.is_control()).take(LONGEST_TEXT).collect()
}

fn reason(status: StatusCode) -> String {
    format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default())
}

fn request_id(details: &[Value]) -> Option<String> {
    details
        .iter()
        .find(|detail| detail["@type"].as_str().is_some_and(|kind| kind.ends_with(".RequestInfo")))
        .and_then(|detail| detail["request_id"].as_str())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> String {
        match failure("get x", StatusCode::BAD_GATEWAY, body.as_bytes(), None) {
            Error::Api { message, .. } => message,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn every_form_of_an_error_body_has_a_message() {
        assert_eq!(message(r#"{"error_code": "X", "message": "no"}"#), "no");
        assert_eq!(message(r#"{"message": "m", "error": "e"}"#), "e");
        assert_eq!(message(r#"{"error": "e", "error_description": "d"}"#), "e: d");
        assert_eq!(message(r#"{"schemas": [], "detail": "d", "status": "404"}"#), "d");
        assert_eq!(message("<html><title>502 Bad</title></html>"), "502 Bad");
        assert_eq!(message("plain\u{1b} words\n"), "plain words");
        assert_eq!(message(""), "HTTP 502 Bad Gateway");
        assert_eq!(message(r#"{"message": 7, "details": {}}"#), "HTTP 502 Bad Gateway");
    }
}
