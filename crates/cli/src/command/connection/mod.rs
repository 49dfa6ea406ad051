//! What it takes to connect to an instance: a program with a door of its own, or what it needs.
//!
//! Owns: the forms. Never: a token on a command line of another program.

pub(crate) mod env;
pub(crate) mod password;
pub(crate) mod pgpass;
pub(crate) mod program;
pub(crate) mod string;

use lakeport_client::Endpoint;

use crate::args::ConnectionArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::text::percent_encode;

async fn endpoint(context: &Context, args: &ConnectionArgs) -> Result<Endpoint, Failure> {
    Ok(context.client()?.endpoint(args.name.get(), args.port.port).await?)
}

/// libpq's URL, without a password if none is given.
fn url(endpoint: &Endpoint, password: Option<&str>, database: &str) -> String {
    let target = endpoint.target();
    let user = percent_encode(endpoint.user());
    let password = password.map(|text| format!(":{}", percent_encode(text))).unwrap_or_default();
    let host = match &target.host {
        address if address.contains(':') => format!("[{address}]"),
        name => name.clone(),
    };
    let (ssl_mode, ca_file) = endpoint.ssl_settings();
    let ca_file =
        ca_file.map(|path| format!("&sslrootcert={}", percent_encode(&path))).unwrap_or_default();
    let (port, database) = (target.port, percent_encode(database));
    format!("postgresql://{user}{password}@{host}:{port}/{database}?sslmode={ssl_mode}{ca_file}")
}
