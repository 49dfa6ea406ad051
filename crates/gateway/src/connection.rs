//! One connection's life: hello, login, relay, and a line in the audit log for each outcome.
//!
//! It decides what is told to whom and when a connection is over; the steps are elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};

use crate::Gateway;
use crate::cancel::Key;
use crate::error::Refusal;
use crate::hello::{self, Client, Hello};
use crate::limits::Place;
use crate::login::{self, Known};
use crate::relay::{self, End, Traffic};
use crate::sessions::{Opened, Session};
use crate::upstream::{self, Upstream};

pub(crate) async fn run(
    gateway: Arc<Gateway>,
    mut tcp: TcpStream,
    peer: SocketAddr,
    tls: Arc<ServerConfig>,
) {
    let started = Instant::now();
    let Some(place) = gateway.admission.enter(peer.ip().into()) else {
        tracing::warn!(%peer, "refused: too many connections are waiting to log in");
        // The answer fits into an empty send buffer: nothing is waited for.
        let _ = tcp.write_all(&Refusal::Crowded.encode()).await;
        return;
    };
    let local = tcp.local_addr().ok();
    let deadline = started + gateway.limits.startup_timeout;
    let hello = tokio::select! {
        hello = timeout_at(deadline.into(), hello::greet(tcp, tls)) => hello,
        () = gateway.draining.cancelled() => return,
    };
    match hello {
        Ok(Ok(Hello::Login(client))) => {
            let id = next_id();
            Attempt { id, gateway: &gateway, peer, local, started, place }.serve(client).await;
        }
        Ok(Ok(Hello::Cancel(request, stream))) => {
            gateway.cancels.forward(&request).await;
            hello::hang_up(stream).await;
        }
        Ok(Err(refusal)) => tracing::debug!(%peer, reason = %refusal, "no login"),
        Err(_) => tracing::debug!(%peer, "no login: no whole start-up packet in time"),
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A login under way.
struct Attempt<'a> {
    id: u64,
    gateway: &'a Gateway,
    peer: SocketAddr,
    /// The address that the client reached.
    local: Option<SocketAddr>,
    started: Instant,
    place: Place,
}

/// A login that succeeded.
struct Admitted {
    upstream: Upstream,
    key: Option<Key>,
    session: Session,
}

impl Attempt<'_> {
    async fn serve(self, mut client: Box<Client>) {
        let mut known = Known::default();
        let admitted = tokio::select! {
            admitted = self.admit(&mut client, &mut known) => admitted,
            () = self.gateway.draining.cancelled() => Err(Refusal::Closing),
        };
        self.audit(&client, &known, admitted.as_ref().err());
        match admitted {
            Ok(admitted) => self.relay(client, admitted).await,
            Err(refusal) => self.refuse(client, refusal).await,
        }
    }

    async fn admit(&self, client: &mut Client, known: &mut Known) -> Result<Admitted, Refusal> {
        let limits = &self.gateway.limits;
        let deadline = self.started + limits.login_timeout;
        let verify = login::verify(self.gateway, client, self.local, known);
        let instance = timeout_at(deadline.into(), verify)
            .await
            .map_err(|_| Refusal::Slow { seconds: limits.login_timeout.as_secs() })??;

        let open = async {
            let backend = self.gateway.route.backend(&instance.uid).await?;
            upstream::log_in(&instance, backend, &client.startup).await
        };
        let upstream = timeout(limits.backend_timeout, open).await.map_err(|_| {
            let seconds = limits.backend_timeout.as_secs();
            Refusal::BackendSlow { name: instance.name.clone(), seconds }
        })??;

        let secret_length = client.startup.cancel_secret_length();
        let issue = |target| self.gateway.cancels.issue(target, secret_length);
        let key = upstream.target.clone().map(issue).transpose()?;
        let session = self.gateway.sessions.open(
            self.id,
            &Opened {
                uid: instance.uid.clone(),
                subject: known.identity.as_ref().map(|i| i.subject.clone()).unwrap_or_default(),
                role: client.startup.user.clone(),
            },
        );
        Ok(Admitted { upstream, key, session })
    }

    async fn refuse(self, mut client: Box<Client>, refusal: Refusal) {
        if refusal.is_credential() {
            let delay = self.gateway.failures.record(self.peer.ip().into(), Instant::now());
            let waiting = timeout(delay, self.gateway.draining.cancelled());
            // Whether the time is over or the gateway is: the answer goes out.
            let _ = waiting.await;
        }
        hello::answered(&mut client.stream, refusal).await;
    }

    async fn relay(self, mut client: Box<Client>, admitted: Admitted) {
        drop(self.place);
        let Admitted { mut upstream, key, session } = admitted;
        let welcome = upstream.welcome(key.as_ref());
        let mut traffic = Traffic::default();
        let end = relay::run(
            &mut client.stream,
            &mut upstream.stream,
            welcome.into(),
            &session.closing,
            &mut traffic,
        )
        .await;
        tracing::info!(
            session = self.id,
            %end,
            to_server = traffic.to_server,
            to_client = traffic.to_client,
            duration = ?self.started.elapsed(),
            "session ended"
        );
        if let End::Closing { clean } = end {
            close(client, upstream, clean).await;
        }
    }

    fn audit(&self, client: &Client, known: &Known, refusal: Option<&Refusal>) {
        let identity = known.identity.as_ref();
        tracing::info!(
            session = self.id,
            source = %self.peer,
            server_name = ?client.server_name,
            user = ?client.startup.user,
            subject = ?identity.map(|identity| &identity.subject),
            token = ?identity.map(|identity| &identity.token_id),
            instance = ?known.instance.as_ref().map(|instance| &instance.uid),
            sqlstate = refusal.map_or("00000", Refusal::sqlstate),
            result = ?refusal.map_or_else(|| "logged in".to_owned(), ToString::to_string),
            duration = ?self.started.elapsed(),
            "login"
        );
    }
}

/// Ends a session that its client did not end: what it runs is stopped too.
async fn close(mut client: Box<Client>, upstream: Upstream, clean: bool) {
    if let Some(target) = &upstream.target {
        target.cancel().await;
    }
    if clean {
        hello::answered(&mut client.stream, Refusal::Closing).await;
    }
}
