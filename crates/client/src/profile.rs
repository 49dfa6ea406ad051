//! Where the server is and what opens it: arguments, then environment, then a profile of the
//! configuration file, as in every Databricks client.
//!
//! Owns: that order, and that a token never reaches another host than the one it was written beside.
//! Never: a connection.

use std::path::{self, Path, PathBuf};
use std::{env, fs, io};

use url::{Host, Url};

use crate::Token;
use crate::ini::{Ini, Section};

const DEFAULT_PROFILE: &str = "DEFAULT";

/// What the user gave explicitly; each wins over the environment and the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub profile: Option<String>,
    pub host: Option<String>,
    pub token: Option<Token>,
    pub ca_file: Option<PathBuf>,
    pub config_file: Option<PathBuf>,
}

/// A resolved configuration.
#[derive(Debug, Clone)]
pub struct Profile {
    pub host: Url,
    pub token: Token,
    /// PEM file that signs the server's certificates, of HTTPS and of PostgreSQL.
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    #[error("no host is configured: {looked_at}")]
    NoHost { looked_at: String },
    #[error("no token is configured for {host}: {looked_at}")]
    NoToken { host: String, looked_at: String },
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
                "set DATABRICKS_TOKEN, or add `token = …` beside `host = …` in a profile and name it with --profile"
            }
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

