//! Binding ports, and saying what holds one that is taken.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use crate::{Error, Result};

pub(crate) async fn bind_http(flag: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| Error::Port(explain(flag, address, &error)))
}

/// What a person can do about an address that cannot be bound.
pub(crate) fn explain(flag: &str, address: SocketAddr, error: &io::Error) -> String {
    let port = address.port();
    match error.kind() {
        ErrorKind::AddrInUse if listens_on_all(port) && !address.ip().is_unspecified() => format!(
            "{address} cannot be used: another process listens on all addresses at port {port} \
             (0.0.0.0:{port}); find it with `ss -ltnp 'sport = :{port}'`, stop it or let it listen \
             on one address, or choose another port with {flag}"
        ),
        ErrorKind::AddrInUse => format!(
            "{address} is taken by another process; find it with `ss -ltnp 'sport = :{port}'`, stop \
             it, or choose another address with {flag}"
        ),
        ErrorKind::PermissionDenied => format!(
            "{address} cannot be used: ports below 1024 need a privilege; choose another with {flag}"
        ),
        _ => format!("{address} cannot be used ({flag}): {error}"),
    }
}

/// Whether a process listens at this port on every address, as the kernel's tables show it.
fn listens_on_all(port: u16) -> bool {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .any(|text| text.lines().skip(1).any(|line| is_wildcard_listener(line, port)))
}

/// A line of `/proc/net/tcp`: number, local address, remote address, state, of which 0A is listening.
fn is_wildcard_listener(line: &str, port: u16) -> bool {
    let mut fields = line.split_whitespace().skip(1);
    let (Some(local), Some(state)) = (fields.next(), fields.nth(1)) else { return false };
    let Some((address, local_port)) = local.split_once(':') else { return false };
    state == "0A"
        && address.bytes().all(|digit| digit == b'0')
        && u16::from_str_radix(local_port, 16) == Ok(port)
}

/// An address that a client on this machine can use.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        ip if ip.is_unspecified() => {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
        }
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_right() {
        let all = "   0: 00000000:1538 00000000:0000 0A 00000000:00000000 00:00000000";
        let one = "   1: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000";
        let open = "   2: 00000000:1538 0100007F:D431 01 00000000:00000000 00:00000000";
        assert!(is_wildcard_listener(all, 5432));
        assert!(!is_wildcard_listener(all, 5433));
        assert!(!is_wildcard_listener(one, 5432));
        assert!(!is_wildcard_listener(open, 5432));
        assert!(!is_wildcard_listener("", 5432));
    }
}
