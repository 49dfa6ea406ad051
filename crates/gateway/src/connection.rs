//! One connection's life: arrival, hello, login, relay, and a word to the observer for each outcome.
//!
//! It decides what is told to whom and when a connection is over; the steps are elsewhere.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{timeout, timeout_at};

use crate::Gateway;
use crate::admission::{Place, Source};
use crate::cancel::Key;
use crate::error::Refusal;
use crate::hello::{self, Client, Hello};
use crate::login::{self, Known};
use crate::observe::{Ended, Login, Refused, TurnedAway};
use crate::proxy;
use crate::relay::{self, End};
use crate::sessions::{Opened, Session};
use crate::starting;
use crate::startup::Startup;
use crate::upstream::{self, Upstream};

pub(crate) async fn run(
    gateway: Arc<Gateway>,
    tcp: TcpStream,
    peer: SocketAddr,
    tls: Arc<ServerConfig>,
) {
    let mut arrival = Arrival { gateway: &gateway, peer, started: Instant::now() };
    let Some((tcp, place)) = arrival.enter(tcp).await else { return };
    let local = tcp.local_addr().ok();
    let Some(hello) = arrival.greet(tcp, tls, &place).await else { return };
    match hello {
        Hello::Login(client) => {
            let mut known = Known::default();
            known.times.startup = arrival.started.elapsed();
            Attempt { id: next_id(), arrival, local, known }.serve(client, place).await;
        }
        Hello::Cancel(request, stream) => {
            let target = gateway.cancels.find(&request);
            gateway.observe.cancelled(arrival.peer, target.is_some());
            if let Some(target) = target {
                target.cancel().await;
            }
            hello::hang_up(stream).await;
        }
    }
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A connection that has said nothing yet.
struct Arrival<'a> {
    gateway: &'a Gateway,
    /// The client's address, as far as it is known.
    peer: SocketAddr,
    started: Instant,
}

impl Arrival<'_> {
    /// Takes a place, under the name of who is behind a proxy that is trusted.
    async fn enter(&mut self, mut tcp: TcpStream) -> Option<(TcpStream, Place)> {
        let address = self.peer.ip().to_canonical();
        let mut place = None;
        if self.gateway.limits.trusted_proxies.iter().any(|trusted| trusted.contains(&address)) {
            // Until it has said for whom it is, the proxy has the place.
            place = Some(self.take_place(&mut tcp, Source::Proxy).await?);
            self.peer = self.read_proxy(&mut tcp).await?;
        }
        let own = self.take_place(&mut tcp, self.peer.ip().into()).await?;
        drop(place);
        Some((tcp, own))
    }

    async fn take_place(&self, tcp: &mut TcpStream, source: Source) -> Option<Place> {
        let place = self.gateway.admission.enter(source);
        if place.is_none() {
            self.turned_away(TurnedAway::Crowded);
            // The answer fits into an empty send buffer: nothing is waited for.
            let _ = tcp.write_all(&Refusal::Crowded.encode()).await;
        }
        place
    }

    async fn read_proxy(&self, tcp: &mut TcpStream) -> Option<SocketAddr> {
        let deadline = self.started + self.gateway.limits.startup_timeout;
        let header = tokio::select! {
            header = timeout_at(deadline.into(), proxy::read(tcp)) => header,
            () = self.gateway.draining.cancelled() => return None,
        };
        match header {
            Ok(Ok(client)) => return Some(client.unwrap_or(self.peer)),
            Ok(Err(proxy::Error::Disconnected(_))) => self.turned_away(TurnedAway::Left),
            Ok(Err(error)) => self.turned_away(TurnedAway::Proxy(&error.to_string())),
            Err(_) => self.turned_away(TurnedAway::Slow),
        }
        None
    }

    async fn greet(&self, tcp: TcpStream, tls: Arc<ServerConfig>, place: &Place) -> Option<Hello> {
        let deadline = self.started + self.gateway.limits.startup_timeout;
        let hello = tokio::select! {
            hello = timeout_at(deadline.into(), hello::greet(tcp, tls)) => hello,
            () = self.gateway.draining.cancelled() => return None,
            () = place.pushed_out() => {
                self.turned_away(TurnedAway::Crowded);
                return None;
            }
        };
        match hello {
            Ok(Ok(hello)) => return Some(hello),
            Ok(Err(Refusal::Disconnected(_))) => self.turned_away(TurnedAway::Left),
            Ok(Err(refusal)) => self.turned_away(TurnedAway::Refused(&refusal.to_string())),
            Err(_) => self.turned_away(TurnedAway::Slow),
        }
        None
    }

    fn turned_away(&self, why: TurnedAway<'_>) {
        tracing::debug!(peer = %self.peer, ?why, "no login");
        self.gateway.observe.turned_away(self.peer, why);
    }
}

/// A login under way.
struct Attempt<'a> {
    id: u64,
    arrival: Arrival<'a>,
    /// The address that the client reached.
    local: Option<SocketAddr>,
    known: Known,
}

/// A login that succeeded.
struct Admitted {
    upstream: Upstream,
    key: Option<Key>,
    session: Session,
}

