//! Everything before the password: first bytes, TLS, the start-up packet, limits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::gateway::{Running, Script, start};
use common::wire::{CANCEL, GSS, SSL, V3_0, V3_2, fields, packet, read, read_error, startup};
use futures_util::{StreamExt, stream};
use lakeport_gateway::{Limits, Room};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn gateway() -> Running {
    start(Script::default(), Limits::default()).await
}

/// A start-up packet of exactly so many bytes, or `None` if it would not hold a user.
fn startup_of(length: usize) -> Option<Vec<u8>> {
    let bare = startup(V3_0, &[("user", "alice"), ("p", "")]).len();
    let padding = "x".repeat(length.checked_sub(bare)?);
    Some(startup(V3_0, &[("user", "alice"), ("p", &padding)]))
}

fn lengths() -> impl Iterator<Item = usize> {
    (0..64).chain([100, 255, 256, 1_000, 4_095, 4_096, 9_998, 9_999, 10_000, 10_001, 65_536])
}

#[tokio::test]
async fn a_packet_of_every_length_gets_an_answer() {
    let running = gateway().await;
    for length in lengths() {
        let mut tls = running.tls().await;
        let junk = [&(length as u32).to_be_bytes()[..], &V3_0.to_be_bytes()].concat();
        let junk: Vec<u8> = junk.into_iter().chain(std::iter::repeat(b'x')).take(length).collect();
        // Of a length below 4 not even the length word would fit.
        let junk = if length < 4 { (length as u32).to_be_bytes().to_vec() } else { junk };
        tls.write_all(&junk).await.unwrap();
        assert_eq!(read_error(&mut tls).await[&'C'], "08P01", "junk of {length} bytes");

        if let Some(good) = startup_of(length) {
            assert_eq!(good.len(), length);
            let mut tls = running.tls().await;
            tls.write_all(&good).await.unwrap();
            if length <= 10_000 {
                assert_eq!(read(&mut tls).await.unwrap().0, b'R', "{length} bytes");
            } else {
                assert_eq!(read_error(&mut tls).await[&'C'], "08P01", "{length} bytes");
            }
        }
    }
}

#[tokio::test]
async fn a_packet_cut_anywhere_ends_the_connection_and_nothing_else() {
    let running = gateway().await;
    for whole in [
        packet(SSL, &[]),
        packet(GSS, &[]),
        packet(CANCEL, &[7; 8]),
        startup(V3_0, &[("user", "alice"), ("database", "shop")]),
        startup_of(10_000).unwrap(),
    ] {
        let cuts = (0..whole.len()).filter(|cut| *cut < 64 || cut % 1_999 == 0);
        for cut in cuts.chain([whole.len() - 1]) {
            let mut tcp = running.send(&whole[..cut]).await;
            tcp.shutdown().await.unwrap();
            assert!(read(&mut tcp).await.is_none(), "plaintext, cut at {cut}");

            let mut tls = running.tls().await;
            tls.write_all(&whole[..cut]).await.unwrap();
            tls.shutdown().await.unwrap();
            assert!(read(&mut tls).await.is_none(), "TLS, cut at {cut}");
        }
    }
    let mut tls = running.tls().await;
    tls.write_all(&startup(V3_0, &[("user", "alice")])).await.unwrap();
    assert_eq!(read(&mut tls).await.unwrap().0, b'R');
}

#[tokio::test]
async fn lengths_are_believed_only_within_bounds() {
    let running = gateway().await;
    for length in [7, 10_001, u32::MAX, 0x4745_5420] {
        let mut tcp = running.send(&length.to_be_bytes()).await;
        assert_eq!(read_error(&mut tcp).await[&'C'], "08P01", "{length}");
    }
    for secret in [0, 3, 257, 5_000] {
        let whole = packet(CANCEL, &vec![0; 4 + secret]);
        // The head is enough to be refused: nothing waits for what a bad length announces.
        let mut tcp = running.send(&whole[..8]).await;
        assert_eq!(read_error(&mut tcp).await[&'C'], "08P01", "a secret of {secret} bytes");
    }
    for code in [SSL, GSS] {
        let mut tcp = running.send(&packet(code, &[0])).await;
        assert_eq!(read_error(&mut tcp).await[&'C'], "08P01");
    }
}

