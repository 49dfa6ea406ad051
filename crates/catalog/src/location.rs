//! Storage locations: URLs of the stores that can be read.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

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
    #[error("storage_location \"{0}\" names an address: stores are known by their names")]
    Address(String),
    #[error(
        "storage_location \"{0}\" is outside the places that this server may read: ask its operator to \
         add it to allowed_locations"
    )]
    NotAllowed(String),
    #[error(
        "storage_location \"{0}\" lies in no object store that this server knows: ask its operator to add \
         an [[object_store]] with this prefix"
    )]
    NoStore(String),
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
        } else if text.starts_with("file:") {
            // A parser would take a backslash, which a folder's name may hold, for a slash.
            Url::parse(&text.replace('\\', "%5C")).ok()
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

    #[must_use]
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// Where it is on this machine, if it is.
    #[must_use]
    pub fn file_path(&self) -> Option<PathBuf> {
        if self.0.scheme() == "file" { self.0.to_file_path().ok() } else { None }
    }

    /// Whether its scheme alone says where requests go, or its host is Azure's.
    #[must_use]
    pub fn is_public_cloud(&self) -> bool {
        match family(self.scheme()) {
            "s3" | "gs" => true,
            "abfss" => self.0.host_str().is_some_and(|host| host.ends_with(".core.windows.net")),
            _ => false,
        }
    }

    /// Whether it is this prefix or lies below it, part by part.
    #[must_use]
    pub fn is_within(&self, prefix: &Self) -> bool {
        let (inner, outer) = (self.0.path(), prefix.0.path().trim_end_matches('/'));
        family(self.scheme()) == family(prefix.scheme())
            && self.0.authority() == prefix.0.authority()
            && inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Two spellings of one store.
fn family(scheme: &str) -> &str {
    match scheme {
        "s3a" => "s3",
        "abfs" => "abfss",
        other => other,
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
    // An address could be anything in reach of this machine, such as its cloud's metadata service.
    let address = url.host_str().filter(|host| {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok() || host.parse::<u64>().is_ok()
    });
    if let Some(address) = address {
        return Err(LocationError::Address(address.to_owned()));
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
    fn names_are_kept_as_they_are() {
        for folder in ["/data/loc%20pct", "/data/a\\b", "/data/a b", "/data/100%"] {
            let location = Location::parse(folder).unwrap();
            assert_eq!(location.file_path().unwrap(), PathBuf::from(folder), "{location}");
            assert_eq!(Location::parse(location.as_str()).unwrap(), location);
        }
        let url = Location::parse("file:///data/a\\b").unwrap();
        assert_eq!(url.file_path().unwrap(), PathBuf::from("/data/a\\b"));
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
            "abfss://c@169.254.169.254/t",
            "s3://169.254.169.254/latest",
            "gs://[fd00:ec2::254]/t",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
    }
}