impl Attempt<'_> {
    async fn serve(mut self, mut client: Box<Client>, place: Place) {
        match self.admit(&mut client, &place).await {
            Ok(admitted) => {
                drop(place);
                self.relay(client, admitted).await;
            }
            Err(refusal) => self.refuse(client, refusal, &place).await,
        }
    }

    async fn admit(&mut self, client: &mut Client, place: &Place) -> Result<Admitted, Refusal> {
        let draining = &self.arrival.gateway.draining;
        tokio::select! {
            admitted = async {
                self.verify(client, place).await?;
                self.open(client).await
            } => admitted,
            () = draining.cancelled() => Err(Refusal::Closing),
        }
    }

    /// Checks the token and finds the instance. Only until then somebody else may have the place.
    async fn verify(&mut self, client: &mut Client, place: &Place) -> Result<(), Refusal> {
        let gateway = self.arrival.gateway;
        let limit = gateway.limits.login_timeout;
        let deadline = self.arrival.started + limit;
        let verify = login::verify(gateway, client, self.local, &mut self.known);
        tokio::select! {
            verified = timeout_at(deadline.into(), verify) => {
                verified.map_err(|_| Refusal::Slow { seconds: limit.as_secs() })?.map(drop)
            }
            () = place.pushed_out() => Err(Refusal::Crowded),
        }
    }

    /// Logs in to the instance's server.
    async fn open(&mut self, client: &mut Client) -> Result<Admitted, Refusal> {
        let gateway = self.arrival.gateway;
        let (Some(instance), Some(identity)) = (&self.known.instance, &self.known.identity) else {
            return Err(Refusal::AuthUnavailable);
        };
        let asked = Instant::now();
        let backend = starting::backend(gateway, instance, &mut client.stream).await;
        let open = async { upstream::log_in(instance, backend?, &client.startup).await };
        let limit = gateway.limits.backend_timeout;
        let upstream = timeout(limit, open).await.unwrap_or_else(|_| {
            Err(Refusal::BackendSlow { name: instance.name.clone(), seconds: limit.as_secs() })
        });
        self.known.times.backend = Some(asked.elapsed());
        let upstream = upstream?;

        let secret_length = client.startup.cancel_secret_length();
        let issue = |target| gateway.cancels.issue(target, secret_length);
        let key = upstream.target.clone().map(issue).transpose()?;
        let whose = Opened {
            uid: instance.uid.clone(),
            subject: identity.subject.clone(),
            role: client.startup.user.clone(),
            token_id: identity.token_id.clone(),
            origin: identity.origin.clone(),
        };
        let session = gateway.sessions.open(self.id, &whose);
        Ok(Admitted { upstream, key, session })
    }

    async fn refuse(mut self, mut client: Box<Client>, refusal: Refusal, place: &Place) {
        // As psql does before it asks its user for a password.
        if matches!(refusal, Refusal::Disconnected(_)) {
            return self.arrival.turned_away(TurnedAway::Left);
        }
        let mut held_back = Duration::ZERO;
        if refusal.is_credential() {
            held_back = self.hold_back(&client).await;
        }
        let name = client.server_name.as_deref();
        self.tell(&client.startup, name, Some((&refusal, held_back)));
        if !held_back.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(held_back) => {}
                // Whether the time is over, the gateway is, or the place: the answer goes out.
                () = self.arrival.gateway.draining.cancelled() => {}
                () = place.pushed_out() => {}
            }
        }
        hello::answered(&mut client.stream, refusal).await;
    }

    /// Counts a wrong password, and says for how long its answer waits.
    async fn hold_back(&mut self, client: &Client) -> Duration {
        let gateway = self.arrival.gateway;
        if self.known.instance.is_none() {
            self.known.instance = login::aim(gateway, client, self.local).await;
        }
        let instance = self.known.instance.as_ref().map(|instance| instance.uid.as_str());
        gateway.failures.record(self.arrival.peer.ip().into(), instance, Instant::now())
    }

    async fn relay(self, mut client: Box<Client>, admitted: Admitted) {
        let Admitted { mut upstream, key, session } = admitted;
        let welcome = upstream.welcome(key.as_ref());
        let end = {
            let Client { stream, startup, server_name } = &mut *client;
            let Upstream { stream: server, target, .. } = &mut upstream;
            // What the session runs is stopped too.
            let stop = async {
                if let Some(target) = target {
                    target.cancel().await;
                }
            };
            let (traffic, closing) = (&session.traffic, &session.closing);
            let mut relay =
                pin!(relay::run(stream, server, welcome.into(), traffic, closing, stop));
            // The welcome goes out before anybody else is told.
            let begun = poll_fn(|context| Poll::Ready(relay.as_mut().poll(context))).await;
            self.tell(startup, server_name.as_deref(), None);
            match begun {
                Poll::Ready(end) => end,
                Poll::Pending => relay.await,
            }
        };
        self.tell_end(&client, &session, &end);
        if let End::Closing { whole: true } = end {
            hello::answered(&mut client.stream, session.farewell()).await;
        }
    }

    fn tell(
        &self,
        startup: &Startup,
        server_name: Option<&str>,
        refusal: Option<(&Refusal, Duration)>,
    ) {
        let mut times = self.known.times;
        times.total = self.arrival.started.elapsed();
        self.arrival.gateway.observe.login(&Login {
            session: self.id,
            source: self.arrival.peer,
            server_name,
            user: &startup.user,
            application: startup.application(),
            identity: self.known.identity.as_ref(),
            instance: self.known.instance.as_ref(),
            refusal: refusal.map(|(refusal, held_back)| Refused {
                sqlstate: refusal.sqlstate(),
                message: refusal.to_string(),
                reason: refusal.reason(),
                is_credential: refusal.is_credential(),
                held_back,
            }),
            times,
        });
    }

    fn tell_end(&self, client: &Client, session: &Session, end: &End) {
        let reason = match end {
            End::Closing { .. } => session.farewell().to_string(),
            end => end.to_string(),
        };
        self.arrival.gateway.observe.ended(&Ended {
            session: self.id,
            source: self.arrival.peer,
            user: &client.startup.user,
            identity: self.known.identity.as_ref(),
            instance: self.known.instance.as_ref(),
            reason,
            to_server: session.traffic.to_server(),
            to_client: session.traffic.to_client(),
            duration: self.arrival.started.elapsed(),
        });
    }
}
