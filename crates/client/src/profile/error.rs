//! What can be wrong with a configuration, and what to do about it.
//!
//! Owns: messages and hints. Never: reading.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    #[error("no host is configured: {looked_at}")]
    NoHost { looked_at: String },
    #[error("no token is configured for {host}: {looked_at}")]
    NoToken { host: String, looked_at: String },
    #[error("{origin} has both a token and a client secret")]
    Ambiguous { origin: String },
    #[error("the kind of login `{kind}` of {origin} is not one that lakeport can use")]
    UnknownAuthType { kind: String, origin: String },
    #[error("the configuration file {path} cannot be written: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("the configuration file {path} cannot be read: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "line {line} of the configuration file {path} is neither `[section]` nor `key = value`"
    )]
    Syntax { path: PathBuf, line: usize },
    #[error("the configuration file {path} has no profile `{profile}`; it has: {known}")]
    NoProfile { path: PathBuf, profile: String, known: String },
    #[error("the host `{host}` is not an http or https address")]
    BadHost { host: String },
    #[error("profile `{profile}` is for {profile_host}, but {origin} says {host}")]
    OtherHost { profile: String, profile_host: String, origin: &'static str, host: String },
}

impl ProfileError {
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoHost { .. } => {
                "set DATABRICKS_CONFIG_FILE to the `databrickscfg` in the data directory of `lakeport serve`, \
                 or set DATABRICKS_HOST and DATABRICKS_TOKEN"
            }
            Self::NoToken { .. } => {
                "log in: `lakeport auth login --host …`; or set DATABRICKS_TOKEN, or add `token = …` beside `host = …` \
                 in a profile and name it with --profile"
            }
            Self::Ambiguous { .. } => {
                "remove one of the two, or say which is meant: DATABRICKS_AUTH_TYPE or `auth_type`, \
                 with pat or oauth-m2m"
            }
            Self::UnknownAuthType { .. } => {
                "use pat, oauth-m2m, databricks-cli or external-browser"
            }
            Self::Write { .. } => "set DATABRICKS_CONFIG_FILE to a file that you may write",
            Self::Read { .. } => {
                "set DATABRICKS_CONFIG_FILE to a file that exists and that you may read"
            }
            Self::Syntax { .. } => "correct that line",
            Self::NoProfile { .. } => "name another with --profile or DATABRICKS_CONFIG_PROFILE",
            Self::BadHost { .. } => "write it as https://host or http://host:port",
            Self::OtherHost { .. } => {
                "a profile's token is not sent to another host: drop one of the two, or give the token for that host too"
            }
        };
        Some(hint.to_owned())
    }
}
