//! Assembly: a configuration becomes a running server. REST and OAuth are thin views over the services of
//! `control`; where two parts must meet, the ten lines between them are here.
//!
//! Owns: start-up, wiring, HTTP, shutdown. Never: decisions about resources, or SQL.

mod audit;
mod authenticate;
mod boot;
pub mod config;
mod delivery;
mod error;
mod files;
mod http;
mod lock;
mod mcp;
mod metrics;
mod names;
mod oauth;
mod ports;
mod profile;
mod rest;
mod route;
mod stores;
mod sync;
mod tls;
mod web;
mod witness;
#[cfg(test)]
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakeport_control::supervisor::{OnFailure, Supervisor};
use lakeport_control::{Control, reconcile, settle_apps};
use lakeport_engine::local::LocalEngine;
use lakeport_engine::{ClusterId, Engine, Observed, Process};
use lakeport_gateway::Gateway;
use lakeport_identity::Vault;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{Config, Settings, default_data_dir};
pub use error::Error;
pub use stores::{CatalogSettings, ObjectStoreSettings};

pub type Result<T> = std::result::Result<T, Error>;

/// Sessions get this long to end after their clients were told.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Passes of the reconcilers get this long to come to an end.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How often signing keys that another server has made or retired are looked for.
const KEYS_TICK: Duration = Duration::from_secs(60);
/// How often the pool of prepared clusters is looked after, and how rarely while that fails.
const POOL_TICK: Duration = Duration::from_millis(500);
const POOL_LONGEST: Duration = Duration::from_secs(60);
/// How often it is looked for logs that have grown too large.
const LOGS_TICK: Duration = Duration::from_secs(60);
/// How often the metadata cluster is looked at.
const METADATA_TICK: Duration = Duration::from_secs(1);

/// A server that serves.
pub struct Running {
    pub http: String,
    pub https: Option<String>,
    pub data_dir: PathBuf,
    pub pg_port: u16,
    supervisor: Supervisor,
    control: Arc<Control>,
    engine: Arc<LocalEngine>,
    gateway: Arc<Gateway>,
    witness: Arc<witness::Witness>,
    keep_databases: bool,
    own_metadata: bool,
    // Held for as long as the data directory is in use.
    _lock: lock::DirectoryLock,
}

/// Starts everything; returns when it serves. A start that fails leaves nothing running that it began.
pub async fn start(config: Config) -> Result<Running> {
    files::allow_many();
    // Ports first: a taken one is found before anything is made.
    let listeners = Listeners::bind(&config).await?;
    let lock = lock::DirectoryLock::take(&config.data_dir)?;
    let (vault, engine) = boot::open_engine(&config).await?;
    let supervisor = Supervisor::default();
    match assemble(&config, listeners, lock, vault, &engine, &supervisor).await {
        Ok(running) => Ok(running),
        Err(error) => {
            supervisor.shut_down(STOP_LIMIT).await;
            if config.metadata_url.is_none()
                && let Err(error) = engine.stop(&ClusterId::system()).await
            {
                tracing::error!(%error, "the metadata cluster did not stop");
            }
            Err(error)
        }
    }
}

/// The addresses of this server, bound.
struct Listeners {
    http: TcpListener,
    https: Option<TcpListener>,
    gateway: names::Entrance,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self> {
        let https = match config.https_addr {
            Some(address) => Some(ports::bind_http("--https-addr", address).await?),
            None => None,
        };
        Ok(Self {
            http: ports::bind_http("--http-addr", config.http_addr).await?,
            https,
            gateway: names::Entrance::bind(config).await?,
        })
    }
}

async fn assemble(
    config: &Config,
    listeners: Listeners,
    lock: lock::DirectoryLock,
    vault: Arc<Vault>,
    engine: &Arc<LocalEngine>,
    supervisor: &Supervisor,
) -> Result<Running> {
    let Listeners { http, https, gateway } = listeners;
    let parts = boot::boot(config, vault, engine, gateway, supervisor).await?;
    let https = match https {
        Some(listener) => {
            let address = local_address(&listener)?;
            let tls = tls::https_config(&parts.certificates, address, config.domain.as_deref())?;
            Some((address, listener, tls))
        }
        None => None,
    };
    let reachable = |address| ports::reachable(address).to_string();
    let running = Running {
        http: format!("http://{}", reachable(local_address(&http)?)),
        https: https.as_ref().map(|(address, ..)| format!("https://{}", reachable(*address))),
        data_dir: config.data_dir.clone(),
        pg_port: parts.names.port(),
        supervisor: supervisor.clone(),
        control: parts.control,
        engine: Arc::clone(engine),
        gateway: parts.gateway,
        witness: Arc::clone(&parts.witness),
        keep_databases: config.keep_databases,
        own_metadata: config.metadata_url.is_none(),
        _lock: lock,
    };
    profile::write(&running, config, &parts.authority).await?;
    running.control.settle_states().await.map_err(Error::control("looking at instances"))?;
    running.control.settle_creates().await.map_err(Error::control("looking at creates"))?;
    let app = rest::App {
        control: Arc::clone(&running.control),
        gateway: Arc::clone(&running.gateway),
        witness: parts.witness,
        guesses: Arc::default(),
        workspace_id: parts.workspace_id,
        account_id: parts.account_id,
        open_metrics: config.open_metrics,
    };
    let ca_file = config.data_dir.join("ca.pem");
    let mcp = mcp::Mcp::new(config, &running.http, running.pg_port, ca_file)?.seen_by(&app.witness);
    running.spawn_tasks(parts.certificates);
    running.spawn_http("http", http, None, rest::router(app.clone(), &mcp, "http"));
    if let Some((_, listener, tls)) = https {
        running.spawn_http("https", listener, Some(tls), rest::router(app, &mcp, "https"));
    }
    Ok(running)
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(Error::io("reading the address of", "a listener"))
}

