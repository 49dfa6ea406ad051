//! A person's login: the browser goes to the server and comes back to a port of this machine.
//!
//! Owns: PKCE, the port, the one request on it. Never: opening the browser; that is the caller's.

use std::time::Duration;

use aws_lc_rs::{digest, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use url::Url;

use super::endpoints::Endpoints;
use super::login_cache::Login;
use crate::{Error, Result};

/// The public client that every server of this API knows.
pub(crate) const CLIENT_ID: &str = "databricks-cli";
/// The official tools' port, or one of those after it.
const PORTS: std::ops::Range<u16> = 8020..8040;
const LONGEST_REQUEST: usize = 16 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A login that has been begun: somebody must open `url` now.
#[derive(Debug)]
pub struct BrowserLogin {
    host: Url,
    http: reqwest::Client,
    endpoints: Endpoints,
    listener: TcpListener,
    secrets: Secrets,
    redirect: String,
    url: Url,
}

struct Secrets {
    state: String,
    verifier: String,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl BrowserLogin {
    /// # Errors
    /// If the server cannot be asked, or no port is free.
    pub async fn begin(host: &Url, ca_file: Option<&std::path::Path>) -> Result<Self> {
        let http = crate::http::build(host, ca_file)?;
        let endpoints = Endpoints::discover(&http, host).await?;
        let (listener, port) = listen(host).await?;
        let redirect = format!("http://localhost:{port}");
        let secrets = Secrets { state: random(host)?, verifier: random(host)? };
        let url = authorize_url(&endpoints, &secrets, &redirect);
        Ok(Self { host: host.clone(), http, endpoints, listener, secrets, redirect, url })
    }

    /// The page to open.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Waits until the browser has come back, and takes the login.
    ///
    /// # Errors
    /// If the person or the server has declined.
    pub async fn finish(self) -> Result<Login> {
        let Self { host, http, endpoints, listener, secrets, redirect, .. } = self;
        let code = wait_for_code(&host, listener, &secrets.state).await?;
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", redirect.as_str()),
            ("code_verifier", secrets.verifier.as_str()),
            ("client_id", CLIENT_ID),
        ];
        let grant = endpoints.token(&http, "log in", None, &form).await?;
        Ok(Login::new(grant, None))
    }
}

fn authorize_url(endpoints: &Endpoints, secrets: &Secrets, redirect: &str) -> Url {
    let challenge = digest::digest(&digest::SHA256, secrets.verifier.as_bytes());
    let mut url = endpoints.authorization_endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", CLIENT_ID)
        .append_pair("redirect_uri", redirect)
        .append_pair("scope", "all-apis offline_access")
        .append_pair("state", &secrets.state)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
        .append_pair("code_challenge_method", "S256");
    url
}

async fn listen(host: &Url) -> Result<(TcpListener, u16)> {
    let mut last = None;
    for port in PORTS {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => return Ok((listener, port)),
            Err(error) => last = Some(error),
        }
    }
    let reason = last.map(|error| error.to_string()).unwrap_or_default();
    Err(failed(host, format!("no port from {} on is free: {reason}", PORTS.start)))
}

fn random(host: &Url) -> Result<String> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes)
        .map_err(|_| failed(host, String::from("the system gives no random numbers")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Browsers open connections that they do not use and ask for icons, so each is served beside the others.
async fn wait_for_code(host: &Url, listener: TcpListener, state: &str) -> Result<String> {
    let (sender, mut answers) = mpsc::channel(1);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (socket, _) = accepted.map_err(|error| failed(host, error.to_string()))?;
                let (sender, state) = (sender.clone(), state.to_owned());
                connections.spawn(async move { serve(socket, &state, &sender).await });
            }
            Some(answer) = answers.recv() => {
                // The page that tells the person so is on its way.
                let _ = timeout(REQUEST_TIMEOUT, drain(&mut connections)).await;
                return answer.map_err(|reason| failed(host, reason));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Until the connection that brought the answer has ended.
async fn drain(connections: &mut JoinSet<bool>) {
    while let Some(ended) = connections.join_next().await {
        if ended.unwrap_or(false) {
            return;
        }
    }
}

type Answer = std::result::Result<String, String>;

/// Whether this was the request that the login waits for.
async fn serve(mut socket: TcpStream, state: &str, sender: &mpsc::Sender<Answer>) -> bool {
    let Ok(Some(target)) = timeout(REQUEST_TIMEOUT, request_target(&mut socket)).await else {
        return false;
    };
    let answer = read_answer(&target, state);
    let page = match &answer {
        Some(Ok(_)) => page("200 OK", "You are logged in. This page can be closed."),
        Some(Err(_)) => page("200 OK", "The login was declined. This page can be closed."),
        None => page("404 Not Found", "There is nothing here."),
    };
    let expected = answer.is_some();
    if let Some(answer) = answer {
        // Only the first answer counts; the receiver may have had it already.
        let _ = sender.try_send(answer);
    }
    let _ = socket.write_all(page.as_bytes()).await;
    let _ = socket.shutdown().await;
    expected
}

async fn request_target(socket: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        if request.len() > LONGEST_REQUEST || socket.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    let text = std::str::from_utf8(&request).ok()?;
    let mut words = text.lines().next()?.split(' ');
    (words.next() == Some("GET")).then(|| words.next().map(str::to_owned)).flatten()
}

/// Nothing, if the request is not the answer to this login.
fn read_answer(target: &str, state: &str) -> Option<Answer> {
    let url = Url::parse("http://localhost").and_then(|base| base.join(target)).ok()?;
    let value = |name: &str| {
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    if value("state").as_deref() != Some(state) {
        return None;
    }
    if let Some(error) = value("error") {
        let description = value("error_description");
        return Some(Err(description.map_or(error.clone(), |text| format!("{error}: {text}"))));
    }
    value("code").map(Ok)
}

fn page(status: &str, text: &str) -> String {
    let body = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Lakeport</title>\
         <body><p role=\"status\">{text}</p></body></html>"
    );
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Content-Security-Policy: default-src 'none'\r\nCache-Control: no-store\r\n\
         Referrer-Policy: no-referrer\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn failed(host: &Url, reason: String) -> Error {
    Error::Login { host: host.to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_this_login_counts() {
        assert_eq!(read_answer("/?code=c%2B1&state=s", "s"), Some(Ok(String::from("c+1"))));
        assert_eq!(read_answer("/?code=c&state=other", "s"), None);
        assert_eq!(read_answer("/?code=c", "s"), None);
        assert_eq!(read_answer("/favicon.ico", "s"), None);
        assert_eq!(read_answer("//[", "s"), None);
        let declined = read_answer("/?error=access_denied&error_description=no&state=s", "s");
        assert_eq!(declined, Some(Err(String::from("access_denied: no"))));
    }
}
