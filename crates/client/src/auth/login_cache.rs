//! Logins by browser, kept in the official command line's token cache, so that a login by one tool is
//! one for all: `~/.databricks/token-cache.json`, readable by its owner only.
//!
//! Owns: that file, and renewing a login exactly once however many programs want it. Never: the browser.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::browser::CLIENT_ID;
use super::endpoints::{Endpoints, Grant};
use crate::live_token::Minted;
use crate::{Error, Result, Token};

const VERSION: u64 = 1;
/// An access token with less than this to live is renewed: it is about to be used.
const TOO_SHORT: Duration = Duration::from_secs(300);

/// The file. Cheap to clone; nothing is read before it is asked.
#[derive(Debug, Clone)]
pub struct LoginCache {
    path: PathBuf,
}

/// One login as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Login {
    pub(crate) access_token: String,
    #[serde(default = "bearer")]
    token_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    expiry: Timestamp,
    /// What other programs have written beside.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    version: u64,
    #[serde(default)]
    tokens: BTreeMap<String, Login>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

fn bearer() -> String {
    String::from("Bearer")
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

impl Login {
    pub(crate) fn new(grant: Grant, previous: Option<Login>) -> Self {
        let lives = jiff::SignedDuration::try_from(grant.lives).unwrap_or_default();
        let (kept, rest) = match previous {
            Some(previous) => (previous.refresh_token, previous.rest),
            None => (None, Map::new()),
        };
        Self {
            access_token: grant.access_token.expose().to_owned(),
            token_type: bearer(),
            refresh_token: grant.refresh_token.map(|token| token.expose().to_owned()).or(kept),
            expiry: Timestamp::now().saturating_add(lives).unwrap_or(Timestamp::MAX),
            rest,
        }
    }

    #[must_use]
    pub fn access_token(&self) -> Token {
        Token::new(self.access_token.as_str())
    }

    #[must_use]
    pub fn expiry(&self) -> Timestamp {
        self.expiry
    }

    fn lives(&self) -> Duration {
        let left = self.expiry.duration_since(Timestamp::now());
        Duration::try_from(left).unwrap_or_default()
    }
}

impl From<Login> for Minted {
    fn from(login: Login) -> Self {
        Self { token: login.access_token(), lives: login.lives() }
    }
}

impl LoginCache {
    /// The official one, below the home directory.
    #[must_use]
    pub fn below(home: &Path) -> Self {
        Self { path: home.join(".databricks").join("token-cache.json") }
    }

    /// Under which names a login is kept: the profile's, for newer official tools, and the host's.
    #[must_use]
    pub fn keys(profile: Option<&str>, host: &Url) -> Vec<String> {
        let host = host.as_str().trim_end_matches('/').to_owned();
        profile.map(str::to_owned).into_iter().chain([host]).collect()
    }

    /// # Errors
    /// If the file is there but cannot be read.
    pub fn holds(&self, keys: &[String]) -> Result<bool> {
        Ok(self.read()?.find(keys).is_some())
    }

    /// # Errors
    /// If the file cannot be written.
    pub fn store(&self, keys: &[String], login: &Login) -> Result<()> {
        let _locked = self.lock()?;
        self.change(|tokens| tokens.extend(keys.iter().map(|key| (key.clone(), login.clone()))))
    }

    /// Ends the login at the server too, as far as the server can be reached.
    pub(crate) async fn forget(
        &self,
        http: &reqwest::Client,
        host: &Url,
        keys: &[String],
    ) -> Result<bool> {
        let locked = self.lock()?;
        let Some(login) = self.read()?.find(keys).cloned() else { return Ok(false) };
        self.change(|tokens| tokens.retain(|key, _| !keys.contains(key)))?;
        drop(locked);
        if let Some(token) = login.refresh_token.map(Token::new) {
            let revoked = async {
                Endpoints::discover(http, host).await?.revoke(http, CLIENT_ID, &token).await
            };
            if let Err(error) = revoked.await {
                tracing::warn!(%error, "the login is forgotten here, but not ended at the server");
            }
        }
        Ok(true)
    }

    /// A login that is good for a while. A refresh token can be used only once, so the file is locked
    /// while it is exchanged, and whoever waited finds the new one.
    ///
    /// # Errors
    /// If there is no login, or the server no longer takes it.
    pub(crate) async fn live(
        &self,
        http: &reqwest::Client,
        host: &Url,
        keys: &[String],
    ) -> Result<Login> {
        let ended = |reason: String| Error::Login { host: host.to_string(), reason };
        let missing = || ended(String::from("nobody is logged in"));
        let login = self.read()?.find(keys).cloned().ok_or_else(missing)?;
        if login.lives() > TOO_SHORT {
            return Ok(login);
        }
        let cache = self.clone();
        let _locked = tokio::task::spawn_blocking(move || cache.lock())
            .await
            .map_err(|error| self.unusable(&error))??;
        let login = self.read()?.find(keys).cloned().ok_or_else(missing)?;
        if login.lives() > TOO_SHORT {
            return Ok(login);
        }
        let Some(refresh) = login.refresh_token.clone() else {
            return Err(ended(String::from("it has expired and cannot be renewed")));
        };
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.as_str()),
            ("client_id", CLIENT_ID),
        ];
        let endpoints = Endpoints::discover(http, host).await?;
        let grant = match endpoints.token(http, "renew the login", None, &form).await {
            Err(Error::Api { status: 400 | 401, message, .. }) => return Err(ended(message)),
            other => other?,
        };
        let renewed = Login::new(grant, Some(login.clone()));
        // Every key that held the old one, or the other key would use it a second time.
        self.change(|tokens| {
            for stored in tokens.values_mut() {
                if stored.refresh_token == login.refresh_token {
                    *stored = renewed.clone();
                }
            }
        })?;
        Ok(renewed)
    }

    fn read(&self) -> Result<Contents> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Contents { version: VERSION, ..Contents::default() });
            }
            Err(error) => return Err(self.unusable(&error)),
        };
        let contents: Contents =
            serde_json::from_str(&text).map_err(|error| self.unusable(&error))?;
        match contents.version {
            VERSION => Ok(contents),
            other => Err(self.unusable(&format!("it has version {other} instead of {VERSION}"))),
        }
    }

    /// In one step, so that nobody reads half of it.
    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Login>)) -> Result<()> {
        let mut contents = self.read()?;
        change(&mut contents.tokens);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(self.directory())?;
            serde_json::to_writer_pretty(&mut file, &contents)?;
            file.write_all(b"\n")?;
            file.persist(&self.path)?;
            Ok(())
        };
        write().map_err(|error| self.unusable(&error))
    }

    fn lock(&self) -> Result<File> {
        let lock = || -> io::Result<File> {
            private_directory(self.directory())?;
            let path = self.path.with_extension("lock");
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|error| self.unusable(&error))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn unusable(&self, reason: &dyn std::fmt::Display) -> Error {
        Error::LoginCache { path: self.path.clone(), reason: reason.to_string() }
    }
}

