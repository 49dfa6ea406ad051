//! Which credentials are configured: by argument, by environment, by the file, or a login by browser.
//!
//! Owns: that order, and that two that contradict each other are an error. Never: using them.

use std::path::Path;

use url::Url;

use super::file::FileSection;
use super::{Env, Overrides, ProfileError, parse_host};
use crate::{Credentials, LoginCache, Token};

/// The kinds of login whose tokens are in the cache.
const BY_BROWSER: [&str; 2] = ["databricks-cli", "external-browser"];

/// Credentials by argument, else by environment.
pub(super) fn given(
    overrides: &Overrides,
    env: Env<'_>,
) -> Result<Option<Credentials>, ProfileError> {
    if let Some(token) = &overrides.token {
        return Ok(Some(Credentials::Token(token.clone())));
    }
    let layer = Layer {
        auth_type: env("DATABRICKS_AUTH_TYPE"),
        token: env("DATABRICKS_TOKEN"),
        client_id: env("DATABRICKS_CLIENT_ID"),
        client_secret: env("DATABRICKS_CLIENT_SECRET"),
    };
    layer.credentials("the environment")
}

/// Credentials of the profile, else a login by browser.
pub(super) fn configured(
    host: &Url,
    section: &FileSection,
    env: Env<'_>,
) -> Result<Credentials, ProfileError> {
    match of_file(section, env)? {
        Some(credentials) => Ok(credentials),
        None => login(host, section, env),
    }
}

fn of_file(section: &FileSection, env: Env<'_>) -> Result<Option<Credentials>, ProfileError> {
    let layer = Layer {
        auth_type: auth_type(section, env),
        token: section.get("token"),
        client_id: section.get("client_id"),
        client_secret: section.get("client_secret"),
    };
    layer.credentials(&format!("profile `{}` of {}", section.profile, section.path.display()))
}

fn auth_type(section: &FileSection, env: Env<'_>) -> Option<String> {
    env("DATABRICKS_AUTH_TYPE").or_else(|| section.get("auth_type"))
}

/// What one place says about credentials.
struct Layer {
    auth_type: Option<String>,
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

impl Layer {
    /// None, if it says nothing, or that the cache of logins is meant.
    fn credentials(self, origin: &str) -> Result<Option<Credentials>, ProfileError> {
        let token = self.token.map(|token| Credentials::Token(Token::new(token)));
        let machine = self.client_id.zip(self.client_secret).map(|(client_id, secret)| {
            Credentials::Machine { client_id, client_secret: Token::new(secret) }
        });
        match self.auth_type.as_deref() {
            Some("pat") => Ok(token),
            Some("oauth-m2m") => Ok(machine),
            Some(kind) if BY_BROWSER.contains(&kind) => Ok(None),
            Some(kind) => Err(ProfileError::UnknownAuthType {
                kind: kind.to_owned(),
                origin: origin.to_owned(),
            }),
            None if token.is_some() && machine.is_some() => {
                Err(ProfileError::Ambiguous { origin: origin.to_owned() })
            }
            None => Ok(token.or(machine)),
        }
    }
}

/// A login by browser. The key that is the profile's name is used for the profile's own host only.
fn login(host: &Url, section: &FileSection, env: Env<'_>) -> Result<Credentials, ProfileError> {
    let own = section.get("host").is_some_and(|own| parse_host(&own).is_ok_and(|own| own == *host));
    let keys = LoginCache::keys(own.then_some(section.profile.as_str()), host);
    let cache = match env("HOME") {
        Some(home) => LoginCache::below(Path::new(&home)),
        None => return Err(section.no_token(host)),
    };
    let named = auth_type(section, env).is_some_and(|kind| BY_BROWSER.contains(&kind.as_str()));
    // Whether it can be read is told when it is used.
    if named || cache.holds(&keys).unwrap_or(true) {
        return Ok(Credentials::Login { cache, keys });
    }
    Err(section.no_token(host))
}
