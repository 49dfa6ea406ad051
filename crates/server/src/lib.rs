//! Assembly: a configuration becomes a running server. REST and OAuth are thin views over the services of
//! `control`; where two parts must meet, the ten lines between them are here.
//!
//! Owns: start-up, wiring, HTTP, shutdown. Never: decisions about resources, or SQL.

mod authenticate;
mod boot;
pub mod config;
mod error;
mod https;
mod lock;
mod names;
mod ports;
mod profile;
mod rest;
mod route;
mod sync;
mod tls;
#[cfg(test)]
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lakeport_control::supervisor::{OnFailure, Supervisor};
use lakeport_control::{Control, reconcile};
use lakeport_engine::local::LocalEngine;
use lakeport_engine::{ClusterId, Engine};
use lakeport_gateway::Gateway;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::{Config, Settings};
pub use error::Error;

pub type Result<T> = std::result::Result<T, Error>;

/// Sessions get this long to end after their clients were told.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Passes of the reconcilers get this long to come to an end.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How often the pool of prepared clusters is looked after.
const POOL_TICK: Duration = Duration::from_millis(500);

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
    keep_databases: bool,
    own_metadata: bool,
    // Held for as long as the data directory is in use.
    _lock: lock::DirectoryLock,
}

/// Starts everything; returns when it serves.
pub async fn start(config: Config) -> Result<Running> {
    // Ports first: a taken one is found before anything is made.
    let http = ports::bind_http("--http-addr", config.http_addr).await?;
    let https = match config.https_addr {
        Some(address) => Some(ports::bind_http("--https-addr", address).await?),
        None => None,
    };
    let lock = lock::DirectoryLock::take(&config.data_dir)?;
    let supervisor = Supervisor::default();
    let parts = boot::boot(&config, &supervisor).await?;
    let http_address = local_address(&http)?;
    let https_address = https.as_ref().map(local_address).transpose()?;

    let running = Running {
        http: format!("http://{}", ports::reachable(http_address)),
        https: https_address.map(|address| format!("https://{}", ports::reachable(address))),
        data_dir: config.data_dir.clone(),
        pg_port: parts.names.port(),
        supervisor,
        control: parts.control,
        engine: parts.engine,
        gateway: parts.gateway,
        keep_databases: config.keep_databases,
        own_metadata: config.metadata_url.is_none(),
        _lock: lock,
    };
    profile::write(&running, &config, &parts.authority).await?;
    running.control.settle_states().await.map_err(Error::control("looking at instances"))?;
    running.spawn_tasks();
    let app = rest::App {
        control: Arc::clone(&running.control),
        credentials_jwks: parts.jwks,
        workspace_id: parts.workspace_id,
        account_id: parts.account_id,
    };
    running.spawn_http("http", http, rest::router(app.clone(), "http"));
    if let (Some(listener), Some(address)) = (https, https_address) {
        let tls = tls::https_config(&parts.certificates, address, config.domain.as_deref())?;
        let router = rest::router(app, "https");
        let listener = https::TlsListener::new(listener, tls);
        running.spawn_http("https", listener, router);
    }
    Ok(running)
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr> {
    listener.local_addr().map_err(Error::io("reading the address of", "a listener"))
}

impl Running {
    fn spawn_tasks(&self) {
        let control = Arc::clone(&self.control);
        self.supervisor
            .spawn("reconcilers", OnFailure::ShutDown, |cancel| reconcile::run(control, cancel));
        let engine = Arc::clone(&self.engine);
        self.supervisor.spawn("pool", OnFailure::Log, |cancel| fill_pool(engine, cancel));
    }

    fn spawn_http<L>(&self, name: &str, listener: L, router: axum::Router)
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        self.supervisor.spawn(name, OnFailure::ShutDown, |cancel| async move {
            axum::serve(listener, router).with_graceful_shutdown(cancel.cancelled_owned()).await
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

/// Keeps prepared clusters ready; what keeps it from that is logged once, and tried again.
async fn fill_pool(
    engine: Arc<LocalEngine>,
    cancel: CancellationToken,
) -> std::result::Result<(), String> {
    let mut complained = false;
    while !cancel.is_cancelled() {
        match cancel.run_until_cancelled(engine.fill_pool()).await {
            Some(Err(error)) if !complained => {
                tracing::warn!(%error, "preparing clusters failed; instances are made without");
                complained = true;
            }
            Some(Ok(())) => complained = false,
            _ => {}
        }
        cancel.run_until_cancelled(tokio::time::sleep(POOL_TICK)).await;
    }
    Ok(())
}
