//! The gateway's questions which instance is meant and where it runs, answered by `control`.

use std::sync::Arc;

use async_trait::async_trait;
use lakeport_control::{Availability, Control, HostName, Kind, Naming};
use lakeport_engine::{ClusterId, Endpoint};
use lakeport_gateway::{Backend, BackendFailure, Instance, Route, RouteFailure, Selector};
use uuid::Uuid;

use crate::names::Names;

pub(crate) struct Routes {
    pub(crate) control: Arc<Control>,
    pub(crate) names: Arc<Names>,
}

#[async_trait]
impl Route for Routes {
    async fn resolve(&self, selector: &Selector) -> Result<Option<Instance>, RouteFailure> {
        match selector {
            Selector::LocalAddress(address) => Ok(self.names.at(address.ip())),
            Selector::ServerName(name) => match self.names.parse(name) {
                Some(HostName::Uid(uid)) => self.instance(&uid.to_string()).await,
                _ => Ok(None),
            },
            Selector::Option(name) => match self.control.find_instance(name).await {
                Ok(instance) => Ok(Some(to_gateway(&instance))),
                Err(error) if error.kind() == Kind::NotFound => Ok(None),
                Err(_) => Err(RouteFailure::Unavailable),
            },
        }
    }

    async fn instance(&self, uid: &str) -> Result<Option<Instance>, RouteFailure> {
        let Ok(uid) = Uuid::parse_str(uid) else { return Ok(None) };
        let found =
            self.control.store.instance(uid).await.map_err(|_| RouteFailure::Unavailable)?;
        Ok(found.as_ref().map(to_gateway))
    }

    async fn backend(&self, uid: &str) -> Result<Backend, BackendFailure> {
        let uid = Uuid::parse_str(uid).map_err(|_| BackendFailure::Unavailable)?;
        if self.control.ready.contains(uid) {
            return Ok(self.socket(uid));
        }
        let found = self.control.store.instance(uid).await;
        let instance = found.ok().flatten().ok_or(BackendFailure::Unavailable)?;
        let seen = Availability::of(&instance).map_err(|_| BackendFailure::Unavailable)?;
        self.backend_of(uid, &instance.name, seen)
    }

    async fn backend_once_started(&self, instance: &Instance) -> Result<Backend, BackendFailure> {
        let uid = Uuid::parse_str(&instance.uid).map_err(|_| BackendFailure::Unavailable)?;
        let seen = self.control.availability_once_started(uid).await;
        self.backend_of(uid, &instance.name, seen.map_err(|_| BackendFailure::Unavailable)?)
    }
}

impl Routes {
    fn backend_of(
        &self,
        uid: Uuid,
        name: &str,
        seen: Availability,
    ) -> Result<Backend, BackendFailure> {
        let name = name.to_owned();
        match seen {
            Availability::Available => Ok(self.socket(uid)),
            Availability::Starting => Err(BackendFailure::Starting { name }),
            Availability::Stopped => Err(BackendFailure::Stopped { name }),
            Availability::Deleted => Err(BackendFailure::Deleting { name }),
            Availability::Failed(reason) => Err(BackendFailure::Failed { name, reason }),
        }
    }

    fn socket(&self, uid: Uuid) -> Backend {
        let Endpoint::UnixSocket(socket) = self.control.engine.endpoint(&ClusterId::from(uid));
        Backend { socket }
    }
}

fn to_gateway(instance: &lakeport_store::Instance) -> Instance {
    Instance { uid: instance.uid.to_string(), name: instance.name.clone() }
}
