//! The configuration files of a cluster: settings, who may log in how, and the ident map. They lie beside
//! the data, where the server can read and not write them.

use std::fs;
use std::path::Path;

use super::layout::{Layout, write_durably};
use super::os_user::OsUser;
use crate::{ADMIN_ROLE, ClusterId, Result, SUPERUSER_GROUP, Settings, WRITER_ROLE};

/// Before 16, a map cannot let one OS user be every role.
const MAP_ALL_SINCE: u32 = 16;

/// What a configuration says of this machine, beside the settings that were asked for.
pub(crate) struct Machine<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) user: &'a OsUser,
    pub(crate) major: u32,
    /// Modules that the server loads at its start.
    pub(crate) preloaded: &'a [String],
}

/// Writes all of them; the settings last, because they are the mark of a finished pass.
pub(crate) fn write(machine: &Machine<'_>, id: &ClusterId, settings: &Settings) -> Result<()> {
    let Machine { layout, user, major, .. } = machine;
    let cluster = layout.cluster(id);
    write_durably(&cluster.join("pg_hba.conf"), &hba(user, *major))?;
    write_durably(&cluster.join("pg_ident.conf"), &ident(user))?;
    let text = format!("{}{}", places(machine, id), settings.to_conf());
    write_durably(&layout.settings_file(id), &text)
}

/// The settings that a cluster was configured with, if everything around them is as it would be written
/// now: a moved directory, another OS user or other modules need the files anew.
pub(crate) fn fingerprint(machine: &Machine<'_>, id: &ClusterId) -> Option<String> {
    let Machine { layout, user, major, .. } = machine;
    let cluster = layout.cluster(id);
    let same = |name: &str, wanted: String| {
        fs::read_to_string(cluster.join(name)).is_ok_and(|found| found == wanted)
    };
    if !same("pg_hba.conf", hba(user, *major)) || !same("pg_ident.conf", ident(user)) {
        return None;
    }
    let conf = fs::read_to_string(layout.settings_file(id)).ok()?;
    conf.strip_prefix(&places(machine, id)).map(str::to_owned)
}

fn places(machine: &Machine<'_>, id: &ClusterId) -> String {
    let quoted = |path: std::path::PathBuf| path.display().to_string().replace('\'', "''");
    let layout = machine.layout;
    let cluster = layout.cluster(id);
    format!(
        "hba_file = '{}'\nident_file = '{}'\nunix_socket_directories = '{}'\ncluster_name = '{id}'\n\
         shared_preload_libraries = '{}'\n",
        quoted(cluster.join("pg_hba.conf")),
        quoted(cluster.join("pg_ident.conf")),
        quoted(layout.sockets(id)),
        machine.preloaded.join(","),
    )
}

/// What `databricks_create_role` reads, at a place that is fixed in its script.
pub(crate) fn publish_identities(cluster: &Path, json: &str) -> Result<()> {
    let path = cluster.join("identities.json");
    if fs::read_to_string(&path).is_ok_and(|known| known == json) {
        return Ok(());
    }
    write_durably(&path, json)
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
