//! The OAuth endpoints of a server: found by discovery, asked for tokens.
//!
//! Owns: that exchange. Never: which grant, and what becomes of the answer.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::{Error, Result, Token, answer};

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Endpoints {
    pub(crate) authorization_endpoint: Url,
    token_endpoint: Url,
    revocation_endpoint: Option<Url>,
}

/// What the token endpoint gave.
pub(crate) struct Grant {
    pub(crate) access_token: Token,
    pub(crate) refresh_token: Option<Token>,
    pub(crate) lives: Duration,
}

impl Endpoints {
    pub(crate) async fn discover(http: &reqwest::Client, host: &Url) -> Result<Self> {
        const OPERATION: &str = "ask how to log in";
        let mut url = host.clone();
        // A host that cannot have a path was refused when the profile was read.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["oidc", ".well-known", "oauth-authorization-server"]);
        }
        let request = http.get(url).header("Accept", "application/json");
        let json = send(OPERATION, host, request).await?;
        decode(OPERATION, json)
    }

    /// `client` are the id and the secret of a confidential client.
    pub(crate) async fn token(
        &self,
        http: &reqwest::Client,
        operation: &str,
        client: Option<(&str, &Token)>,
        form: &[(&str, &str)],
    ) -> Result<Grant> {
        let mut request = post(http, &self.token_endpoint, form);
        if let Some((id, secret)) = client {
            request = request.basic_auth(id, Some(secret.expose()));
        }
        let json = send(operation, &self.token_endpoint, request).await?;
        let raw: RawGrant = decode(operation, json)?;
        Ok(Grant {
            access_token: Token::new(raw.access_token),
            refresh_token: raw.refresh_token.map(Token::new),
            lives: Duration::from_secs(raw.expires_in),
        })
    }

    /// Nothing happens where the server knows no revocation.
    pub(crate) async fn revoke(
        &self,
        http: &reqwest::Client,
        client_id: &str,
        token: &Token,
    ) -> Result<()> {
        let Some(url) = &self.revocation_endpoint else { return Ok(()) };
        let request = post(http, url, &[("token", token.expose()), ("client_id", client_id)]);
        send("revoke the login", url, request).await.map(drop)
    }
}

#[derive(Deserialize)]
struct RawGrant {
    access_token: String,
    refresh_token: Option<String>,
    expires_in: u64,
}

fn post(http: &reqwest::Client, url: &Url, form: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    http.post(url.clone())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("Accept", "application/json")
        .body(body)
}

async fn send(operation: &str, host: &Url, request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await.map_err(|source| {
        Error::transport(operation.to_owned(), host.origin().ascii_serialization(), source)
    })?;
    answer::read(operation, response).await
}

fn decode<T: serde::de::DeserializeOwned>(operation: &str, json: Value) -> Result<T> {
    serde_json::from_value(json)
        .map_err(|source| Error::Decode { operation: operation.to_owned(), source })
}
