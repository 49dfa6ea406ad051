//! The environment of an app's process: what the platform gives, and what `app.yaml` asks for.
//!
//! Never: anything of the caller's own identity.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use lakeport_api::app::{AppRun, AppRunOrders, AppVariable};

use crate::child::inherited;
use crate::failure::Failure;

/// Where an app listens, and where its platform is.
pub(super) struct Surroundings<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Of the server's own authority.
    pub(super) ca_file: Option<&'a Path>,
}

pub(super) fn compose(
    orders: &AppRunOrders,
    run: &AppRun,
    around: &Surroundings<'_>,
    variables: &[AppVariable],
) -> Result<BTreeMap<OsString, OsString>, Failure> {
    let mut environment = inherited();
    let mut set = |name: &str, value: &str| environment.insert(name.into(), value.into());
    for (name, value) in &orders.environment {
        set(name, value);
    }
    set("DATABRICKS_CLIENT_ID", &run.client_id);
    set("DATABRICKS_CLIENT_SECRET", &run.client_secret);
    set("DATABRICKS_HOST", around.host);
    for (name, value) in listening(around.port) {
        set(name, &value);
    }
    if let Some(path) = around.ca_file.map(|path| path.display().to_string()) {
        set("PGSSLROOTCERT", &path);
        set("NODE_EXTRA_CA_CERTS", &path);
    }
    for variable in variables {
        set(&variable.name, &value_of(variable, &orders.resources)?);
    }
    Ok(environment)
}

/// The port, and how each framework wants to be told.
fn listening(port: u16) -> [(&'static str, String); 14] {
    let (address, port) = (String::from("127.0.0.1"), port.to_string());
    let yes = || String::from("true");
    let no = || String::from("false");
    [
        ("DATABRICKS_APP_PORT", port.clone()),
        ("FLASK_RUN_HOST", address.clone()),
        ("FLASK_RUN_PORT", port.clone()),
        ("GRADIO_ANALYTICS_ENABLED", no()),
        ("GRADIO_SERVER_NAME", address.clone()),
        ("GRADIO_SERVER_PORT", port.clone()),
        ("STREAMLIT_BROWSER_GATHER_USAGE_STATS", no()),
        ("STREAMLIT_SERVER_ADDRESS", address.clone()),
        ("STREAMLIT_SERVER_ENABLE_CORS", no()),
        ("STREAMLIT_SERVER_ENABLE_XSRF_PROTECTION", no()),
        ("STREAMLIT_SERVER_HEADLESS", yes()),
        ("STREAMLIT_SERVER_PORT", port.clone()),
        ("UVICORN_HOST", address),
        ("UVICORN_PORT", port),
    ]
}

fn value_of(
    variable: &AppVariable,
    resources: &BTreeMap<String, String>,
) -> Result<String, Failure> {
    let Some(key) = &variable.value_from else {
        return Ok(variable.value.clone().unwrap_or_default());
    };
    resources.get(key).cloned().ok_or_else(|| {
        let known = resources.keys().map(|key| format!("`{key}`")).collect::<Vec<_>>();
        let known = if known.is_empty() { String::from("none") } else { known.join(", ") };
        Failure::new(format!(
            "variable `{}` takes its value from resource `{key}`, which the app does not have; it \
             has {known}",
            variable.name
        ))
        .hint("add it with `lakeport apps add-resource`, or correct `valueFrom`")
    })
}

/// `$DATABRICKS_APP_PORT` in a command is the only variable that the platform fills in.
pub(super) fn fill_port(word: &str, port: u16) -> String {
    let port = port.to_string();
    word.replace("${DATABRICKS_APP_PORT}", &port).replace("$DATABRICKS_APP_PORT", &port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> AppRun {
        AppRun {
            run_id: String::new(),
            client_id: String::from("id"),
            client_secret: String::from("secret"),
        }
    }

    fn composed(variables: &[AppVariable]) -> Result<BTreeMap<OsString, OsString>, Failure> {
        let mut orders = AppRunOrders::default();
        orders.environment.insert("PGHOST".into(), "h".into());
        orders.resources.insert("database".into(), "h".into());
        let around = Surroundings { host: "http://x", port: 81, ca_file: None };
        compose(&orders, &run(), &around, variables)
    }

    #[test]
    fn the_platform_gives_and_the_manifest_adds() {
        let from = |name: &str, key: &str| AppVariable {
            name: name.into(),
            value: None,
            value_from: Some(key.into()),
        };
        let environment = composed(&[from("WHERE", "database")]).unwrap();
        for (name, value) in [
            ("DATABRICKS_CLIENT_SECRET", "secret"),
            ("DATABRICKS_APP_PORT", "81"),
            ("UVICORN_PORT", "81"),
            ("PGHOST", "h"),
            ("WHERE", "h"),
        ] {
            assert_eq!(environment[&OsString::from(name)], OsString::from(value), "{name}");
        }
        assert!(!environment.contains_key(&OsString::from("CARGO_PKG_NAME")));
        assert!(composed(&[from("WHERE", "cache")]).is_err());
    }

    #[test]
    fn only_the_port_is_filled_in() {
        assert_eq!(fill_port("--port=$DATABRICKS_APP_PORT", 81), "--port=81");
        assert_eq!(fill_port("${DATABRICKS_APP_PORT} $HOME", 81), "81 $HOME");
    }
}
