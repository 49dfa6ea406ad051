//! Serving HTTP/1.1, in the clear or over TLS, within bounds of time and number.
//!
//! Owns: connections. Never: what is said on them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use lakeport_gateway::{Admission, Place, Room};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::delivery::{Outbox, Outgoing};

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// From the last answer to the end of the next request's header; so an idle connection closes too.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// Connections of one listener. In a crowd those that have been open longest are closed, each when it
/// has answered what it was asked.
const ROOM: Room =
    Room { total: 1_024, per_source: 128, per_loopback: 896, patience: Duration::from_millis(500) };
/// A pause after an accept error: without descriptors, accept fails again at once.
const BREATH: Duration = Duration::from_millis(50);

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Serves until `cancel`, and then what was asked already, at most for `drain`.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    cancel: CancellationToken,
    drain: Duration,
) -> io::Result<()> {
    let admission = Admission::new(ROOM);
    let connections = TaskTracker::new();
    let acceptor = tls.map(TlsAcceptor::from);
    while let Some(accepted) = cancel.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((tcp, peer)) => {
                let Some(place) = admission.enter(peer.ip().into()) else {
                    tracing::debug!(%peer, "refused: too many HTTP connections");
                    continue;
                };
                let talk = Talk { peer, place, router: router.clone(), stop: cancel.clone() };
                connections.spawn(talk.begin(tcp, acceptor.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting an HTTP connection failed");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    drop(listener);
    connections.close();
    // A client that never ends its request does not hold up the end.
    let _ = tokio::time::timeout(drain, connections.wait()).await;
    Ok(())
}

/// One connection.
struct Talk {
    peer: SocketAddr,
    place: Place,
    router: Router,
    stop: CancellationToken,
}

impl Talk {
    async fn begin(self, tcp: TcpStream, acceptor: Option<TlsAcceptor>) {
        let peer = self.peer;
        let Some(acceptor) = acceptor else { return self.go_on(tcp).await };
        let handshake = tokio::select! {
            done = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(tcp)) => done,
            () = self.is_over() => return,
        };
        match handshake {
            Ok(Ok(tls)) => self.go_on(tls).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
        }
    }

    async fn go_on<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let peer = Peer(self.peer);
        let router = TowerToHyperService::new(self.router.clone());
        let outbox = Outbox::default();
        let stream = Outgoing::new(stream, outbox.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (answer, outbox) = (router.call(request), outbox.clone());
            async move {
                let mut answer = answer.await?;
                outbox.take_from(&mut answer);
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_LIMIT)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.is_over() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.peer, %error, "an HTTP connection broke");
        }
    }

    /// No more requests: the server stops, or another client needs the place.
    async fn is_over(&self) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.place.pushed_out() => {}
        }
    }
}
