//! The error body of every REST answer that is not a success.

use serde::{Deserialize, Serialize};

/// `error_code` values that the SDKs map to exception classes, each with the HTTP status it goes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    InvalidParameterValue,
    InvalidState,
    MalformedRequest,
    Unauthenticated,
    PermissionDenied,
    ResourceDoesNotExist,
    EndpointNotFound,
    ResourceAlreadyExists,
    ResourceConflict,
    NotImplemented,
    InternalError,
    TemporarilyUnavailable,
}

impl ErrorCode {
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidParameterValue | Self::InvalidState | Self::MalformedRequest => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::ResourceDoesNotExist | Self::EndpointNotFound => 404,
            Self::ResourceAlreadyExists | Self::ResourceConflict => 409,
            Self::NotImplemented => 501,
            Self::InternalError => 500,
            Self::TemporarilyUnavailable => 503,
        }
    }
}

/// The body: `error_code` and `message` for programs and people, `details` with the request's id.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A string, because a service may send codes that this crate does not know.
    #[serde(default)]
    pub error_code: String,
    #[serde(default)]
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<serde_json::Value>,
}

impl ErrorBody {
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>, request_id: &str) -> Self {
        let error_code = match serde_json::to_value(code) {
            Ok(serde_json::Value::String(code)) => code,
            _ => String::from("INTERNAL_ERROR"),
        };
        let request_info = serde_json::json!({
            "@type": "type.googleapis.com/google.rpc.RequestInfo",
            "request_id": request_id,
            "serving_data": "",
        });
        Self { error_code, message: message.into(), details: vec![request_info] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_carries_code_message_and_request_id() {
        let body = ErrorBody::new(ErrorCode::ResourceDoesNotExist, "no", "r-1");
        let json = serde_json::to_value(body).unwrap();
        assert_eq!(json["error_code"], "RESOURCE_DOES_NOT_EXIST");
        assert_eq!(json["details"][0]["request_id"], "r-1");
    }
}
