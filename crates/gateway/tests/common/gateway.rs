//! A gateway on a free loopback port, with scripted answers to who a token is and where an
//! instance runs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lakeport_gateway::{
    AuthFailure, Authenticate, Backend, BackendFailure, Ended, Gateway, Identity, Instance, Limits,
    Login, Observe, Route, RouteFailure, Selector, TurnedAway, tls_config,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What the gateway is told.
#[derive(Default)]
pub(crate) struct Script {
    pub(crate) tokens: HashMap<String, Result<Identity, AuthFailure>>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) server_names: HashMap<String, String>,
    /// The instance that the listener's own address stands for.
    pub(crate) address: Option<String>,
    pub(crate) backends: HashMap<String, Result<PathBuf, BackendFailure>>,
    /// What becomes of an instance that starts, once that is known.
    pub(crate) started: watch::Sender<Option<Result<PathBuf, BackendFailure>>>,
    /// The lengths of the tokens that were looked at.
    pub(crate) looked_at: Mutex<Vec<usize>>,
}

impl Script {
    /// Two instances on one server; `alice-shop` is a token of alice for the first.
    pub(crate) fn with_server(socket: PathBuf) -> Self {
        let mut script = Self::default();
        for name in ["shop", "till"] {
            script.add(name, Ok(socket.clone()));
        }
        script.token("alice-shop", "alice", &["shop"]);
        script.token("alice-till", "alice", &["till"]);
        script.token("alice-both", "alice", &["shop", "till"]);
        script
    }

    pub(crate) fn add(&mut self, name: &str, backend: Result<PathBuf, BackendFailure>) {
        let uid = format!("uid-{name}");
        self.server_names.insert(format!("{name}.db.test"), uid.clone());
        self.backends.insert(uid.clone(), backend);
        self.instances.push(Instance { uid, name: name.to_owned() });
    }

    /// A token of `user`, who is in the group `clerks` too.
    pub(crate) fn token(&mut self, token: &str, user: &str, instances: &[&str]) {
        let identity = Identity {
            subject: user.to_owned(),
            roles: vec![user.to_owned(), "clerks".to_owned()],
            instances: instances.iter().map(|name| format!("uid-{name}")).collect(),
            token_id: format!("jti-{user}-{}", token.len()),
            origin: None,
            session_role: None,
        };
        self.tokens.insert(token.to_owned(), Ok(identity));
    }

    fn find(&self, uid: &str) -> Option<Instance> {
        self.instances.iter().find(|instance| instance.uid == uid).cloned()
    }
}

#[async_trait]
impl Authenticate for Script {
    async fn authenticate(&self, token: &str) -> Result<Identity, AuthFailure> {
        self.looked_at.lock().unwrap().push(token.len());
        self.tokens.get(token).cloned().unwrap_or(Err(AuthFailure::Invalid))
    }

    async fn authenticate_natively(
        &self,
        instance: &Instance,
        role: &str,
        password: &str,
    ) -> Result<Identity, AuthFailure> {
        let entry = format!("{role}:{password}@{}", instance.uid);
        self.tokens.get(&entry).cloned().unwrap_or(Err(AuthFailure::NotAToken))
    }
}

#[async_trait]
impl Route for Script {
    async fn resolve(&self, selector: &Selector) -> Result<Option<Instance>, RouteFailure> {
        let uid = match selector {
            Selector::ServerName(name) => self.server_names.get(name),
            Selector::LocalAddress(_) => self.address.as_ref(),
            Selector::Option(name) => {
                return Ok(self.instances.iter().find(|one| one.name == *name).cloned());
            }
        };
        Ok(uid.and_then(|uid| self.find(uid)))
    }

    async fn instance(&self, uid: &str) -> Result<Option<Instance>, RouteFailure> {
        Ok(self.find(uid))
    }

    async fn backend(&self, uid: &str) -> Result<Backend, BackendFailure> {
        self.backends[uid].clone().map(|socket| Backend { socket })
    }

    async fn backend_once_started(&self, _: &Instance) -> Result<Backend, BackendFailure> {
        let mut started = self.started.subscribe();
        let started = started.wait_for(Option::is_some).await.unwrap().clone();
        started.unwrap().map(|socket| Backend { socket })
    }
}

/// What the gateway told, each event as its debug form.
#[derive(Default)]
pub(crate) struct Diary(Mutex<Vec<String>>);

impl Diary {
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// The first event with this in it, when it comes.
    pub(crate) async fn find(&self, wanted: &str) -> String {
        loop {
            if let Some(found) = self.all().into_iter().find(|event| event.contains(wanted)) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }

    fn note(&self, event: String) {
        self.0.lock().unwrap().push(event);
    }
}

impl Observe for Diary {
    fn login(&self, login: &Login<'_>) {
        self.note(format!("{login:?}"));
    }

    fn ended(&self, ended: &Ended<'_>) {
        self.note(format!("{ended:?}"));
    }

    fn turned_away(&self, source: SocketAddr, why: TurnedAway<'_>) {
        self.note(format!("{source} {why:?}"));
    }

    fn cancelled(&self, source: SocketAddr, found: bool) {
        self.note(format!("{source} cancelled {found}"));
    }
}

pub(crate) struct Running {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) script: Arc<Script>,
    pub(crate) diary: Arc<Diary>,
    pub(crate) address: SocketAddr,
    /// What a client must trust.
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) cancel: CancellationToken,
}

pub(crate) async fn start(script: Script, limits: Limits) -> Running {
    let script = Arc::new(script);
    let diary = Arc::new(Diary::default());
    let gateway = Gateway::new(script.clone(), script.clone(), diary.clone(), limits).unwrap();
    let names = ["localhost", "shop.db.test", "till.db.test", "elsewhere.test"];
    let made = rcgen::generate_simple_self_signed(names.map(String::from)).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(vec![certificate.clone()], key, &provider).unwrap();
    let tls = tls_config(Arc::new(SingleCertAndKey::from(certified)));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cancel = CancellationToken::new();
    tokio::spawn(gateway.clone().serve(listener, tls, cancel.clone()));
    let (watched, watching) = (gateway.clone(), cancel.clone());
    tokio::spawn(async move { watched.watch_sessions(watching).await });
    Running { gateway, script, diary, address, certificate, cancel }
}