#[tokio::test]
async fn bytes_sent_behind_an_encryption_request_are_refused() {
    let running = gateway().await;
    let early = [vec![0], startup(V3_0, &[("user", "alice")]), vec![0x16; 65_536]];
    for (code, more) in [SSL, GSS].into_iter().flat_map(|code| early.iter().map(move |m| (code, m)))
    {
        let mut tcp = running.send(&[packet(code, &[]), more.clone()].concat()).await;
        let error = read_error(&mut tcp).await;
        assert_eq!(error[&'C'], "08P01");
        assert!(error[&'M'].contains("unencrypted data"), "{error:?}");
    }
}

#[tokio::test]
async fn plaintext_is_refused_with_a_way_out() {
    let running = gateway().await;
    let mut tcp = running.send(&startup(V3_0, &[("user", "alice")])).await;
    let error = read_error(&mut tcp).await;
    assert_eq!((error[&'S'].as_str(), error[&'C'].as_str()), ("FATAL", "28000"));
    assert!(error[&'M'].contains("SSL"), "{error:?}");
    assert!(error[&'H'].contains("sslmode=require"), "{error:?}");
}

#[tokio::test]
async fn direct_tls_needs_alpn() {
    let running = gateway().await;
    let hello = startup(V3_0, &[("user", "alice")]);

    let tcp = running.tcp().await;
    let mut tls = running.handshake(tcp, "localhost", &["postgresql"]).await.unwrap();
    tls.write_all(&hello).await.unwrap();
    assert_eq!(read(&mut tls).await.unwrap(), (b'R', vec![0, 0, 0, 3]));

    let tcp = running.tcp().await;
    let mut tls = running.handshake(tcp, "localhost", &[]).await.unwrap();
    tls.write_all(&hello).await.unwrap();
    assert!(read_error(&mut tls).await[&'M'].contains("ALPN"));

    let tcp = running.tcp().await;
    running.handshake(tcp, "localhost", &["http/1.1"]).await.unwrap_err();

    let mut tcp = running.send(&packet(SSL, &[])).await;
    assert_eq!(tcp.read_u8().await.unwrap(), b'S');
    running.handshake(tcp, "localhost", &["http/1.1"]).await.unwrap_err();
}

#[tokio::test]
async fn gss_encryption_is_declined_once() {
    let running = gateway().await;
    let mut tcp = running.send(&packet(GSS, &[])).await;
    assert_eq!(tcp.read_u8().await.unwrap(), b'N');
    tcp.write_all(&packet(SSL, &[])).await.unwrap();
    assert_eq!(tcp.read_u8().await.unwrap(), b'S');
    let mut tls = running.handshake(tcp, "localhost", &["postgresql"]).await.unwrap();
    tls.write_all(&packet(SSL, &[])).await.unwrap();
    assert!(read_error(&mut tls).await[&'M'].contains("encrypted already"));

    let mut tcp = running.send(&packet(GSS, &[])).await;
    assert_eq!(tcp.read_u8().await.unwrap(), b'N');
    tcp.write_all(&packet(GSS, &[])).await.unwrap();
    assert!(read_error(&mut tcp).await[&'M'].contains("twice"));
}

#[tokio::test]
async fn versions_are_negotiated() {
    let running = gateway().await;
    let user = ("user", "alice");
    for (version, extra, told) in [
        (V3_0, None, None),
        (V3_2, None, None),
        (V3_0 | 9_999, None, Some((V3_2, ""))),
        (V3_2, Some("_pq_.grease"), Some((V3_2, "_pq_.grease\0"))),
        (V3_0, Some("_pq_.grease"), Some((V3_0, "_pq_.grease\0"))),
    ] {
        let mut tls = running.tls().await;
        let parameters: Vec<_> =
            [Some(user), extra.map(|name| (name, "1"))].into_iter().flatten().collect();
        tls.write_all(&startup(version, &parameters)).await.unwrap();
        if let Some((spoken, unknown)) = told {
            let count = u32::from(!unknown.is_empty());
            let wanted = [&spoken.to_be_bytes()[..], &count.to_be_bytes(), unknown.as_bytes()];
            assert_eq!(read(&mut tls).await.unwrap(), (b'v', wanted.concat()));
        }
        assert_eq!(read(&mut tls).await.unwrap(), (b'R', vec![0, 0, 0, 3]), "{version:x}");
    }
    for version in [2 << 16, 4 << 16] {
        let mut tls = running.tls().await;
        tls.write_all(&startup(version, &[user])).await.unwrap();
        assert_eq!(read_error(&mut tls).await[&'C'], "0A000");
    }
}

