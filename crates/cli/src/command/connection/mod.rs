//! Connections to an instance: psql, a connection string, environment variables.
//!
//! Owns: finding out where and as whom to connect. Never: a token on a command line of another program.

pub(crate) mod env;
pub(crate) mod psql;
pub(crate) mod string;

use std::path::PathBuf;

use lakeport_api::{DatabaseInstance, InstanceState};
use lakeport_client::{Client, Forwarder, Target};

use crate::failure::Failure;

/// Where an instance is reached, and as whom.
pub(crate) struct Endpoint {
    pub(crate) instance: String,
    pub(crate) host: String,
    pub(crate) user: String,
    pub(crate) ca_file: Option<PathBuf>,
}

impl Endpoint {
    /// Fails with the reason if nobody can connect now.
    pub(crate) async fn find(client: &Client, name: &str) -> Result<Self, Failure> {
        let instance = client.get_database_instance(name).await?;
        let host = reachable(&instance)?;
        let user = client.current_user().await?.into_inner().user_name;
        let ca_file = client.profile().ca_file.clone();
        Ok(Self { instance: instance.into_inner().name, host, user, ca_file })
    }

    /// A private socket in front of the instance; the token never leaves this process but to it.
    pub(crate) async fn open(&self, client: &Client, port: u16) -> Result<Forwarder, Failure> {
        let target = Target { host: self.host.clone(), port, ca_file: self.ca_file.clone() };
        let (client, instance) = (client.clone(), self.instance.clone());
        let mint = move || {
            let (client, instance) = (client.clone(), instance.clone());
            async move { client.mint(&instance).await }
        };
        Ok(Forwarder::start(&target, mint).await?)
    }

    /// libpq's settings: the server is verified where its CA is known.
    fn ssl_settings(&self) -> (&'static str, Option<String>) {
        match &self.ca_file {
            Some(path) => ("verify-full", Some(path.display().to_string())),
            None => ("require", None),
        }
    }
}

fn reachable(instance: &DatabaseInstance) -> Result<String, Failure> {
    let name = &instance.name;
    match instance.state {
        Some(InstanceState::Available) => {}
        Some(InstanceState::Stopped) => {
            return Err(Failure::new(format!("instance `{name}` is stopped"))
                .hint(format!("start it: lakeport instance start {name}")));
        }
        state => {
            let state = state.unwrap_or(InstanceState::StateUnspecified);
            let message = instance.status_message.as_deref().unwrap_or("try again in a moment");
            return Err(Failure::new(format!("instance `{name}` is not available but {state:?}"))
                .hint(message));
        }
    }
    let host = instance.read_write_dns.clone().or(instance.read_only_dns.clone());
    host.filter(|host| !host.is_empty())
        .ok_or_else(|| Failure::new(format!("instance `{name}` has no host name yet")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_available_instance_can_be_reached() {
        let mut instance = DatabaseInstance {
            name: String::from("x"),
            state: Some(InstanceState::Stopped),
            read_write_dns: Some(String::from("127.0.0.9")),
            ..DatabaseInstance::default()
        };
        let failure = format!("{:?}", reachable(&instance).unwrap_err());
        assert!(failure.contains("lakeport instance start x"), "{failure}");
        instance.state = Some(InstanceState::Available);
        assert_eq!(reachable(&instance).unwrap(), "127.0.0.9");
        instance.state = None;
        assert!(reachable(&instance).is_err());
    }
}
