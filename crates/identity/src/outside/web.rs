//! The way to other servers, and which of them may be asked at all.

use async_trait::async_trait;
use url::{Host, Url};

/// Sends requests to other servers. Redirects are answers like any other; answers are bounded in size and
/// time.
#[async_trait]
pub trait Web: Send + Sync {
    /// Gets, with a bearer token if given.
    async fn get(&self, url: &Url, bearer: Option<&str>) -> Result<Answer, WebError>;

    /// Posts a form, with a user name and a password for HTTP Basic if given.
    async fn post(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        basic: Option<(&str, &str)>,
    ) -> Result<Answer, WebError>;
}

/// Not `Debug`: the body may hold secrets.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Names no secret of the request.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WebError(pub String);

/// A URL that secrets and keys may travel by: HTTPS, or this machine.
pub fn fetchable(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is not a URL")?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("it must have no user, password or fragment");
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err("it must begin with https://, or with http:// and name this machine"),
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_machine_are_asked() {
        for good in [
            "https://idp.example.com/realms/x",
            "http://127.0.0.1:8/",
            "http://localhost:8",
            "http://[::1]:8",
        ] {
            assert!(fetchable(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "idp.example.com",
            "http://idp.example.com",
            "http://localhost.example.com",
            "http://169.254.169.254/latest",
            "https://user:secret@idp.example.com",
            "https://idp.example.com/#x",
            "file:///etc/passwd",
        ] {
            assert!(fetchable(bad).is_err(), "{bad}");
        }
    }
}
