//! Query strings whose errors name the parameter.

use axum::extract::FromRequestParts;
use axum::extract::Query as AxumQuery;
use axum::http::request::Parts;
use lakeport_api::ErrorCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;

pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match AxumQuery::<T>::from_request_parts(parts, state).await {
            Ok(AxumQuery(query)) => Ok(Self(query)),
            Err(error) => Err(ApiError::new(ErrorCode::InvalidParameterValue, error.body_text())),
        }
    }
}

/// Paging of the database API.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Paging {
    pub(crate) page_size: Option<i64>,
    pub(crate) page_token: Option<String>,
}

/// Paging of Unity Catalog and pipelines. 0 asks for the server's default.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MaxResults {
    pub(crate) max_results: Option<i64>,
    pub(crate) page_token: Option<String>,
}