impl Profile {
    /// # Errors
    /// If no host or token is found, or the file is not usable.
    pub fn load(overrides: &Overrides) -> Result<Self, ProfileError> {
        Self::resolve(overrides, &|name| env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn resolve(
        overrides: &Overrides,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ProfileError> {
        let host = Setting::pick(overrides.host.clone(), "--host", env, "DATABRICKS_HOST");
        let token = overrides.token.clone().or_else(|| env("DATABRICKS_TOKEN").map(Token::new));
        let section = FileSection::find(overrides, env, host.is_some() || token.is_some())?;

        let host = check_same_host(overrides, host, token.is_some(), &section)?;
        let token = token
            .or_else(|| section.get("token").map(Token::new))
            .ok_or_else(|| section.no_token(&host))?;
        let ca_file = overrides
            .ca_file
            .clone()
            .or_else(|| env("LAKEPORT_CA_FILE").map(|path| expand_home(&path, env)))
            .or_else(|| section.path("lakeport_ca_file", env))
            // It is handed to programs that may run elsewhere; without a current directory it stays.
            .map(|path| path::absolute(&path).unwrap_or(path));
        Ok(Self { host, token, ca_file })
    }

    /// Whether the server is on this machine, so that no proxy belongs between.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.host.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }
}

/// A value with the place that it came from.
struct Setting {
    value: String,
    origin: &'static str,
}

impl Setting {
    fn pick(
        explicit: Option<String>,
        flag: &'static str,
        env: &dyn Fn(&str) -> Option<String>,
        variable: &'static str,
    ) -> Option<Self> {
        explicit
            .map(|value| Self { value, origin: flag })
            .or_else(|| env(variable).map(|value| Self { value, origin: variable }))
    }
}

/// The host to use. A profile that names another host is an error when its token would travel there,
/// and when the user chose the profile by hand and the environment, unseen, disagrees.
fn check_same_host(
    overrides: &Overrides,
    host: Option<Setting>,
    has_token: bool,
    section: &FileSection,
) -> Result<Url, ProfileError> {
    let profile_host = section.get("host").map(|host| parse_host(&host)).transpose()?;
    let Some(Setting { value, origin }) = host else {
        return profile_host.ok_or_else(|| section.no_host());
    };
    let host = parse_host(&value)?;
    let chosen_by_hand = overrides.profile.is_some() && overrides.host.is_none();
    match profile_host {
        Some(other) if other != host && (!has_token || chosen_by_hand) => {
            Err(ProfileError::OtherHost {
                profile: section.profile.clone(),
                profile_host: other.to_string(),
                origin,
                host: host.to_string(),
            })
        }
        _ => Ok(host),
    }
}

/// The profile of the configuration file, or the reason why none was read.
struct FileSection {
    profile: String,
    path: PathBuf,
    values: Option<Section>,
}

impl FileSection {
    /// Without a profile named by the user, a host or token from elsewhere makes the file irrelevant,
    /// as in the official SDKs; and a missing default file is no error.
    fn find(
        overrides: &Overrides,
        env: &dyn Fn(&str) -> Option<String>,
        configured_elsewhere: bool,
    ) -> Result<Self, ProfileError> {
        let named_profile = overrides.profile.clone().or_else(|| env("DATABRICKS_CONFIG_PROFILE"));
        let named_file = overrides
            .config_file
            .clone()
            .or_else(|| env("DATABRICKS_CONFIG_FILE").map(|path| expand_home(&path, env)));
        let profile_named = named_profile.is_some();
        let profile = named_profile.unwrap_or_else(|| DEFAULT_PROFILE.to_owned());
        let required = profile_named || named_file.is_some();
        let path = named_file.unwrap_or_else(|| expand_home("~/.databrickscfg", env));

        if configured_elsewhere && !profile_named {
            return Ok(Self { profile, path, values: None });
        }
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => {
                return Ok(Self { profile, path, values: None });
            }
            Err(source) => return Err(ProfileError::Read { path, source }),
        };
        let ini =
            Ini::parse(&text).map_err(|line| ProfileError::Syntax { path: path.clone(), line })?;
        match ini.section(&profile) {
            Some(values) => Ok(Self { profile, path, values: Some(values.clone()) }),
            None if !profile_named => Ok(Self { profile, path, values: Some(Section::new()) }),
            None => {
                let known = ini.names().collect::<Vec<_>>().join(", ");
                Err(ProfileError::NoProfile { path, profile, known })
            }
        }
    }

    fn get(&self, key: &str) -> Option<String> {
        self.values.as_ref()?.get(key).filter(|value| !value.is_empty()).cloned()
    }

    /// A relative path is relative to the file that holds it.
    fn path(&self, key: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
        let value = expand_home(&self.get(key)?, env);
        Some(self.path.parent().unwrap_or(Path::new("")).join(value))
    }

    fn no_host(&self) -> ProfileError {
        ProfileError::NoHost { looked_at: self.looked_at("host", "DATABRICKS_HOST") }
    }

    fn no_token(&self, host: &Url) -> ProfileError {
        let mut looked_at = self.looked_at("token", "DATABRICKS_TOKEN");
        if let Some(kind) = self.get("auth_type").filter(|kind| kind != "pat") {
            looked_at
                .push_str(&format!(" (its auth_type `{kind}` is not one that lakeport can use)"));
        }
        ProfileError::NoToken { host: host.to_string(), looked_at }
    }

    fn looked_at(&self, key: &str, variable: &str) -> String {
        let Self { profile, path, .. } = self;
        match self.values {
            Some(_) => format!(
                "{variable} is not set and profile `{profile}` of {} has no `{key}`",
                path.display()
            ),
            None if path.exists() => format!("{variable} is not set and no profile was named"),
            None => format!("{variable} is not set and {} does not exist", path.display()),
        }
    }
}

fn parse_host(text: &str) -> Result<Url, ProfileError> {
    let bad = || ProfileError::BadHost { host: text.to_owned() };
    let full =
        if text.contains("://") { text.to_owned() } else { format!("https://{}", text.trim()) };
    let mut url = Url::parse(full.trim()).map_err(|_| bad())?;
    let usable = matches!(url.scheme(), "http" | "https") && url.has_host();
    if !usable || !url.username().is_empty() || url.password().is_some() {
        return Err(bad());
    }
    // Query and fragment are what a browser's address bar leaves behind (`/?o=123`).
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

fn expand_home(path: &str, env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    match (path.strip_prefix("~/"), env("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[DEFAULT]\nhost = http://127.0.0.1:8080\ntoken = t-default\n\
                        lakeport_ca_file = ca.pem\n[prod]\nhost = prod.example.com/\ntoken = t-prod\n\
                        [half]\nhost = http://half\n";

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            fs::write(home.path().join(".databrickscfg"), FILE).unwrap();
            Self(home)
        }

        fn resolve(
            &self,
            overrides: &Overrides,
            variables: &[(&str, &str)],
        ) -> Result<Profile, ProfileError> {
            let home = self.0.path().to_str().unwrap();
            Profile::resolve(overrides, &|name| {
                let set = variables.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
                set.or((name == "HOME").then_some(home)).map(str::to_owned)
            })
        }
    }

    fn by_flag(profile: &str) -> Overrides {
        Overrides { profile: Some(profile.to_owned()), ..Overrides::default() }
    }

    #[test]
    fn the_default_profile_is_read_from_home() {
        let home = Home::new();
        let profile = home.resolve(&Overrides::default(), &[]).unwrap();
        assert_eq!(profile.host.as_str(), "http://127.0.0.1:8080/");
        assert_eq!(profile.token.expose(), "t-default");
        assert_eq!(profile.ca_file.unwrap(), home.0.path().join("ca.pem"));
    }

    #[test]
    fn a_profile_can_be_named_by_variable_and_by_argument() {
        let home = Home::new();
        let named = [("DATABRICKS_CONFIG_PROFILE", "half")];
        let profile = home.resolve(&by_flag("prod"), &named).unwrap();
        assert_eq!(profile.host.as_str(), "https://prod.example.com/");
        let error = home.resolve(&Overrides::default(), &named).unwrap_err();
        assert!(error.to_string().contains("profile `half`"), "{error}");
    }

    #[test]
    fn arguments_win_over_the_environment_and_it_wins_over_the_file() {
        let home = Home::new();
        let variables = [("DATABRICKS_HOST", "env.example.com"), ("DATABRICKS_TOKEN", "t-env")];
        let profile = home.resolve(&Overrides::default(), &variables).unwrap();
        assert_eq!(
            (profile.host.as_str(), profile.token.expose()),
            ("https://env.example.com/", "t-env")
        );

        let host = Some(String::from("http://flag:1"));
        let overrides = Overrides { host, ..Overrides::default() };
        let profile = home.resolve(&overrides, &variables).unwrap();
        assert_eq!(profile.host.as_str(), "http://flag:1/");
    }

    #[test]
    fn a_token_of_the_file_is_not_sent_to_a_host_of_the_environment() {
        let home = Home::new();
        let host = ("DATABRICKS_HOST", "http://elsewhere");
        let error = home.resolve(&by_flag("prod"), &[host]).unwrap_err();
        assert!(matches!(error, ProfileError::OtherHost { .. }), "{error}");
        let with_token = [host, ("DATABRICKS_TOKEN", "t-env")];
        let error = home.resolve(&by_flag("prod"), &with_token).unwrap_err();
        assert!(matches!(error, ProfileError::OtherHost { .. }), "{error}");
        let error = home.resolve(&Overrides::default(), &[host]).unwrap_err();
        assert!(matches!(error, ProfileError::NoToken { .. }), "{error}");
    }

    #[test]
    fn an_unknown_profile_and_a_missing_file_are_named() {
        let home = Home::new();
        let error = home.resolve(&by_flag("nope"), &[]).unwrap_err().to_string();
        assert!(error.contains("`nope`") && error.contains("DEFAULT, half, prod"), "{error}");
        let file = [("DATABRICKS_CONFIG_FILE", "~/missing")];
        let error = home.resolve(&Overrides::default(), &file).unwrap_err();
        assert!(matches!(error, ProfileError::Read { .. }), "{error}");
    }

    #[test]
    fn nothing_at_all_says_where_it_looked() {
        let home = Home(tempfile::tempdir().unwrap());
        let error = home.resolve(&Overrides::default(), &[]).unwrap_err();
        assert!(error.to_string().contains(".databrickscfg does not exist"), "{error}");
        assert!(error.hint().unwrap().contains("DATABRICKS_CONFIG_FILE"));
    }

    #[test]
    fn hosts_are_normalised_or_refused() {
        assert_eq!(parse_host("a.b:8443/?o=1").unwrap().as_str(), "https://a.b:8443/");
        for bad in ["ftp://x", "http://", "https://user:pw@x"] {
            assert!(parse_host(bad).is_err(), "{bad}");
        }
    }
}
