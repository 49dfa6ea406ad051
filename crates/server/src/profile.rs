//! The files that a new installation hands to its users: `databrickscfg`, `ca.pem`, `endpoints.json`.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use lakeport_identity::{Authority, OpaqueToken};
use lakeport_store::{Principal, Store};
use serde_json::json;
use uuid::Uuid;

use crate::{Config, Error, Result, Running};

/// Marks the token of this data directory's profile among the admin's.
fn comment(node: Uuid) -> String {
    format!("databrickscfg of {node}")
}

pub(crate) async fn write(running: &Running, config: &Config, ca: &Authority) -> Result<()> {
    let store = &running.control.store;
    let directory = &running.data_dir;
    let ca_file = directory.join("ca.pem");
    replace(&ca_file, 0o644, ca.certificate_pem())?;
    let admin = store.ensure_admin(&config.admin_user).await?;
    let profile = directory.join("databrickscfg");
    let token = match written_token(&profile, store, &admin).await? {
        Some(token) => token,
        None => new_token(store, &admin, running.control.node).await?.expose().to_owned(),
    };
    let host = &running.http;
    let text = format!(
        "[DEFAULT]\nhost = {host}\ntoken = {token}\nlakeport_ca_file = {}\n",
        ca_file.display()
    );
    replace(&profile, 0o600, &text)?;
    let endpoints = json!({
        "http": running.http,
        "https": running.https,
        "pg_port": running.pg_port,
        "pid": std::process::id(),
    });
    replace(&directory.join("endpoints.json"), 0o644, &format!("{endpoints}\n"))
}

/// The token of an earlier start, if it is still good: clients keep theirs over a restart.
async fn written_token(profile: &Path, store: &Store, admin: &Principal) -> Result<Option<String>> {
    let Ok(text) = fs::read_to_string(profile) else { return Ok(None) };
    let token = text.lines().find_map(|line| line.strip_prefix("token = ")).map(str::trim);
    let Some(token) = token else { return Ok(None) };
    let owner = lakeport_identity::authenticate(store, token).await?.map(|(owner, _)| owner);
    Ok(owner.is_some_and(|owner| owner.id == admin.id).then(|| token.to_owned()))
}

async fn new_token(store: &Store, admin: &Principal, node: Uuid) -> Result<OpaqueToken> {
    let comment = comment(node);
    store.revoke_access_tokens(admin.id, &comment).await?;
    Ok(lakeport_identity::issue(store, admin, &comment, None).await?.0)
}

/// Written aside and renamed, so that a reader sees the old file or the new one.
pub(crate) fn replace(path: &Path, mode: u32, text: &str) -> Result<()> {
    let aside = path.with_extension("new");
    // One of an earlier try may have another mode.
    let _ = fs::remove_file(&aside);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&aside)
        .map_err(Error::io("writing", aside.display()))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&aside, path))
        .map_err(Error::io("writing", path.display()))
}
