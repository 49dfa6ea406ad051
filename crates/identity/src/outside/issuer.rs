//! One trusted issuer: its discovery document and its keys, fetched when they are needed and kept.
//!
//! Whatever strangers send, the issuer is asked once in [`ASK_AT_MOST_EVERY`]; while it does not answer,
//! what is known serves on for [`GOOD_FOR`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use url::Url;

use super::keys::Keys;
use super::web::{Web, WebError, fetchable};

const FRESH_FOR: Duration = Duration::from_secs(10 * 60);
/// A key that the issuer has withdrawn is not trusted for longer.
const GOOD_FOR: Duration = Duration::from_secs(60 * 60);
const ASK_AT_MOST_EVERY: Duration = Duration::from_secs(5);

/// An issuer that the operator has named.
pub struct Issuer {
    /// As its tokens write it.
    name: String,
    jwks_uri: Option<Url>,
    web: Arc<dyn Web>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    asked: Option<Instant>,
    known: Option<(Instant, Arc<Document>)>,
}

/// What was fetched.
pub(super) struct Document {
    pub(super) endpoints: Endpoints,
    pub(super) keys: Keys,
}

/// Where people are sent to log in, and codes are exchanged.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Endpoints {
    pub(super) authorization_endpoint: Option<String>,
    pub(super) token_endpoint: Option<String>,
    pub(super) userinfo_endpoint: Option<String>,
    pub(super) token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Endpoints {
    /// HTTP Basic is what an issuer takes that says nothing (OpenID Connect Discovery 1.0, 3).
    pub(super) fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    #[serde(flatten)]
    endpoints: Endpoints,
}

impl Issuer {
    /// With `jwks_uri`, the keys are there and nothing else is asked for.
    #[must_use]
    pub fn new(name: String, jwks_uri: Option<Url>, web: Arc<dyn Web>) -> Self {
        Self { name, jwks_uri, web, seen: Mutex::default() }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn web(&self) -> &dyn Web {
        &*self.web
    }

    pub(super) async fn endpoints(&self) -> Result<Endpoints, WebError> {
        Ok(self.document(None).await?.endpoints.clone())
    }

    /// What is known, fetched anew if it is old or lacks the key. Those who come at the same time wait for
    /// one fetch.
    pub(super) async fn document(&self, key: Option<&str>) -> Result<Arc<Document>, WebError> {
        let mut seen = self.seen.lock().await;
        if let Some((at, document)) = &seen.known
            && at.elapsed() < FRESH_FOR
            && document.keys.knows(key)
        {
            return Ok(Arc::clone(document));
        }
        if seen.asked.is_none_or(|at| at.elapsed() >= ASK_AT_MOST_EVERY) {
            seen.asked = Some(Instant::now());
            match self.fetch().await {
                Ok(document) => seen.known = Some((Instant::now(), Arc::new(document))),
                Err(error) => {
                    tracing::warn!(issuer = self.name, %error, "an issuer could not be asked");
                }
            }
        }
        match &seen.known {
            Some((at, document)) if at.elapsed() < GOOD_FOR => Ok(Arc::clone(document)),
            _ => Err(WebError(format!("the issuer {} could not be asked for its keys", self.name))),
        }
    }

    async fn fetch(&self) -> Result<Document, WebError> {
        if let Some(jwks_uri) = &self.jwks_uri {
            let keys = self.keys(jwks_uri).await?;
            return Ok(Document { endpoints: Endpoints::default(), keys });
        }
        let url = format!("{}/.well-known/openid-configuration", self.name.trim_end_matches('/'));
        let found: Discovery = parse(&self.get(&checked(&url)?).await?, &url)?;
        if found.issuer != self.name {
            return Err(WebError(format!("{url} is of another issuer: \"{}\"", found.issuer)));
        }
        let keys = self.keys(&checked(&found.jwks_uri)?).await?;
        Ok(Document { endpoints: found.endpoints, keys })
    }

    async fn keys(&self, url: &Url) -> Result<Keys, WebError> {
        Keys::parse(&self.get(url).await?).map_err(|problem| WebError(format!("{url}: {problem}")))
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, WebError> {
        let answer = self.web.get(url, None).await?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(WebError(format!("{url} answered {status}"))),
        }
    }
}

fn parse<T: DeserializeOwned>(json: &[u8], url: &str) -> Result<T, WebError> {
    serde_json::from_slice(json).map_err(|error| WebError(format!("{url}: {error}")))
}

fn checked(url: &str) -> Result<Url, WebError> {
    fetchable(url).map_err(|problem| WebError(format!("{url}: {problem}")))
}
