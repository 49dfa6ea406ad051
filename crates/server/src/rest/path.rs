//! Path segments whose errors have the API's form.

use axum::extract::FromRequestParts;
use axum::extract::Path as AxumPath;
use axum::http::request::Parts;
use lakeport_api::ErrorCode;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// What is no UTF-8 once it is decoded names nothing.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(segments)) => Ok(Self(segments)),
            Err(error) => Err(ApiError::new(
                ErrorCode::InvalidParameterValue,
                format!("the path cannot be read: {}", error.body_text()),
            )),
        }
    }
}
