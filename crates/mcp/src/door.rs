//! From the name of an instance to a private socket in front of it, and the caller's role there.
//!
//! Owns: finding out, and saying why nobody can connect now. Never: the token, which stays between the
//! API and the socket.

use lakeport_api::{DatabaseInstance, InstanceState};
use lakeport_client::{Forwarder, Target};

use crate::call::{Call, Result};
use crate::failure::{Failure, code};
use crate::tool::find_instance;

pub(crate) async fn open(call: &Call, instance: &str) -> Result<(Forwarder, String)> {
    let client = call.client();
    let found = find_instance(client, instance).await?;
    let host = reachable(&found)?;
    let user = client.current_user().await?.into_inner().user_name;
    let ca_file = client.profile().ca_file.clone();
    let target = Target { host, port: call.settings().pg_port, ca_file };
    let (client, name) = (client.clone(), found.name);
    let mint = move || {
        let (client, name) = (client.clone(), name.clone());
        async move { client.mint(&name).await }
    };
    Ok((Forwarder::start(&target, mint).await?, user))
}

fn reachable(instance: &DatabaseInstance) -> Result<String, Failure> {
    let name = &instance.name;
    let state = instance.state.unwrap_or(InstanceState::StateUnspecified);
    if state == InstanceState::Stopped {
        return Err(Failure::new(code::STATE, format!("instance `{name}` is stopped"))
            .hint("start it with manage_lakebase_database: create_or_update with stopped false"));
    }
    if state != InstanceState::Available {
        let message = format!("instance `{name}` is not available but {state:?}");
        return Err(Failure::new(code::STATE, message).hint("ask again in a moment"));
    }
    let host = instance.read_write_dns.clone().filter(|host| !host.is_empty());
    host.ok_or_else(|| Failure::new(code::STATE, format!("instance `{name}` has no host name yet")))
}
