//! The PROXY protocol, version 2: a balancer in front says whose connection it passes on.
//!
//! It is read from addresses that were named in the settings, and from nobody else: anybody can
//! write such a header. Where it is expected it must be there and be right, or the connection ends.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2: u8 = 0x20;
const LOCAL: u8 = 0;
const PROXY: u8 = 1;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// Addresses and what a balancer may add to them; they need a few hundred bytes at the very most.
const MAX_REST: usize = 4_096;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the proxy left: {0}")]
    Disconnected(#[from] io::Error),
    #[error("no valid PROXY protocol v2 header: {0}")]
    Malformed(&'static str),
}

/// Reads one header, and not a byte more. `None`: the proxy speaks for itself (a health check).
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Option<SocketAddr>, Error> {
    let mut signature = [0; SIGNATURE.len()];
    stream.read_exact(&mut signature).await?;
    if signature != SIGNATURE {
        return Err(Error::Malformed("it begins with something else"));
    }
    let (command, family) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = usize::from(stream.read_u16().await?);
    if length > MAX_REST {
        return Err(Error::Malformed("it is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match (command & 0xf0, command & 0x0f) {
        (VERSION_2, LOCAL) => Ok(None),
        (VERSION_2, PROXY) => source(family, &rest).map(Some).ok_or(Error::Malformed(
            "it names no TCP address, or is too short for the one that it names",
        )),
        _ => Err(Error::Malformed("unknown version or command")),
    }
}

/// Source and destination address, source and destination port; what follows is of no interest.
fn source(family: u8, rest: &[u8]) -> Option<SocketAddr> {
    match family {
        TCP_OVER_IPV4 => {
            let (ports, ip) = (rest.get(8..12)?, rest.first_chunk::<4>()?);
            Some(SocketAddr::new(IpAddr::from(*ip), port(ports)))
        }
        TCP_OVER_IPV6 => {
            let (ports, ip) = (rest.get(32..36)?, rest.first_chunk::<16>()?);
            Some(SocketAddr::new(IpAddr::from(*ip).to_canonical(), port(ports)))
        }
        _ => None,
    }
}

fn port(ports: &[u8]) -> u16 {
    u16::from_be_bytes([ports[0], ports[1]])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    async fn parsed(mut bytes: &[u8]) -> Result<Option<SocketAddr>, Error> {
        read(&mut bytes).await
    }

    #[tokio::test]
    async fn addresses_of_both_families_are_read_and_nothing_behind_them() {
        let v4 = [192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x34, 0x15, 0x38, 3, 0, 1, 9];
        let bytes = [header(0x21, 0x11, &v4), b"next".to_vec()].concat();
        let mut stream = &bytes[..];
        let address = read(&mut stream).await.unwrap().unwrap();
        assert_eq!(address, "192.0.2.7:4660".parse().unwrap());
        assert_eq!(stream, b"next");

        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[33] = 80;
        let address = parsed(&header(0x21, 0x21, &v6)).await.unwrap().unwrap();
        assert_eq!(address, "[2001:db8::]:80".parse().unwrap());
        assert!(parsed(&header(0x20, 0, b"")).await.unwrap().is_none());
        assert!(parsed(&header(0x20, 0x11, &v4)).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_not_exactly_a_header_is_refused() {
        let v4 = [0; 12];
        let long = vec![0; MAX_REST + 1];
        for bad in [
            header(0x11, 0x11, &v4),
            header(0x22, 0x11, &v4),
            header(0x21, 0x12, &v4),
            header(0x21, 0x31, &v4),
            header(0x21, 0x00, &v4),
            header(0x21, 0x11, &v4[..11]),
            header(0x21, 0x21, &[0; 35]),
            header(0x21, 0x11, &long),
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n".to_vec(),
            b"\x00\x00\x00\x08\x04\xd2\x16\x2f----------------".to_vec(),
        ] {
            assert!(matches!(parsed(&bad).await, Err(Error::Malformed(_))), "{bad:?}");
        }
        let whole = header(0x21, 0x11, &v4);
        for cut in 0..whole.len() {
            assert!(matches!(parsed(&whole[..cut]).await, Err(Error::Disconnected(_))), "{cut}");
        }
    }
}
