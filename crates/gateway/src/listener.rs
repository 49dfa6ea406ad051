//! The accept loop of one listener.
//!
//! It starts a task for each connection and never ends because of one: a refused descriptor or an
//! aborted connection is logged, and the loop goes on.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::limits::KeepAlive;
use crate::{Gateway, connection};

/// A pause after an accept error: without descriptors, accept fails again at once.
const BREATH: Duration = Duration::from_millis(100);

pub(crate) async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    cancel: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            () = gateway.draining.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                if let Err(error) = tune(&tcp, gateway.limits.keep_alive) {
                    tracing::debug!(%peer, %error, "socket options were not set");
                }
                carry(&gateway, tcp, peer, tls.clone());
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Hands a connection to the thread that will carry it.
fn carry(gateway: &Arc<Gateway>, tcp: TcpStream, peer: SocketAddr, tls: Arc<ServerConfig>) {
    let connection = {
        let gateway = gateway.clone();
        async move {
            // A socket is watched by the runtime that it is made in.
            match tcp.into_std().and_then(TcpStream::from_std) {
                Ok(tcp) => connection::run(gateway, tcp, peer, tls).await,
                Err(error) => tracing::warn!(%peer, %error, "a connection was not taken over"),
            }
        }
    };
    gateway.threads.spawn(gateway.connections.track_future(connection));
}

/// Small answers leave at once, and a peer that vanished is noticed: while nothing is under way by
/// keepalive, otherwise by the kernel, which gives up after so many repetitions without an answer. There is
/// no TCP_USER_TIMEOUT: its time also runs while a living peer has no room for more, and says so.
fn tune(tcp: &TcpStream, keep_alive: KeepAlive) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    sockopt::set_tcp_keepidle(tcp, keep_alive.idle)?;
    sockopt::set_tcp_keepintvl(tcp, keep_alive.interval)?;
    Ok(sockopt::set_tcp_keepcnt(tcp, keep_alive.probes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_sockets_notice_a_peer_that_vanished_and_wait_for_one_that_lives() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (tcp, _) = listener.accept().await.unwrap();
        let wanted = KeepAlive::default();
        tune(&tcp, wanted).unwrap();
        assert!(tcp.nodelay().unwrap() && sockopt::socket_keepalive(&tcp).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&tcp).unwrap(), wanted.idle);
        assert_eq!(sockopt::tcp_keepintvl(&tcp).unwrap(), wanted.interval);
        assert_eq!(sockopt::tcp_keepcnt(&tcp).unwrap(), wanted.probes);
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&tcp).unwrap(), 0);
    }
}
