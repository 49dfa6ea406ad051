//! The calls of the API as methods of [`Client`](crate::Client), named as in the official SDKs, one
//! file a resource.
//!
//! Owns: paths, parameters, paging. Never: transport.

mod apps;
mod catalogs;
mod credentials;
mod database_tables;
mod identity;
mod instances;
mod pipelines;
mod roles;
mod sync_pipelines;
mod synced_tables;
mod unity;

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::http::Call;
use crate::{Client, Document, Error, Result};

/// How a list is read: always to its end, or to `limit`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Paging {
    /// Items a request; absent means what the server likes.
    pub page_size: Option<u32>,
    /// Items in all.
    pub limit: Option<usize>,
}

impl<'a> Call<'a> {
    fn new(method: Method, operation: String, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self { operation, method, path: path.into_iter().collect(), query: Vec::new(), body: None }
    }

    fn get(operation: String, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::GET, operation, path)
    }

    fn post(
        operation: String,
        path: impl IntoIterator<Item = &'a str>,
        body: &impl serde::Serialize,
    ) -> Result<Self> {
        let body = crate::http::body(&operation, body)?;
        Ok(Self { body, ..Self::new(Method::POST, operation, path) })
    }

    fn delete(operation: String, path: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(Method::DELETE, operation, path)
    }

    fn query(mut self, key: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (key, value.to_string())));
        self
    }
}

/// Reads pages until the token ends: an empty page with a token is not the end.
async fn list<'a, T: DeserializeOwned>(
    client: &Client,
    items_key: &str,
    page_size_key: &'static str,
    paging: &Paging,
    first: impl Fn() -> Call<'a>,
) -> Result<Vec<Document<T>>> {
    let limit = paging.limit.unwrap_or(usize::MAX);
    let mut items = Vec::new();
    let mut page_token = None::<String>;
    loop {
        let call = first().query(page_size_key, paging.page_size).query("page_token", page_token);
        let mut page = client.send(&call).await?;
        let decode = |source| Error::Decode { operation: call.operation.clone(), source };
        let page_items = page.get_mut(items_key).map(Value::take).unwrap_or_default();
        for item in
            Option::<Vec<Value>>::deserialize(page_items).map_err(decode)?.unwrap_or_default()
        {
            items.push(Document::parse(item).map_err(decode)?);
        }
        page_token = page["next_page_token"].as_str().map(str::to_owned);
        let is_last = page_token.as_deref().is_none_or(str::is_empty);
        if is_last || items.len() >= limit {
            items.truncate(limit);
            return Ok(items);
        }
    }
}
