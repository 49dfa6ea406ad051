//! One REST call: address, bearer token, retries, and the way from an answer to a document or an error.
//!
//! Owns: transport. Never: which calls there are. A call may reach the server twice, creates included,
//! as with every official client: the server answers a create again if the first answer was lost.

use std::path::Path;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Method, Response, StatusCode, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use url::{Host, Url};

use crate::auth::{self, Bearer, LoginCache};
use crate::live_token::Minted;
use crate::{Credentials, Document, Error, Profile, Result, Token, answer, tls};

/// For how long a busy server (429, 503) is asked again.
const BUSY_BUDGET: Duration = Duration::from_secs(60);
/// For how long a server that does not answer is tried again: a restart is bridged, a wrong address is
/// told soon.
const UNREACHABLE_BUDGET: Duration = Duration::from_secs(3);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one server with one identity. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    bearer: Bearer,
    profile: Profile,
}

/// A call before it is sent.
pub(crate) struct Call<'a> {
    /// For messages: the verb and the object.
    pub(crate) operation: String,
    pub(crate) method: Method,
    /// Path segments, not encoded.
    pub(crate) path: Vec<&'a str>,
    pub(crate) query: Vec<(&'static str, String)>,
    pub(crate) body: Option<Value>,
}

impl Client {
    /// # Errors
    /// If the CA file cannot be used.
    pub fn new(profile: Profile) -> Result<Self> {
        let http = build(&profile.host, profile.ca_file.as_deref())?;
        let bearer = Bearer::new(&http, &profile.host, &profile.credentials);
        Ok(Self { http, bearer, profile })
    }

    /// The same server, with another identity.
    #[must_use]
    pub fn with_token(&self, token: Token) -> Self {
        let credentials = Credentials::Token(token.clone());
        let profile = Profile { credentials, ..self.profile.clone() };
        Self { http: self.http.clone(), bearer: Bearer::Fixed(token), profile }
    }

    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The token that calls are made with. One that is given as it is has no known end.
    ///
    /// # Errors
    /// If it has to be renewed and cannot be.
    pub async fn access_token(&self) -> Result<Minted> {
        self.bearer.minted().await
    }

    /// Forgets a login by browser, and ends it at the server as far as that can be reached. False, if
    /// nobody was logged in.
    ///
    /// # Errors
    /// If the cache cannot be written.
    pub async fn log_out(&self, cache: &LoginCache, keys: &[String]) -> Result<bool> {
        cache.forget(&self.http, &self.profile.host, keys).await
    }

    /// Sends, and reads the answer as a document.
    pub(crate) async fn fetch<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Document<T>> {
        let json = self.send(&call).await?;
        Document::parse(json).map_err(|source| Error::Decode { operation: call.operation, source })
    }

