//! What a served model logs in with: a file with a token that is renewed before it ends, where the
//! official SDK looks for it in Model Serving.
//!
//! For what a model does on behalf of its user, that is whoever has started the server.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lakeport_client::{Client, Token};
use serde_json::json;
use tempfile::{NamedTempFile, TempDir};

use crate::failure::Failure;

const TOKEN_FILE: &str = "model-dependencies-oauth-token";
const INVOKER_FILE: &str = "invoker-token";
/// The SDK looks at the file at most every five minutes, and a renewal may fail a few times.
const RENEW_AT_THE_LATEST: Duration = Duration::from_secs(10 * 60);

/// What databricks-ai-bridge asks for the token of the user; there is no such package outside.
const INVOKER_MODULE: &str = r#""""The user of a locally served model is whoever serves it."""

import pathlib

_FILE = pathlib.Path(__file__).resolve().parents[3] / "invoker-token"


def fetch_obo_token():
    return _FILE.read_text()
"#;

pub(super) struct Credentials {
    folder: PathBuf,
    /// Removes the folder, if it is ours.
    _private: Option<TempDir>,
    renew_at: Option<Instant>,
}

impl Credentials {
    pub(super) fn new(folder: Option<&Path>) -> Result<Self, Failure> {
        let doing = || Failure::while_doing("make a folder for credentials");
        match folder {
            Some(folder) => {
                let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
                made.map_err(Failure::while_doing(format!("make {}", folder.display())))?;
                Ok(Self { folder: folder.to_owned(), _private: None, renew_at: None })
            }
            None => {
                let private = TempDir::with_prefix("lakeport-model-").map_err(doing())?;
                let folder = private.path().to_owned();
                Ok(Self { folder, _private: Some(private), renew_at: None })
            }
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where Python finds the module that gives the user's token.
    pub(super) fn python_path(&self) -> PathBuf {
        self.folder.join("python")
    }

    pub(super) fn write_invoker(&self, token: &Token) -> Result<(), Failure> {
        self.replace(INVOKER_FILE, token.expose())?;
        let package = self.python_path().join("mlflowserving").join("scoring_server");
        let doing = || Failure::while_doing("write the module for the user's token");
        fs::create_dir_all(&package).map_err(doing())?;
        for (name, text) in
            [("../__init__.py", ""), ("__init__.py", ""), ("agent_utils.py", INVOKER_MODULE)]
        {
            fs::write(package.join(name), text).map_err(doing())?;
        }
        Ok(())
    }

    /// Renews the token when half of its life is over.
    pub(super) async fn renew_if_due(
        &mut self,
        client: &Client,
        id: &str,
        secret: &Token,
    ) -> Result<(), Failure> {
        if self.renew_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let (token, lifetime) = client.machine_token(id, secret).await?;
        let body = json!({ "OAUTH_TOKEN": [{ "oauthTokenValue": token.expose() }] });
        self.replace(TOKEN_FILE, &body.to_string())?;
        self.renew_at = Some(Instant::now() + (lifetime / 2).min(RENEW_AT_THE_LATEST));
        Ok(())
    }

    /// A reader sees the old file or the new one; only its owner sees any.
    fn replace(&self, name: &str, text: &str) -> Result<(), Failure> {
        let doing = || Failure::while_doing(format!("write {name}"));
        let mut file = NamedTempFile::new_in(&self.folder).map_err(doing())?;
        file.write_all(text.as_bytes()).map_err(doing())?;
        file.persist(self.folder.join(name)).map_err(|error| doing()(error.error))?;
        Ok(())
    }
}
