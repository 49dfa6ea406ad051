//! Where the server is and what opens it: arguments, then environment, then a profile of the
//! configuration file, as in every Databricks client.
//!
//! Owns: that order, and that a token never reaches another host than the one it was written beside.
//! Never: a connection.

mod credentials;
mod edit;
mod error;
mod file;
mod ini;

use std::path::{self, PathBuf};
use std::{env, fs};

use url::Url;

pub use self::edit::{ConfigFile, Entry as ProfileEntry};
pub use self::error::ProfileError;
use self::file::{FileSection, expand_home};
use crate::{Credentials, Token};

/// Reads a variable; an empty one counts as not set.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

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
    pub credentials: Credentials,
    /// PEM file that signs the server's certificates, of HTTPS and of PostgreSQL.
    pub ca_file: Option<PathBuf>,
}

impl Profile {
    /// # Errors
    /// If no host or token is found, or the file is not usable.
    pub fn load(overrides: &Overrides) -> Result<Self, ProfileError> {
        Self::resolve(overrides, &variable)
    }

    /// With one token, as a caller brings it along.
    #[must_use]
    pub fn with_token(host: Url, token: Token, ca_file: Option<PathBuf>) -> Self {
        Self { host, credentials: Credentials::Token(token), ca_file }
    }

    /// Where to log in: the server, and the CA that is configured for it. Credentials are not asked for.
    ///
    /// # Errors
    /// If no host is found, or the file is not usable.
    pub fn place(overrides: &Overrides) -> Result<(Url, Option<PathBuf>), ProfileError> {
        let env: Env<'_> = &variable;
        let host = Setting::pick(overrides.host.clone(), "--host", env, "DATABRICKS_HOST");
        let section = FileSection::find(overrides, env, host.is_some())?;
        let host = check_same_host(overrides, host, true, &section)?;
        Ok((host, ca_file(overrides, env, &section)))
    }

    fn resolve(overrides: &Overrides, env: Env<'_>) -> Result<Self, ProfileError> {
        let host = Setting::pick(overrides.host.clone(), "--host", env, "DATABRICKS_HOST");
        let given = credentials::given(overrides, env)?;
        let section = FileSection::find(overrides, env, host.is_some() || given.is_some())?;

        let host = check_same_host(overrides, host, given.is_some(), &section)?;
        let ca_file = ca_file(overrides, env, &section);
        let credentials = match given {
            Some(credentials) => credentials,
            None => credentials::configured(&host, &section, env)?,
        };
        Ok(Self { host, credentials, ca_file })
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn ca_file(overrides: &Overrides, env: Env<'_>, section: &FileSection) -> Option<PathBuf> {
    overrides
        .ca_file
        .clone()
        .or_else(|| env("LAKEPORT_CA_FILE").map(|path| expand_home(&path, env)))
        .or_else(|| section.path("lakeport_ca_file", env))
        // It is handed to programs that may run elsewhere; without a current directory it stays.
        .map(|path| path::absolute(&path).unwrap_or(path))
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
        env: Env<'_>,
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

pub(crate) fn parse_host(text: &str) -> Result<Url, ProfileError> {
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

    fn token(profile: &Profile) -> &str {
        match &profile.credentials {
            Credentials::Token(token) => token.expose(),
            other => panic!("{other:?}"),
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
        assert_eq!(token(&profile), "t-default");
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
        assert_eq!((profile.host.as_str(), token(&profile)), ("https://env.example.com/", "t-env"));

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
    fn a_client_secret_and_a_login_are_credentials_too() {
        let home = Home::new();
        let machine = [
            ("DATABRICKS_HOST", "http://m"),
            ("DATABRICKS_CLIENT_ID", "id"),
            ("DATABRICKS_CLIENT_SECRET", "secret"),
        ];
        let profile = home.resolve(&Overrides::default(), &machine).unwrap();
        assert!(matches!(profile.credentials, Credentials::Machine { .. }), "{profile:?}");
        assert!(!format!("{profile:?}").contains("secret\""), "{profile:?}");

        let both = [&machine[..], &[("DATABRICKS_TOKEN", "t")]].concat();
        let error = home.resolve(&Overrides::default(), &both).unwrap_err();
        assert!(matches!(error, ProfileError::Ambiguous { .. }), "{error}");
        let chosen = [&both[..], &[("DATABRICKS_AUTH_TYPE", "pat")]].concat();
        assert_eq!(token(&home.resolve(&Overrides::default(), &chosen).unwrap()), "t");

        let browser = [("DATABRICKS_HOST", "http://b"), ("DATABRICKS_AUTH_TYPE", "databricks-cli")];
        let profile = home.resolve(&Overrides::default(), &browser).unwrap();
        let Credentials::Login { keys, .. } = profile.credentials else { panic!() };
        assert_eq!(keys, ["http://b"]);
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