fn crowded(patience: Duration) -> Limits {
    let room = Room { per_loopback: 2, patience, ..Limits::default().room };
    Limits { room, ..Limits::default() }
}

/// A connection that has a place and says nothing more.
async fn silent(running: &Running) -> TcpStream {
    let mut tcp = running.send(&packet(GSS, &[])).await;
    assert_eq!(tcp.read_u8().await.unwrap(), b'N');
    tcp
}

#[tokio::test]
async fn a_rush_before_login_is_turned_away() {
    let running = start(Script::default(), crowded(Duration::from_secs(3_600))).await;
    let mut inside = vec![silent(&running).await, silent(&running).await];
    let mut third = running.tcp().await;
    assert_eq!(fields(&read(&mut third).await.unwrap().1)[&'C'], "53300");
    running.diary.find("Crowded").await;
    inside.clear();
    // The places are free again as soon as the gateway has seen the others leave.
    loop {
        let mut tcp = running.send(&packet(GSS, &[])).await;
        if tcp.read_u8().await.is_ok_and(|answer| answer == b'N') {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_is_silent_makes_room_for_who_comes() {
    let running = start(Script::default(), crowded(Duration::ZERO)).await;
    let (mut first, mut second) = (silent(&running).await, silent(&running).await);
    let mut tls = running.tls().await;
    tls.write_all(&startup(V3_0, &[("user", "alice")])).await.unwrap();
    assert_eq!(read(&mut tls).await.unwrap().0, b'R');
    assert!(matches!(first.read(&mut [0]).await, Ok(0) | Err(_)), "the oldest is closed");

    // One that waits for a password is told, as it can be.
    let _third = silent(&running).await;
    assert!(matches!(second.read(&mut [0]).await, Ok(0) | Err(_)));
    let _fourth = silent(&running).await;
    assert_eq!(read_error(&mut tls).await[&'C'], "53300");
}

#[tokio::test]
async fn every_length_whole_and_cut_at_any_byte() {
    let running = gateway().await;
    let lengths = stream::iter(0..=10_001_usize);
    lengths.for_each_concurrent(64, |length| answered_or_closed(&running, length)).await;
    let whole = startup_of(10_000).unwrap();
    let cuts = stream::iter(0..whole.len());
    cuts.for_each_concurrent(64, |cut| closed(&running, &whole[..cut])).await;

    let mut tls = running.tls().await;
    tls.write_all(&startup(V3_0, &[("user", "alice")])).await.unwrap();
    assert_eq!(read(&mut tls).await.unwrap().0, b'R');
}

/// A packet that says this length, once whole and once cut at some byte.
async fn answered_or_closed(running: &Running, length: usize) {
    let whole = startup_of(length).unwrap_or_else(|| {
        let junk = [&(length as u32).to_be_bytes()[..], &V3_0.to_be_bytes(), &[b'x'; 64]].concat();
        junk[..length.max(4)].to_vec()
    });
    let mut tcp = running.send(&whole).await;
    let wanted = if (8..=10_000).contains(&length) { "28000" } else { "08P01" };
    assert_eq!(read_error(&mut tcp).await[&'C'], wanted, "{length} bytes in plaintext");
    if (8..=10_000).contains(&length) {
        closed(running, &whole[..length * 7_919 % 10_007 % length]).await;
        closed(running, &whole[..length - 1]).await;
    }
}

/// Half a packet is no reason to say anything.
async fn closed(running: &Running, part: &[u8]) {
    let mut tcp = running.send(part).await;
    tcp.shutdown().await.unwrap();
    assert!(read(&mut tcp).await.is_none(), "cut at {}", part.len());
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let limits = Limits {
        startup_timeout: Duration::from_millis(300),
        login_timeout: Duration::from_millis(600),
        ..Limits::default()
    };
    let running = start(Script::default(), limits).await;
    for silent in [&[][..], &packet(SSL, &[])[..3], &packet(GSS, &[])] {
        let mut tcp = running.send(silent).await;
        let mut rest = Vec::new();
        tcp.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty() || rest == b"N");
    }
    let mut tls = running.tls().await;
    tls.write_all(&startup(V3_0, &[("user", "alice")])).await.unwrap();
    assert_eq!(read(&mut tls).await.unwrap().0, b'R');
    assert_eq!(read_error(&mut tls).await[&'C'], "08006");
}
