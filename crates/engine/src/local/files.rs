//! The configuration files of a cluster: settings, who may log in how, and the ident map.

use std::fs;
use std::path::Path;

use super::layout::Layout;
use super::os_user::OsUser;
use crate::{ADMIN_ROLE, ClusterId, Error, Result, SUPERUSER_GROUP, Settings, WRITER_ROLE};

/// Before 16, a map cannot let one OS user be every role.
const MAP_ALL_SINCE: u32 = 16;

/// Writes all of them; the settings last, because they are the fingerprint of a finished pass.
pub(crate) fn write(
    layout: &Layout,
    id: &ClusterId,
    user: &OsUser,
    major: u32,
    settings: &Settings,
) -> Result<()> {
    let data = layout.data(id);
    replace(&data.join("pg_hba.conf"), &hba(user, major), user)?;
    replace(&data.join("pg_ident.conf"), &ident(user), user)?;
    let sockets = layout.sockets(id).display().to_string().replace('\'', "''");
    let local = format!("unix_socket_directories = '{sockets}'\ncluster_name = '{id}'\n");
    replace(&data.join("lakeport.local.conf"), &local, user)?;
    replace(&layout.settings_file(id), &settings.to_conf(), user)
}

/// What `databricks_create_role` reads. A name fixed in its script; nobody but the server's user and a
/// superuser's function reads it.
pub(crate) fn publish_identities(data: &Path, json: &str, user: &OsUser) -> Result<()> {
    let path = data.join("lakeport.identities.json");
    if fs::read_to_string(&path).is_ok_and(|known| known == json) {
        return Ok(());
    }
    replace(&path, json, user)
}

/// First match wins. Our own roles prove themselves by SCRAM, so that nobody who gets the ident map
/// right is taken for them; everyone else comes through the gateway, which has checked the token.
fn hba(user: &OsUser, major: u32) -> String {
    let gateway = if major >= MAP_ALL_SINCE && user.own_name.is_some() {
        "peer map=gateway"
    } else {
        // The socket's directory lets in its owner and root only.
        "trust"
    };
    format!(
        "local all {ADMIN_ROLE},{WRITER_ROLE} scram-sha-256\n\
         local all {SUPERUSER_GROUP} reject\n\
         local replication all reject\n\
         local all all {gateway}\n"
    )
}

fn ident(user: &OsUser) -> String {
    match &user.own_name {
        Some(name) => format!("gateway \"{name}\" all\n"),
        None => String::new(),
    }
}

fn replace(path: &Path, text: &str, user: &OsUser) -> Result<()> {
    let aside = path.with_extension("new");
    fs::write(&aside, text).map_err(Error::io("writing", &aside))?;
    user.own(&aside)?;
    fs::rename(&aside, path).map_err(Error::io("moving", &aside))
}
