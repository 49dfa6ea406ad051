//! From the configuration: which locations may be read, object stores with their credentials, and outside
//! catalogs.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use lakeport_catalog::{Location, Mount, ObjectStore, Outside, Policy};
use serde::Deserialize;

use crate::{Error, Result};

/// One `[[object_store]]`. A value may be named by an environment variable instead of being written down.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectStoreSettings {
    /// Where it begins: `s3://bucket/`, `abfss://container@account.dfs.core.windows.net/`, `gs://bucket/`.
    pub prefix: String,
    /// Options by their names in the `object_store` library: region, endpoint, access_key_id …
    pub options: HashMap<String, String>,
    /// Options whose values are in environment variables of these names.
    pub options_env: HashMap<String, String>,
    pub hand_out: HashMap<String, String>,
    pub hand_out_env: HashMap<String, String>,
    pub hand_out_write: HashMap<String, String>,
    pub hand_out_write_env: HashMap<String, String>,
}

/// Without the values: credentials are among them.
impl fmt::Debug for ObjectStoreSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectStoreSettings").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// One `[[catalog]]`: a catalog of an outside Unity Catalog server under a name of ours.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogSettings {
    pub name: String,
    pub url: String,
    /// Its name on that server, if it is another.
    pub remote_name: Option<String>,
    /// The environment variable that holds the token for that server.
    pub token_env: Option<String>,
    /// Users, service principals and groups who may read its tables, besides administrators.
    pub readers: Vec<String>,
}

impl fmt::Debug for CatalogSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CatalogSettings").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Outside catalogs: those with names, and the one that is asked for all others.
#[derive(Debug, Clone, Default)]
pub(crate) struct OutsideSettings {
    named: Vec<CatalogSettings>,
    any: Option<CatalogSettings>,
}

/// The token of `--catalog-url`'s server.
const CATALOG_TOKEN: &str = "LAKEPORT_CATALOG_TOKEN";

impl OutsideSettings {
    /// Checks everything that is wrong with them.
    pub(crate) fn new(url: Option<String>, named: Option<Vec<CatalogSettings>>) -> Result<Self> {
        let any = url.map(|url| CatalogSettings {
            url,
            token_env: std::env::var_os(CATALOG_TOKEN).map(|_| CATALOG_TOKEN.to_owned()),
            ..CatalogSettings::default()
        });
        let settings = Self { named: named.unwrap_or_default(), any };
        settings.mounts()?;
        Ok(settings)
    }

    pub(crate) fn mounts(&self) -> Result<(HashMap<String, Outside>, Option<Outside>)> {
        let mut named = HashMap::new();
        for settings in &self.named {
            lakeport_catalog::check_part("catalog", &settings.name)
                .map_err(|error| Error::Config(format!("catalog.name: {error}")))?;
            let outside = outside("catalog.url", settings)?;
            if named.insert(settings.name.clone(), outside).is_some() {
                return Err(Error::Config(format!(
                    "catalog.name: \"{}\" is there twice",
                    settings.name
                )));
            }
        }
        let any = self.any.as_ref().map(|settings| outside("catalog_url", settings)).transpose()?;
        Ok((named, any))
    }
}

fn outside(field: &str, settings: &CatalogSettings) -> Result<Outside> {
    let variable = settings.token_env.as_deref();
    let token = variable.map(|variable| {
        std::env::var(variable).map_err(|_| {
            Error::Config(format!(
                "catalog.token_env: the environment variable {variable} is not set"
            ))
        })
    });
    let mount = Mount {
        remote_name: settings.remote_name.clone(),
        url: settings.url.clone(),
        token: token.transpose()?,
        readers: settings.readers.clone(),
    };
    Outside::new(mount).map_err(|problem| Error::Config(format!("{field}: {problem}")))
}

pub(crate) fn policy(
    allowed: Option<Vec<String>>,
    stores: Option<Vec<ObjectStoreSettings>>,
    data_dir: &Path,
) -> Result<Policy> {
    let allowed = allowed.unwrap_or_default().into_iter().map(|text| {
        Location::parse(&text).map_err(|error| Error::Config(format!("allowed_locations: {error}")))
    });
    Ok(Policy {
        allowed: allowed.collect::<Result<_>>()?,
        stores: stores.unwrap_or_default().into_iter().map(store).collect::<Result<_>>()?,
        private: vec![data_dir.to_owned()],
    })
}

fn store(settings: ObjectStoreSettings) -> Result<ObjectStore> {
    let prefix = Location::parse(&settings.prefix)
        .map_err(|error| Error::Config(format!("object_store.prefix: {error}")))?;
    if prefix.file_path().is_some() {
        return Err(Error::Config(format!(
            "object_store.prefix: \"{}\" is a folder of this machine; name it in allowed_locations",
            settings.prefix
        )));
    }
    Ok(ObjectStore {
        prefix,
        options: with_environment(settings.options, settings.options_env)?,
        hand_out: with_environment(settings.hand_out, settings.hand_out_env)?,
        hand_out_write: with_environment(settings.hand_out_write, settings.hand_out_write_env)?,
    })
}

fn with_environment(
    mut values: HashMap<String, String>,
    variables: HashMap<String, String>,
) -> Result<HashMap<String, String>> {
    for (option, variable) in variables {
        let value = std::env::var(&variable).map_err(|_| {
            Error::Config(format!(
                "object_store: the environment variable {variable}, which {option} is read from, is not set"
            ))
        })?;
        values.insert(option, value);
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(toml: &str) -> Result<ObjectStore> {
        store(toml::from_str(toml).map_err(|error| Error::Config(error.to_string()))?)
    }

    #[test]
    fn what_is_wrong_is_named_and_no_value_is_shown() {
        for (toml, word) in [
            ("prefix = 'lake'", "object_store.prefix"),
            ("prefix = '/srv/lake'", "allowed_locations"),
            (
                "prefix = 's3://lake'\noptions_env = { access_key_id = 'NO_SUCH_VARIABLE_X' }",
                "NO_SUCH_VARIABLE_X",
            ),
            ("prefix = 's3://lake'\noption = {}", "option"),
        ] {
            let message = parsed(toml).unwrap_err().to_string();
            assert!(message.contains(word), "{toml}: {message}");
        }
        let settings: ObjectStoreSettings =
            toml::from_str("prefix = 's3://lake'\noptions = { secret_access_key = 'hunter2' }")
                .unwrap();
        assert!(!format!("{settings:?}").contains("hunter2"));
        let store = store(settings).unwrap();
        assert_eq!(store.options["secret_access_key"], "hunter2");
        assert!(!format!("{store:?}").contains("hunter2"));
    }
}
