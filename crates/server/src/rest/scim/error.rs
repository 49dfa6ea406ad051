//! Errors in SCIM's own form, which SDKs read `detail` and `scimType` of.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use lakeport_control::{Error, Kind};
use serde_json::json;

#[derive(Debug)]
pub(crate) struct ScimError {
    status: StatusCode,
    scim_type: Option<&'static str>,
    detail: String,
}

impl ScimError {
    pub(super) fn bad(scim_type: &'static str, detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, scim_type: Some(scim_type), detail: detail.into() }
    }

    pub(super) fn internal(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Error::internal("answering a SCIM request", error).into()
    }
}

impl From<Error> for ScimError {
    fn from(error: Error) -> Self {
        let (status, scim_type) = match error.kind() {
            Kind::InvalidArgument | Kind::NotImplemented => {
                (StatusCode::BAD_REQUEST, Some("invalidValue"))
            }
            Kind::FailedPrecondition => (StatusCode::BAD_REQUEST, Some("mutability")),
            Kind::NotFound => (StatusCode::NOT_FOUND, None),
            Kind::AlreadyExists => (StatusCode::CONFLICT, Some("uniqueness")),
            Kind::Conflict => (StatusCode::CONFLICT, None),
            Kind::PermissionDenied => (StatusCode::FORBIDDEN, None),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, None),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        if matches!(error.kind(), Kind::Internal | Kind::Unavailable) {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(error = error.message(), source, "a SCIM request failed");
        }
        Self { status, scim_type, detail: error.message().to_owned() }
    }
}

impl From<lakeport_store::Error> for ScimError {
    fn from(error: lakeport_store::Error) -> Self {
        Error::from(error).into()
    }
}

impl IntoResponse for ScimError {
    fn into_response(self) -> Response {
        let mut body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"],
            "detail": self.detail,
            "status": self.status.as_u16().to_string(),
        });
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = scim_type.into();
        }
        (self.status, [(CONTENT_TYPE, "application/scim+json")], body.to_string()).into_response()
    }
}
