//! Where an instance is reached, as whom, and with which password.
//!
//! Owns: asking the API for all three. Never: SQL.

use std::sync::Arc;

use lakeport_api::{DatabaseInstance, InstanceState};

use crate::live_token::LiveToken;
use crate::{Client, Error, Forwarder, Result, Target};

/// What a connection to one instance needs. Cheap to clone; clones share the password at hand.
#[derive(Debug, Clone)]
pub struct Endpoint {
    instance: String,
    user: String,
    target: Target,
    passwords: Arc<LiveToken>,
}

impl Client {
    /// `port` is the one thing that the API does not tell: 5432, unless the server was told otherwise.
    ///
    /// # Errors
    /// With the reason, if nobody can connect now.
    pub async fn endpoint(&self, instance: &str, port: u16) -> Result<Endpoint> {
        let found = self.get_database_instance(instance).await?;
        let host = reachable(&found)?;
        let user = self.current_user().await?.into_inner().user_name;
        let instance = found.into_inner().name;
        Ok(Endpoint {
            user,
            target: Target { host, port, ca_file: self.profile().ca_file.clone() },
            passwords: Arc::new(self.passwords(&instance)),
            instance,
        })
    }
}

impl Endpoint {
    /// The instance's own name, also if it was asked for by another.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    #[must_use]
    pub fn passwords(&self) -> &LiveToken {
        &self.passwords
    }

    /// libpq's `sslmode` and `sslrootcert`: the server is verified where its CA is known.
    #[must_use]
    pub fn ssl_settings(&self) -> (&'static str, Option<String>) {
        match &self.target.ca_file {
            Some(path) => ("verify-full", Some(path.display().to_string())),
            None => ("require", None),
        }
    }

    /// A private socket in front of the instance; the token never leaves this process but to it.
    ///
    /// # Errors
    /// If the host, the CA file or the temporary directory cannot be used.
    pub async fn forward(&self) -> Result<Forwarder> {
        Forwarder::with_tokens(&self.target, Arc::clone(&self.passwords)).await
    }
}

fn reachable(instance: &DatabaseInstance) -> Result<String> {
    let name = instance.name.clone();
    match instance.state {
        Some(InstanceState::Available) => {}
        Some(InstanceState::Stopped) => return Err(Error::Stopped { name }),
        state => {
            let state = state.unwrap_or(InstanceState::StateUnspecified);
            let message = instance.status_message.clone();
            return Err(Error::NotAvailable { name, state, message });
        }
    }
    let host = instance.read_write_dns.clone().or(instance.read_only_dns.clone());
    host.filter(|host| !host.is_empty()).ok_or(Error::NoHostName { name })
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
        let hint = reachable(&instance).unwrap_err().hint().unwrap();
        assert!(hint.contains("lakeport instance start x"), "{hint}");
        instance.state = Some(InstanceState::Available);
        assert_eq!(reachable(&instance).unwrap(), "127.0.0.9");
        instance.state = None;
        assert!(reachable(&instance).is_err());
    }
}
