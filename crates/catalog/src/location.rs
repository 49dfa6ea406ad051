//! Storage locations: URLs of the stores that can be read.

use std::fmt;

use url::Url;

/// Stores that Delta tables may lie in.
const SCHEMES: &[&str] = &["file", "s3", "s3a", "abfss", "abfs", "gs"];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    #[error("storage_location is empty: give the URL of the table's folder")]
    Empty,
    #[error(
        "storage_location \"{0}\" is not absolute: give a full path or a URL such as file:///data/t"
    )]
    NotAbsolute(String),
    #[error("storage_location scheme \"{0}\" is not supported: use file, s3, abfss or gs")]
    Scheme(String),
    #[error("storage_location \"{0}\" may not hold \"..\"")]
    Traversal(String),
    #[error("storage_location may not hold a user name, a password or a query")]
    Credentials,
    #[error("storage_location \"file://{0}/…\" names a host: files are local, use file:///…")]
    Host(String),
}

/// A checked location; displays as its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(Url);

impl Location {
    /// From a URL, or from an absolute path of this machine.
    pub fn parse(text: &str) -> Result<Self, LocationError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(LocationError::Empty);
        }
        // A URL parser would resolve the dots away before anyone saw them.
        if text.split(['/', '\\']).any(|part| part == ".." || part.eq_ignore_ascii_case("%2e%2e")) {
            return Err(LocationError::Traversal(text.to_owned()));
        }
        let url = if text.starts_with('/') {
            Url::from_directory_path(text).ok()
        } else {
            Url::parse(text).ok()
        };
        let url = url.ok_or_else(|| LocationError::NotAbsolute(text.to_owned()))?;
        check(&url)?;
        Ok(Self(url))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

fn check(url: &Url) -> Result<(), LocationError> {
    if !SCHEMES.contains(&url.scheme()) {
        return Err(LocationError::Scheme(url.scheme().to_owned()));
    }
    // In abfss the container stands where other schemes have a user name.
    let container = url.scheme().starts_with("abfs");
    let user = !url.username().is_empty() && !container;
    if user || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(LocationError::Credentials);
    }
    match url.host_str() {
        Some(host) if url.scheme() == "file" && !host.is_empty() => {
            Err(LocationError::Host(host.to_owned()))
        }
        _ => Ok(()),
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_urls() {
        assert_eq!(Location::parse("/data/t").unwrap().as_str(), "file:///data/t/");
        assert_eq!(Location::parse("s3://b/t").unwrap().as_str(), "s3://b/t");
        assert!(Location::parse("abfss://c@a.dfs.example/t").is_ok());
    }

    #[test]
    fn what_is_no_location_is_refused() {
        for bad in [
            "",
            "data/t",
            "http://h/t",
            "file://host/t",
            "s3://u:p@b/t",
            "s3://b/t?x=1",
            "/data/../etc",
            "file:///data/%2e%2e/etc",
            "C:\\data",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }
}
