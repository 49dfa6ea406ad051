//! One profile of the configuration file, or the reason why none was read.
//!
//! Owns: which file and which section. Never: what its values mean.

use std::path::{Path, PathBuf};
use std::{fs, io};

use url::Url;

use super::ini::{Ini, Section};
use super::{Env, Overrides, ProfileError};

const DEFAULT_PROFILE: &str = "DEFAULT";

pub(super) struct FileSection {
    pub(super) profile: String,
    pub(super) path: PathBuf,
    values: Option<Section>,
}

impl FileSection {
    /// Without a profile named by the user, a host or token from elsewhere makes the file irrelevant,
    /// as in the official SDKs; and a missing default file is no error.
    pub(super) fn find(
        overrides: &Overrides,
        env: Env<'_>,
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

    pub(super) fn get(&self, key: &str) -> Option<String> {
        self.values.as_ref()?.get(key).filter(|value| !value.is_empty()).cloned()
    }

    /// A relative path is relative to the file that holds it.
    pub(super) fn path(&self, key: &str, env: Env<'_>) -> Option<PathBuf> {
        let value = expand_home(&self.get(key)?, env);
        Some(self.path.parent().unwrap_or(Path::new("")).join(value))
    }

    pub(super) fn no_host(&self) -> ProfileError {
        ProfileError::NoHost { looked_at: self.looked_at("host", "DATABRICKS_HOST") }
    }

    pub(super) fn no_token(&self, host: &Url) -> ProfileError {
        let looked_at = self.looked_at("token", "DATABRICKS_TOKEN");
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

/// Where the configuration file is, whether or not it exists.
pub(super) fn path(overrides: &Overrides, env: Env<'_>) -> PathBuf {
    overrides
        .config_file
        .clone()
        .or_else(|| env("DATABRICKS_CONFIG_FILE").map(|path| expand_home(&path, env)))
        .unwrap_or_else(|| expand_home("~/.databrickscfg", env))
}

pub(super) fn expand_home(path: &str, env: Env<'_>) -> PathBuf {
    match (path.strip_prefix("~/"), env("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}