impl Contents {
    fn find(&self, keys: &[String]) -> Option<&Login> {
        keys.iter().find_map(|key| self.tokens.get(key))
    }
}

fn private_directory(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;

    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn login(refresh: &str) -> Login {
        let grant = Grant {
            access_token: Token::new("access"),
            refresh_token: Some(Token::new(refresh)),
            lives: Duration::from_secs(3600),
        };
        Login::new(grant, None)
    }

    #[test]
    fn what_other_tools_have_stored_stays() {
        let home = tempfile::tempdir().unwrap();
        let cache = LoginCache::below(home.path());
        fs::create_dir(home.path().join(".databricks")).unwrap();
        let other = r#"{"version": 1, "of_tomorrow": 7, "tokens": {"https://other": {
            "access_token": "a", "token_type": "Bearer", "refresh_token": "r",
            "expiry": "2026-11-25T04:00:00.123456789+02:00", "extra": true}}}"#;
        fs::write(&cache.path, other).unwrap();
        let host = Url::parse("http://127.0.0.1:8080/").unwrap();
        let keys = LoginCache::keys(Some("dev"), &host);
        assert_eq!(keys, ["dev", "http://127.0.0.1:8080"]);
        cache.store(&keys, &login("x")).unwrap();

        let text = fs::read_to_string(&cache.path).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["of_tomorrow"], 7);
        assert_eq!(json["tokens"]["https://other"]["extra"], true);
        assert_eq!(json["tokens"]["dev"]["refresh_token"], "x");
        assert!(cache.holds(&keys[1..]).unwrap());
        assert_eq!(fs::metadata(&cache.path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_cache_of_another_version_is_not_touched() {
        let home = tempfile::tempdir().unwrap();
        let cache = LoginCache::below(home.path());
        fs::create_dir(home.path().join(".databricks")).unwrap();
        for text in ["nonsense", r#"{"version": 2, "tokens": {}}"#] {
            fs::write(&cache.path, text).unwrap();
            assert!(cache.store(&[String::from("k")], &login("x")).is_err());
            assert_eq!(fs::read_to_string(&cache.path).unwrap(), text);
        }
    }

    #[test]
    fn debug_shows_no_token() {
        let text = format!("{:?}", login("secret-refresh"));
        assert!(!text.contains("secret") && !text.contains("access_token"), "{text}");
    }
}