impl Running {
    fn spawn_tasks(&self, certificates: tls::Certificates) {
        let control = Arc::clone(&self.control);
        self.supervisor
            .spawn("reconcilers", OnFailure::ShutDown, |cancel| reconcile::run(control, cancel));
        let control = Arc::clone(&self.control);
        self.supervisor.spawn("upgrade of synced tables", OnFailure::Log, |cancel| {
            reconcile::reload_misread(control, cancel)
        });
        let control = Arc::clone(&self.control);
        self.supervisor.spawn("apps", OnFailure::ShutDown, |cancel| settle_apps(control, cancel));
        let engine = Arc::clone(&self.engine);
        self.supervisor.spawn("pool", OnFailure::Log, |cancel| fill_pool(engine, cancel));
        let engine = Arc::clone(&self.engine);
        self.supervisor.spawn("logs", OnFailure::Log, |cancel| trim_logs(engine, cancel));
        if self.own_metadata {
            let engine = Arc::clone(&self.engine);
            self.supervisor
                .spawn("metadata", OnFailure::Log, |cancel| keep_metadata(engine, cancel));
        }
        let control = Arc::clone(&self.control);
        self.supervisor.spawn("signing keys", OnFailure::Log, |cancel| watch_keys(control, cancel));
        self.supervisor.spawn("certificates", OnFailure::Log, |cancel| certificates.watch(cancel));
        let gateway = Arc::clone(&self.gateway);
        self.supervisor.spawn("session limits", OnFailure::Log, |cancel| async move {
            gateway.watch_sessions(cancel).await;
            Ok::<(), String>(())
        });
    }

    fn spawn_http(
        &self,
        name: &str,
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        router: axum::Router,
    ) {
        self.supervisor.spawn(name, OnFailure::ShutDown, |cancel| {
            http::serve(listener, tls, router, cancel, DRAIN_LIMIT)
        });
    }

    /// Ends when the server was told to stop, or an essential task has failed.
    pub async fn failed(&self) {
        self.supervisor.cancelled().cancelled().await;
    }

    /// No new work, then sessions, then tasks, then servers.
    pub async fn shut_down(self) -> Result<()> {
        tracing::info!("stopping");
        self.gateway.drain(DRAIN_LIMIT).await;
        if !self.supervisor.shut_down(STOP_LIMIT).await {
            tracing::warn!("some tasks did not end in time");
        }
        self.witness.flush().await;
        if self.keep_databases {
            tracing::info!("the databases run on; the next `lakeport serve` adopts them");
        } else {
            self.stop_databases().await;
        }
        if self.own_metadata {
            self.engine.stop(&ClusterId::system()).await?;
        }
        Ok(())
    }

    async fn stop_databases(&self) {
        let instances = match self.control.store.instances_of_node(self.control.node).await {
            Ok(instances) => instances,
            Err(error) => {
                tracing::error!(%error, "the databases are not known, so they run on");
                return;
            }
        };
        let mut stops = tokio::task::JoinSet::new();
        for instance in instances {
            let engine = Arc::clone(&self.engine);
            stops.spawn(async move {
                if let Err(error) = engine.stop(&ClusterId::from(instance.uid)).await {
                    tracing::error!(instance.name, %error, "a database did not stop");
                }
            });
        }
        stops.join_all().await;
    }
}

/// Starts the metadata cluster again when it has died: nothing works without it.
async fn keep_metadata(
    engine: Arc<LocalEngine>,
    cancel: CancellationToken,
) -> std::result::Result<(), String> {
    let id = ClusterId::system();
    while cancel.run_until_cancelled(tokio::time::sleep(METADATA_TICK)).await.is_some() {
        let seen = engine.observe(&id).await;
        if matches!(seen, Observed::Present { process: Process::Down, .. })
            && let Err(error) = engine.start(&id).await
        {
            tracing::error!(%error, "the metadata cluster does not start; it is tried again");
        }
    }
    Ok(())
}

/// Keeps prepared clusters ready; what keeps it from that is tried again ever more rarely.
async fn fill_pool(
    engine: Arc<LocalEngine>,
    cancel: CancellationToken,
) -> std::result::Result<(), String> {
    let mut pause = POOL_TICK;
    while !cancel.is_cancelled() {
        match cancel.run_until_cancelled(engine.fill_pool()).await {
            Some(Err(error)) => {
                tracing::warn!(%error, "preparing clusters failed; instances are made without");
                pause = (pause * 2).min(POOL_LONGEST);
            }
            _ => pause = POOL_TICK,
        }
        cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
    Ok(())
}

/// Keeps the logs of the databases from filling the disk.
async fn trim_logs(
    engine: Arc<LocalEngine>,
    cancel: CancellationToken,
) -> std::result::Result<(), String> {
    while cancel.run_until_cancelled(tokio::time::sleep(LOGS_TICK)).await.is_some() {
        if let Err(error) = engine.trim_logs().await {
            tracing::warn!(%error, "a database's log was not cut; it is tried again");
        }
    }
    Ok(())
}

async fn watch_keys(
    control: Arc<Control>,
    cancel: CancellationToken,
) -> std::result::Result<(), String> {
    while cancel.run_until_cancelled(tokio::time::sleep(KEYS_TICK)).await.is_some() {
        if let Err(error) = control.reload_signing_keys().await {
            tracing::warn!(%error, "the signing keys could not be looked at; the known ones serve on");
        }
    }
    Ok(())
}