    /// Sends, and reads the answer as JSON; an empty body is an empty object.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Value> {
        self.send_until_answered(call).await.map_err(|error| self.as_ended_login(error))
    }

    /// Whoever has logged in by browser can do so again, and has no token to look after.
    fn as_ended_login(&self, error: Error) -> Error {
        match (error, &self.profile.credentials) {
            (Error::Api { status: 401, message, .. }, Credentials::Login { .. }) => {
                Error::Login { host: self.profile.host.to_string(), reason: message }
            }
            (other, _) => other,
        }
    }

    async fn send_until_answered(&self, call: &Call<'_>) -> Result<Value> {
        let url = self.url(call)?;
        let started = Instant::now();
        let mut delay = FIRST_DELAY;
        loop {
            let (wait, budget, failure) = match self
                .attempt(call, url.clone(), &self.bearer.token().await?)
                .await
            {
                Ok(response) if is_busy(response.status()) => {
                    let wait = retry_after(&response).unwrap_or(delay);
                    (wait, BUSY_BUDGET, answer::read(&call.operation, response).await)
                }
                Ok(response) => return answer::read(&call.operation, response).await,
                Err(source) => {
                    let retry = source.is_connect() || source.is_request() || source.is_timeout();
                    let error = self.unreachable(call, source);
                    let certificate = matches!(error, Error::Transport { certificate: true, .. });
                    if !retry || certificate {
                        return Err(error);
                    }
                    (delay, UNREACHABLE_BUDGET, Err(error))
                }
            };
            if started.elapsed() + wait > budget {
                return failure;
            }
            tracing::info!(operation = call.operation, ?wait, "trying again");
            sleep(wait).await;
            delay = (delay * 2).min(LONGEST_DELAY);
        }
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        url: Url,
        bearer: &Token,
    ) -> reqwest::Result<Response> {
        tracing::debug!(method = %call.method, %url, "calling");
        let mut request = self
            .http
            .request(call.method.clone(), url)
            .bearer_auth(bearer.expose())
            .header("Accept", "application/json")
            .query(&call.query);
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        request.send().await
    }

    /// An access token for a machine with a secret, and for how long it is good.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn machine_token(&self, id: &str, secret: &Token) -> Result<(Token, Duration)> {
        let minted = auth::machine(&self.http, &self.profile.host, id, secret).await?;
        Ok((minted.token, minted.lives))
    }

    /// Segments are percent-encoded one by one. An empty or dotted one would change which object the
    /// address means, so it never leaves.
    fn url(&self, call: &Call<'_>) -> Result<Url> {
        let name_error =
            |name: &str| Error::Name { operation: call.operation.clone(), name: name.to_owned() };
        if let Some(bad) = call.path.iter().find(|part| matches!(**part, "" | "." | "..")) {
            return Err(name_error(bad));
        }
        let mut url = self.profile.host.clone();
        url.path_segments_mut()
            .map_err(|()| name_error(self.profile.host.as_str()))?
            .pop_if_empty()
            .extend(&call.path);
        Ok(url)
    }

    fn unreachable(&self, call: &Call<'_>, source: reqwest::Error) -> Error {
        Error::transport(call.operation.clone(), self.profile.host.to_string(), source)
    }
}

/// The HTTP client for one host.
pub(crate) fn build(host: &Url, ca_file: Option<&Path>) -> Result<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("lakeport/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .timeout(CALL_TIMEOUT);
    if is_loopback(host) {
        builder = builder.no_proxy();
    }
    builder = if host.scheme() == "http" {
        // The system's certificates are neither needed nor certain to exist.
        builder.tls_certs_only([])
    } else {
        builder.tls_certs_merge(extra_roots(host, ca_file)?)
    };
    builder.build().map_err(|source| Error::Setup { host: host.to_string(), source })
}

