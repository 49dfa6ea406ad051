//! Request bodies: JSON whose errors name the field, and whose unknown fields are refused.

use axum::body::to_bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use lakeport_api::ErrorCode;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Far above what any request of this API needs.
const MAX_BYTES: usize = 1 << 20;

/// A JSON object as the request's body. An empty body is an empty object.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = to_bytes(request.into_body(), MAX_BYTES).await.map_err(|_| {
            ApiError::new(
                ErrorCode::InvalidParameterValue,
                "The request body is larger than 1 MiB, was cut off, or came too slowly.",
            )
            .with_status(StatusCode::PAYLOAD_TOO_LARGE)
        })?;
        parse(&bytes).map(Self)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    let malformed = |error: serde_json::Error| {
        ApiError::new(
            ErrorCode::MalformedRequest,
            format!("The request body is not valid JSON: {error}"),
        )
    };
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(malformed)?;
    if !value.is_object() {
        let message = "The request body must be a JSON object.";
        return Err(ApiError::new(ErrorCode::MalformedRequest, message));
    }
    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let parsed = serde_ignored::deserialize(tracked, |path| unknown.push(path.to_string()));
    let parsed = parsed.map_err(|error: serde_json::Error| {
        let field = track.path().to_string();
        ApiError::new(ErrorCode::InvalidParameterValue, format!("{field}: {error}"))
    })?;
    if unknown.is_empty() {
        return Ok(parsed);
    }
    Err(ApiError::new(
        ErrorCode::InvalidParameterValue,
        format!("{}: there is no such field; check its spelling", unknown.join(", ")),
    ))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use lakeport_api::{DatabaseInstance, SyncedDatabaseTable};

    use super::*;

    fn message<T: DeserializeOwned>(json: &str) -> String {
        match parse::<T>(json.as_bytes()) {
            Ok(_) => panic!("{json} was accepted"),
            Err(error) => {
                assert_eq!(
                    format!("{error:?}").contains("MalformedRequest"),
                    error.into_response().status() == 400 && !json.contains(':')
                );
                format!("{:?}", parse::<T>(json.as_bytes()).err().unwrap())
            }
        }
    }

    #[test]
    fn the_field_that_is_wrong_is_named() {
        assert!(message::<DatabaseInstance>(r#"{"capacity": 1}"#).contains("capacity: "));
        assert!(message::<DatabaseInstance>(r#"{"node_count": "x"}"#).contains("node_count: "));
        let nested = r#"{"spec": {"primary_key_columns": "id"}}"#;
        assert!(message::<SyncedDatabaseTable>(nested).contains("spec.primary_key_columns: "));
        let unknown = r#"{"spec": {"primary_keys": ["id"]}}"#;
        assert!(message::<SyncedDatabaseTable>(unknown).contains("spec.?.primary_keys"));
    }

    #[test]
    fn null_and_absent_are_the_same() {
        let parsed: DatabaseInstance =
            parse(br#"{"name": "x", "capacity": null}"#).unwrap_or_default();
        assert_eq!((parsed.name.as_str(), parsed.capacity), ("x", None));
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for json in ["[]", "1", "{", "nonsense"] {
            assert!(message::<DatabaseInstance>(json).contains("MalformedRequest"), "{json}");
        }
    }
}
