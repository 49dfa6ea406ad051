//! `lakebase_connect`: a connection for another program, whose token nobody sees.
//!
//! Owns: the sockets of one server of the tools, which end with it. Only where the tools run on the
//! agent's own machine: elsewhere a socket is of no use to it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use lakeport_client::Forwarder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Hints, Tool, database_or_default};
use crate::call::{Call, Result};
use crate::{Access, door};

pub(super) struct Connect;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Arguments {
    /// Instance to connect to
    instance_name: String,
    /// Database of the instance; databricks_postgres by default
    database_name: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Output {
    /// Folder of a unix socket, which libpq takes as a host
    host: String,
    port: u16,
    user: String,
    database: String,
    /// For libpq and what is built on it; it needs no password
    connection_string: String,
    message: &'static str,
}

/// Open sockets, one an instance.
#[derive(Default)]
pub(crate) struct Doors(Mutex<HashMap<String, (Forwarder, String)>>);

impl Tool for Connect {
    const NAME: &str = "lakebase_connect";
    const TITLE: &str = "Open a connection for a program";
    const DESCRIPTION: &str = "Opens a private unix socket to an instance for programs on this machine, such \
        as psql, a migration tool or a test. It takes no password: tokens are supplied and renewed on the \
        way. It closes when this MCP server ends.";
    const NEEDS: Access = Access::Write;
    const HINTS: Hints = Hints { read_only: false, destructive: false, idempotent: true };
    const LOCAL: bool = true;
    type Arguments = Arguments;
    type Output = Output;

    async fn run(call: &Call, arguments: Arguments) -> Result<Output> {
        let database = database_or_default(arguments.database_name);
        // Of two sockets to one instance the older one stays: programs may be using it.
        let (forwarder, user) = door::open(call, &arguments.instance_name).await?;
        let (host, port, user) = call.shared.doors.keep(arguments.instance_name, forwarder, user);
        let connection_string =
            format!("host={host} port={port} user={} dbname={}", quoted(&user), quoted(&database));
        Ok(Output {
            host,
            port,
            user,
            database,
            connection_string,
            message: "Connect without a password; sslmode does not matter on a private socket.",
        })
    }
}

impl Doors {
    /// Closes all, with the connections through them, and removes their sockets.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The socket that is open already, or this one.
    fn keep(&self, instance: String, door: Forwarder, user: String) -> (String, u16, String) {
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (door, user) = doors.entry(instance).or_insert((door, user));
        (door.dir().display().to_string(), door.port(), user.clone())
    }
}

/// A value of libpq's keyword form.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
