//! From the name of an instance to a private socket in front of it, and the caller's role there.
//!
//! Never: the token, which stays between the API and the socket.

use lakeport_client::Forwarder;

use crate::call::{Call, Result};

pub(crate) async fn open(call: &Call, instance: &str) -> Result<(Forwarder, String)> {
    let endpoint = call.client().endpoint(instance, call.settings().pg_port).await?;
    Ok((endpoint.forward().await?, endpoint.user().to_owned()))
}