/// Whether the server is on this machine, so that no proxy belongs between.
fn is_loopback(host: &Url) -> bool {
    match host.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn extra_roots(host: &Url, ca_file: Option<&Path>) -> Result<Vec<reqwest::Certificate>> {
    let Some(path) = ca_file else { return Ok(Vec::new()) };
    let to_setup_error = |source| Error::Setup { host: host.to_string(), source };
    tls::certificates(path)?
        .iter()
        .map(|der| reqwest::Certificate::from_der(der).map_err(to_setup_error))
        .collect()
}

/// The body of a call, from a typed value or from JSON with the same fields.
pub(crate) fn body(operation: &str, value: &impl Serialize) -> Result<Option<Value>> {
    serde_json::to_value(value)
        .map(Some)
        .map_err(|source| Error::Decode { operation: operation.to_owned(), source })
}

fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// Only the form in seconds; a date falls back to our own delay.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Paging;

    /// An HTTP server that gives the scripted answers in order and records the requests.
    async fn scripted(answers: Vec<&'static str>) -> (Client, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&requests);
        tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 16 * 1024];
                let mut filled = 0;
                loop {
                    filled += socket.read(&mut request[filled..]).await.unwrap();
                    let text = String::from_utf8_lossy(&request[..filled]).into_owned();
                    if is_complete(&text) {
                        record.lock().unwrap().push(text);
                        break;
                    }
                }
                socket.write_all(answer.as_bytes()).await.unwrap();
                socket.shutdown().await.unwrap();
            }
        });
        let profile = Profile::with_token(host, Token::new("secret"), None);
        (Client::new(profile).unwrap(), requests)
    }

    fn is_complete(request: &str) -> bool {
        let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        body.len() >= length.map_or(0, |length| length.parse().unwrap())
    }

    macro_rules! answer {
        ($status:literal, $headers:literal, $body:literal) => {
            concat!("HTTP/1.1 ", $status, "\r\nconnection: close\r\n", $headers, "\r\n", $body)
        };
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_again_with_the_same_call() {
        let busy = answer!("429 Too Many Requests", "retry-after: 0\r\n", "");
        let found = answer!("200 OK", "", r#"{"name": "a b/c", "state": "AVAILABLE"}"#);
        let (client, requests) = scripted(vec![busy, found]).await;
        let instance = client.get_database_instance("a b/c").await.unwrap();
        assert_eq!(instance.name, "a b/c");
        let requests = requests.lock().unwrap();
        assert_eq!(requests.len(), 2);
        assert!(requests[0].starts_with("GET /api/2.0/database/instances/a%20b%2Fc HTTP"));
        assert!(requests[0].contains("authorization: Bearer secret\r\n"));
        assert!(requests[0].contains(concat!("user-agent: lakeport/", env!("CARGO_PKG_VERSION"))));
        assert_eq!(requests[0], requests[1]);
    }

    #[tokio::test]
    async fn an_error_keeps_code_message_and_request_id() {
        let missing = answer!(
            "404 Not Found",
            "",
            r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "instance x not found",
                "details": [{"@type": "type.googleapis.com/google.rpc.RequestInfo", "request_id": "r-7"}]}"#
        );
        let (client, _) = scripted(vec![missing]).await;
        let error = client.delete_database_instance("x", false, None).await.unwrap_err();
        assert!(error.is_not_found() && !error.is_denied());
        assert!(error.to_string().contains("instance x not found"), "{error}");
        let Error::Api { error_code, request_id, .. } = error else { panic!("{error}") };
        assert_eq!(
            (error_code.as_str(), request_id.as_deref()),
            ("RESOURCE_DOES_NOT_EXIST", Some("r-7"))
        );
    }

    #[tokio::test]
    async fn a_redirect_is_an_error_and_not_followed() {
        let elsewhere = answer!("302 Found", "location: http://elsewhere.invalid/\r\n", "");
        let (client, requests) = scripted(vec![elsewhere]).await;
        let error = client.current_user().await.unwrap_err();
        assert_eq!(error.status(), Some(302));
        assert!(error.hint().unwrap().contains("configured host only"));
        assert_eq!(requests.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn lists_follow_page_tokens_through_empty_pages() {
        let (client, requests) = scripted(vec![
            answer!(
                "200 OK",
                "",
                r#"{"database_instances": [{"name": "a"}], "next_page_token": "t 2"}"#
            ),
            answer!("200 OK", "", r#"{"next_page_token": "t3"}"#),
            answer!(
                "200 OK",
                "",
                r#"{"database_instances": [{"name": "b"}], "next_page_token": ""}"#
            ),
        ])
        .await;
        let paging = Paging { page_size: Some(1), ..Paging::default() };
        let instances = client.list_database_instances(&paging).await.unwrap();
        assert_eq!(instances.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let requests = requests.lock().unwrap();
        assert!(requests[1].contains("?page_size=1&page_token=t+2 "), "{}", requests[1]);
    }

    #[tokio::test]
    async fn dotted_names_never_leave() {
        let (client, requests) = scripted(vec![]).await;
        for name in ["", ".", ".."] {
            let error = client.get_database_instance(name).await.unwrap_err();
            assert!(matches!(error, Error::Name { .. }), "{error}");
        }
        assert!(requests.lock().unwrap().is_empty());
    }
}
