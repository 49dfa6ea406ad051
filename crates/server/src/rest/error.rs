//! Errors on the wire: status, `error_code`, message and the request's id.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use lakeport_api::{ErrorBody, ErrorCode};
use lakeport_control::{Error, Kind};

use super::request_id;

#[derive(Debug)]
pub(crate) struct ApiError {
    code: ErrorCode,
    status: StatusCode,
    message: String,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Self { code, status, message: message.into() }
    }

    pub(crate) fn no_endpoint(message: String) -> Self {
        Self::new(ErrorCode::EndpointNotFound, message)
    }

    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let code = match error.kind() {
            // A value that this version cannot serve is wrong for as long as it is sent: 501 is for
            // whole calls.
            Kind::InvalidArgument | Kind::NotImplemented => ErrorCode::InvalidParameterValue,
            Kind::FailedPrecondition => ErrorCode::InvalidState,
            Kind::NotFound => ErrorCode::ResourceDoesNotExist,
            Kind::AlreadyExists => ErrorCode::ResourceAlreadyExists,
            Kind::Conflict => ErrorCode::ResourceConflict,
            Kind::PermissionDenied => ErrorCode::PermissionDenied,
            Kind::Unavailable => ErrorCode::TemporarilyUnavailable,
            Kind::Internal => ErrorCode::InternalError,
        };
        if matches!(error.kind(), Kind::Internal | Kind::Unavailable) {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(
                error = error.message(),
                source,
                request.id = request_id::current(),
                "a request failed"
            );
        }
        Self::new(code, error.message())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody::new(self.code, self.message, &request_id::current());
        // The code again for whoever looks at answers from outside.
        (self.status, Extension(self.code), Json(body)).into_response()
    }
}
