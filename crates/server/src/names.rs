//! How instances are reached: under a domain (told apart by SNI), at a loopback address of their own, or
//! all at one address (told apart by start-up option or token).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use lakeport_control::supervisor::{OnFailure, Supervisor};
use lakeport_control::{HostName, Naming, OpenSession};
use lakeport_gateway::{Gateway, Opened, tls_config};
use lakeport_store::{Instance, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ports;
use crate::tls::Certificates;
use crate::{Config, Error, Result};

const READ_WRITE: &str = "instance-";
/// Hosts of a block that instances get; .0, .1 and .255 stay free.
const HOSTS: std::ops::RangeInclusive<u8> = 2..=254;

enum Mode {
    /// `instance-<uid>.<domain>`.
    Domain(String),
    /// An address of `127.<block>.x` for each instance.
    Loopback { block: [u8; 2] },
    /// One address, by this name.
    Shared { host: String },
}

/// A listener of one instance.
struct Announced {
    address: IpAddr,
    instance: lakeport_gateway::Instance,
    cancel: CancellationToken,
}

pub(crate) struct Names {
    mode: Mode,
    port: u16,
    store: Store,
    certificates: Certificates,
    supervisor: Supervisor,
    /// Set once: the gateway's route needs the names, and the names need the gateway.
    gateway: OnceLock<Arc<Gateway>>,
    listeners: Mutex<HashMap<Uuid, Announced>>,
    announcing: tokio::sync::Mutex<()>,
}

/// How instances will be reached, with the port found free.
pub(crate) struct Entrance {
    mode: Mode,
    port: u16,
    /// The address that all instances share, if they do.
    shared: Option<TcpListener>,
}

impl Entrance {
    pub(crate) async fn bind(config: &Config) -> Result<Self> {
        let loopback = cfg!(target_os = "linux") && config.pg_addr.is_none();
        let mode = match &config.domain {
            Some(domain) => Mode::Domain(domain.clone()),
            None if loopback => Mode::Loopback { block: block_of(&config.data_dir) },
            None => Mode::Shared { host: shared_host(config.pg_addr) },
        };
        let address = match (&mode, config.pg_addr) {
            (_, Some(address)) => address,
            (Mode::Loopback { block: [a, b] }, None) => Ipv4Addr::new(127, *a, *b, 1).into(),
            (_, None) => Ipv4Addr::LOCALHOST.into(),
        };
        let wanted = SocketAddr::new(address, config.pg_port);
        let listener = TcpListener::bind(wanted)
            .await
            .map_err(|error| Error::Port(ports::explain("--pg-port", wanted, &error)))?;
        let bound = listener.local_addr();
        let port = bound.map_err(Error::io("reading the address of", "the gateway"))?.port();
        let shared = (!matches!(mode, Mode::Loopback { .. })).then_some(listener);
        Ok(Self { mode, port, shared })
    }
}

impl Names {
    pub(crate) fn open(
        entrance: Entrance,
        store: Store,
        certificates: Certificates,
        supervisor: Supervisor,
    ) -> (Self, Option<TcpListener>) {
        let names = Self {
            mode: entrance.mode,
            port: entrance.port,
            store,
            certificates,
            supervisor,
            gateway: OnceLock::new(),
            listeners: Mutex::default(),
            announcing: tokio::sync::Mutex::default(),
        };
        (names, entrance.shared)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Gives the gateway, and serves the shared listener with it.
    pub(crate) fn connect(&self, gateway: Arc<Gateway>, shared: Option<TcpListener>) -> Result<()> {
        if let Some(listener) = shared {
            let mut names = vec![String::from("localhost"), String::from("127.0.0.1")];
            match &self.mode {
                Mode::Domain(domain) => names.extend([format!("*.{domain}"), domain.clone()]),
                Mode::Shared { host } if !names.contains(host) => names.push(host.clone()),
                _ => {}
            }
            self.serve(&gateway, listener, names, CancellationToken::new())?;
        }
        // Connected once, at start-up.
        let _ = self.gateway.set(gateway);
        Ok(())
    }

    fn serve(
        &self,
        gateway: &Arc<Gateway>,
        listener: TcpListener,
        names: Vec<String>,
        stop: CancellationToken,
    ) -> Result<()> {
        let tls = tls_config(self.certificates.resolver(names)?);
        let gateway = Arc::clone(gateway);
        self.supervisor.spawn("gateway listener", OnFailure::Log, |cancel| async move {
            let serving = CancellationToken::new();
            let ended = serving.clone().drop_guard();
            tokio::select! {
                () = gateway.serve(listener, tls, serving) => {}
                () = cancel.cancelled() => {}
                () = stop.cancelled() => {}
            }
            drop(ended);
            Ok::<(), String>(())
        });
        Ok(())
    }

    /// The instance at a local address that a client reached.
    pub(crate) fn at(&self, address: IpAddr) -> Option<lakeport_gateway::Instance> {
        let listeners = self.listeners();
        let found = listeners.values().find(|announced| announced.address == address);
        found.map(|announced| announced.instance.clone())
    }

    fn listeners(&self) -> MutexGuard<'_, HashMap<Uuid, Announced>> {
        // The map is whole at every point where a holder could panic.
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens at the instance's own address. An instance that an older version has left without one gets one.
    async fn listen(
        &self,
        instance: &Instance,
        block: [u8; 2],
    ) -> std::result::Result<(TcpListener, IpAddr), String> {
        if let Some(address) = instance.address.as_deref().and_then(|text| text.parse().ok()) {
            let wanted = SocketAddr::new(address, self.port);
            let listener = TcpListener::bind(wanted)
                .await
                .map_err(|error| ports::explain("--pg-port", wanted, &error))?;
            return Ok((listener, address));
        }
        let (listener, address) = self.bind_free(block).await?;
        let set = self.store.set_instance_address(instance.uid, &address.to_string()).await;
        set.map_err(|error| error.to_string())?;
        Ok((listener, address))
    }

    /// A listener at the next address that no instance has.
    async fn bind_free(
        &self,
        block: [u8; 2],
    ) -> std::result::Result<(TcpListener, IpAddr), String> {
        let taken = self.store.instance_addresses().await.map_err(|error| error.to_string())?;
        for address in addresses(block).filter(|address| !taken.contains(&address.to_string())) {
            let address = IpAddr::V4(address);
            // In use by someone else: the next one may be free.
            if let Ok(listener) = TcpListener::bind(SocketAddr::new(address, self.port)).await {
                return Ok((listener, address));
            }
        }
        let [a, b] = block;
        Err(format!(
            "no loopback address from 127.{a}.{b}.2 on has port {} free; find who listens with \
             `ss -ltnp 'sport = :{}'`",
            self.port, self.port
        ))
    }
}

#[async_trait]
impl Naming for Names {
    fn port(&self) -> u16 {
        self.port
    }

    fn read_write_dns(&self, instance: &Instance) -> Option<String> {
        match &self.mode {
            Mode::Domain(domain) => Some(format!("{READ_WRITE}{}.{domain}", instance.uid)),
            Mode::Loopback { .. } => instance.address.clone(),
            Mode::Shared { host } => Some(host.clone()),
        }
    }

    fn parse(&self, host: &str) -> Option<HostName> {
        match &self.mode {
            Mode::Domain(domain) => {
                let label = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
                Uuid::parse_str(label.strip_prefix(READ_WRITE)?).ok().map(HostName::Uid)
            }
            Mode::Loopback { .. } => {
                host.parse::<IpAddr>().ok().map(|address| HostName::Address(address.to_string()))
            }
            Mode::Shared { .. } => None,
        }
    }

    fn announced(&self, instance: &Instance) -> bool {
        !matches!(self.mode, Mode::Loopback { .. }) || self.listeners().contains_key(&instance.uid)
    }

    async fn free_address(&self) -> std::result::Result<Option<String>, String> {
        let Mode::Loopback { block } = self.mode else { return Ok(None) };
        let (_, address) = self.bind_free(block).await?;
        Ok(Some(address.to_string()))
    }

    async fn announce(&self, instance: &Instance) -> std::result::Result<(), String> {
        // A create and the reconciler may do it at the same time; one address is bound once.
        let _one_at_a_time = self.announcing.lock().await;
        let (Mode::Loopback { block }, false) = (&self.mode, self.announced(instance)) else {
            return Ok(());
        };
        let gateway = self.gateway.get().ok_or("the gateway does not run yet")?;
        let (listener, address) = self.listen(instance, *block).await?;
        let cancel = CancellationToken::new();
        let names = vec![address.to_string(), String::from("localhost")];
        self.serve(gateway, listener, names, cancel.clone()).map_err(|error| error.to_string())?;
        let known = lakeport_gateway::Instance {
            uid: instance.uid.to_string(),
            name: instance.name.clone(),
        };
        self.listeners().insert(instance.uid, Announced { address, instance: known, cancel });
        Ok(())
    }

    async fn withdraw(&self, instance: &Instance) {
        if let Some(announced) = self.listeners().remove(&instance.uid) {
            announced.cancel.cancel();
        }
        self.close_sessions(instance);
    }

    fn close_sessions(&self, instance: &Instance) {
        if let Some(gateway) = self.gateway.get() {
            gateway.close_sessions(&instance.uid.to_string());
        }
    }

    fn open_sessions(&self) -> Vec<OpenSession> {
        let open = self.gateway.get().map(|gateway| gateway.open_sessions()).unwrap_or_default();
        open.into_iter().filter_map(to_control).collect()
    }

    fn end_sessions(&self, of: &OpenSession) {
        if let Some(gateway) = self.gateway.get() {
            gateway.close_sessions_of(&to_gateway(of.clone()));
        }
    }
}

fn to_control(Opened { uid, subject, role, token_id, origin }: Opened) -> Option<OpenSession> {
    let origin = origin.map(|id| Uuid::parse_str(&id)).transpose().ok()?;
    Some(OpenSession { instance: Uuid::parse_str(&uid).ok()?, subject, role, token_id, origin })
}

fn to_gateway(session: OpenSession) -> Opened {
    let OpenSession { instance, subject, role, token_id, origin } = session;
    let origin = origin.as_ref().map(Uuid::to_string);
    Opened { uid: instance.to_string(), subject, role, token_id, origin }
}

/// A block of 127/8 chosen from the data directory, so that two servers on one machine do not meet.
/// 127.0 stays free for others.
fn block_of(data_dir: &Path) -> [u8; 2] {
    let hash = digest(&SHA256, data_dir.as_os_str().as_encoded_bytes());
    let bytes = hash.as_ref();
    [64 + bytes[0] % 128, bytes[1]]
}

/// The block's addresses, then those of the blocks that follow.
fn addresses([a, b]: [u8; 2]) -> impl Iterator<Item = Ipv4Addr> {
    (0..=u8::MAX).flat_map(move |step| {
        HOSTS.map(move |host| Ipv4Addr::new(127, a, b.wrapping_add(step), host))
    })
}

fn shared_host(address: Option<IpAddr>) -> String {
    match address {
        Some(address) if !address.is_unspecified() && !address.is_loopback() => address.to_string(),
        _ => String::from("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_keep_away_from_the_usual_loopback() {
        for name in ["/a", "/b", "/srv/lakeport", "/tmp/x"] {
            let [a, _] = block_of(Path::new(name));
            assert!((64..192).contains(&a));
        }
        assert_ne!(block_of(Path::new("/a")), block_of(Path::new("/b")));
        let mut all = addresses([70, 255]);
        assert_eq!(all.next(), Some(Ipv4Addr::new(127, 70, 255, 2)));
        assert_eq!(all.nth(252), Some(Ipv4Addr::new(127, 70, 0, 2)));
    }
}
