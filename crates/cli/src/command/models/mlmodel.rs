//! The file `MLmodel`: which database instances a model declares.
//!
//! Everything else in it is MLflow's.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::failure::Failure;

/// An instance that a model uses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Lakebase {
    /// Its name or its DNS name.
    pub(super) name: String,
    #[serde(default)]
    pub(super) on_behalf_of_user: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    resources: Option<Resources>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    databricks: Option<Databricks>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Databricks {
    lakebase: Vec<Lakebase>,
}

/// At least one, or an error that says how to declare one.
pub(super) fn instances(folder: &Path) -> Result<Vec<Lakebase>, Failure> {
    let path = folder.join("MLmodel");
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!("{} cannot be read: {error}", path.display()))
            .hint("give the folder of a logged model, which holds the file MLmodel")
    })?;
    let found =
        parse(&text).map_err(|problem| Failure::usage(format!("{}: {problem}", path.display())))?;
    if found.is_empty() {
        return Err(Failure::usage(format!("{} declares no Lakebase resource", path.display())).hint(
            "log the model with resources=[DatabricksLakebase(database_instance_name=…)], or serve it \
             with mlflow alone if it needs none",
        ));
    }
    Ok(found)
}

fn parse(text: &str) -> Result<Vec<Lakebase>, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    let file: File =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    let databricks = file.resources.and_then(|resources| resources.databricks);
    Ok(databricks.map(|databricks| databricks.lakebase).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declared_instances_are_found_among_everything_else() {
        let text = "flavors:\n  python_function:\n    loader_module: m\nresources:\n  api_version: '1'\n  \
                    databricks:\n    lakebase:\n    - name: a\n    - name: b\n      \
                    on_behalf_of_user: true\n    serving_endpoint:\n    - name: x\n";
        let found = parse(text).unwrap();
        let seen: Vec<_> = found.iter().map(|l| (l.name.as_str(), l.on_behalf_of_user)).collect();
        assert_eq!(seen, [("a", None), ("b", Some(true))]);
        assert_eq!(parse("flavors: {}\n").unwrap(), []);
        assert!(
            parse("resources:\n  databricks:\n    lakebase: a\n").unwrap_err().contains("line 3")
        );
    }
}
