//! How other servers are asked for keys and tokens: bounded in time and size, no redirects, and nothing of
//! the environment's proxies for this machine itself.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use lakeport_identity::outside::{Answer, Web, WebError};
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, redirect};
use url::Url;

type Result<T> = std::result::Result<T, WebError>;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Far above any key set or token answer.
const MAX_BYTES: usize = 512 * 1024;

/// Clients are made when they are first needed: a machine that asks nobody needs no certificates.
#[derive(Default)]
pub(crate) struct Outside {
    local: OnceLock<Client>,
    remote: OnceLock<Client>,
}

impl Outside {
    /// Plain HTTP is for this machine only; whoever names a URL has checked that.
    fn request(&self, method: Method, url: &Url) -> Result<RequestBuilder> {
        let client = if url.scheme() == "http" {
            made(&self.local, |builder| builder.no_proxy().tls_certs_only([]))?
        } else {
            made(&self.remote, |builder| builder)?
        };
        Ok(client.request(method, url.clone()))
    }

    async fn send(request: RequestBuilder) -> Result<Answer> {
        let mut response = request.send().await.map_err(told)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > MAX_BYTES {
                return Err(WebError(format!("the answer is larger than {MAX_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }
}

#[async_trait]
impl Web for Outside {
    async fn get(&self, url: &Url, bearer: Option<&str>) -> Result<Answer> {
        let mut request = self.request(Method::GET, url)?.header("accept", "application/json");
        if let Some(token) = bearer {
            request = request.bearer_auth(token);
        }
        Self::send(request).await
    }

    async fn post(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<Answer> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self
            .request(Method::POST, url)?
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body);
        if let Some((name, password)) = basic {
            request = request.basic_auth(name, Some(password));
        }
        Self::send(request).await
    }
}

fn made(slot: &OnceLock<Client>, how: fn(ClientBuilder) -> ClientBuilder) -> Result<&Client> {
    if let Some(client) = slot.get() {
        return Ok(client);
    }
    let builder = Client::builder()
        .user_agent(concat!("lakeport/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(TIMEOUT);
    let client = how(builder).build().map_err(told)?;
    Ok(slot.get_or_init(|| client))
}

/// With its causes, which reqwest leaves to the caller.
fn told(error: reqwest::Error) -> WebError {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    WebError(text)
}
