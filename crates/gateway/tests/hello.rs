//! Everything before the password: first bytes, TLS, the start-up packet, limits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::gateway::{Running, Script, start};
use common::postgres::Postgres;
use common::wire::{CANCEL, GSS, SSL, V3_0, V3_2, fields, packet, read, read_error, startup};
use futures_util::{StreamExt, stream};
use lakeport_gateway::{Limits, Room};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// The longest start-up packet, as PostgreSQL has it.
const LONGEST: usize = 10_004;

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
    (0..64).chain([100, 255, 256, 4_095, 4_096, 9_999, 10_000, 10_003, 10_004, 10_005, 65_536])
}

/// The whole answer of PostgreSQL itself, which has no TLS here, to these bytes and nothing more.
async fn answer_of(postgres: &Postgres, bytes: &[u8]) -> Vec<u8> {
    let mut socket = UnixStream::connect(postgres.socket()).await.unwrap();
    socket.write_all(bytes).await.unwrap();
    everything(&mut socket).await
}

/// Whatever comes until the other side closes, or waits for more than there is.
async fn everything<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Vec<u8> {
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    // PostgreSQL may reset a connection of which it has not read everything.
    let _ = stream.read_to_end(&mut answer).await;
    answer
}

/// What a client learns from an answer: its first byte, and the SQLSTATE of an error.
fn gist(answer: &[u8]) -> (Option<u8>, Option<String>) {
    let state = answer.get(5..).and_then(|body| fields(body).remove(&'C'));
    (answer.first().copied(), state)
}

#[tokio::test]
async fn what_no_packet_is_gets_what_postgresql_gives() {
    let postgres = Postgres::shared();
    let running = gateway().await;
    let lengths = [0, 1, 3, 4, 7, 10_005, 65_536, 0x7fff_ffff, u32::MAX].map(u32::to_be_bytes);
    let lengths = lengths.map(|length| [&length[..], &V3_0.to_be_bytes(), &[b'x'; 32]].concat());
    let cancels = [0, 257, 5_000].map(|secret| packet(CANCEL, &vec![0; 4 + secret]));
    let versions =
        [0, 1, 2 << 16, (2 << 16) | 0xffff, 4 << 16, 1234 << 16, (1234 << 16) | 5677, u32::MAX];
    let versions = versions.map(|version| startup(version, &[("user", "alice")]));
    let layouts = [
        packet(V3_0, b""),
        packet(V3_0, b"user\0alice\0"),
        packet(V3_0, b"user\0alice\0\0\0"),
        packet(V3_0, b"database\0shop\0\0"),
    ];
    let foreign: [&[u8]; 4] =
        [b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"\n", b""];
    let foreign = foreign.map(<[u8]>::to_vec);
    for bytes in [&lengths[..], &cancels, &versions, &layouts, &foreign].concat() {
        let begin = &bytes[..bytes.len().min(40)];
        let wanted = gist(&answer_of(&postgres, &bytes).await);
        let mut tls = running.tls().await;
        tls.write_all(&bytes).await.unwrap();
        assert_eq!(gist(&everything(&mut tls).await), wanted, "TLS, {begin:x?}");
        // In plaintext whatever may be a start-up packet is told to use TLS.
        if wanted == (None, None) {
            let mut tcp = running.send(&bytes).await;
            assert_eq!(everything(&mut tcp).await, b"", "plaintext, {begin:x?}");
        }
    }
    // Protocols before 3.0 had errors without a length.
    let mut tls = running.tls().await;
    tls.write_all(&startup(2 << 16, &[("user", "alice")])).await.unwrap();
    let text = String::from_utf8(everything(&mut tls).await).unwrap();
    assert!(text.starts_with("EFATAL:  unsupported frontend protocol 2.0: "), "{text}");
    assert!(text.ends_with("\n\0"), "{text}");
}

#[tokio::test]
async fn requests_that_are_out_of_place_get_what_postgresql_gives() {
    let postgres = Postgres::shared();
    let running = gateway().await;
    // PostgreSQL declines TLS here, and must then be asked for nothing but GSSAPI.
    for code in [SSL, GSS] {
        let mut socket = UnixStream::connect(postgres.socket()).await.unwrap();
        socket.write_all(&packet(code, &[])).await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'N');
        socket.write_all(&packet(code, &[])).await.unwrap();
        assert_eq!(gist(&everything(&mut socket).await).1.as_deref(), Some("0A000"));

        let mut tls = running.tls().await;
        tls.write_all(&packet(code, &[])).await.unwrap();
        assert_eq!(read_error(&mut tls).await[&'C'], "0A000");
    }
    let mut tcp = running.send(&packet(GSS, &[])).await;
    assert_eq!(tcp.read_u8().await.unwrap(), b'N');
    tcp.write_all(&packet(GSS, &[])).await.unwrap();
    let error = read_error(&mut tcp).await;
    assert_eq!(error[&'C'], "0A000");
    assert!(error[&'M'].contains("1234.5680"), "{error:?}");

    // A request may be longer than it need be.
    assert_eq!(answer_of(&postgres, &packet(SSL, &[0])).await, b"N");
    let mut tcp = running.send(&packet(SSL, &[0])).await;
    assert_eq!(tcp.read_u8().await.unwrap(), b'S');
}

#[tokio::test]
async fn a_packet_of_every_length_is_taken_or_closed_upon() {
    let running = gateway().await;
    for length in lengths() {
        let Some(good) = startup_of(length) else { continue };
        assert_eq!(good.len(), length);
        let mut tls = running.tls().await;
        tls.write_all(&good).await.unwrap();
        if length <= LONGEST {
            assert_eq!(read(&mut tls).await.unwrap().0, b'R', "{length} bytes");
        } else {
            assert!(read(&mut tls).await.is_none(), "{length} bytes");
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
        startup_of(LONGEST).unwrap(),
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
async fn nothing_waits_for_what_a_bad_length_announces() {
    let running = gateway().await;
    for length in [7, 10_005, u32::MAX, 0x4745_5420] {
        let mut tcp = running.send(&length.to_be_bytes()).await;
        assert!(read(&mut tcp).await.is_none(), "{length}");
    }
    for secret in [0, 3, 257, 5_000] {
        let whole = packet(CANCEL, &vec![0; 4 + secret]);
        let mut tcp = running.send(&whole[..8]).await;
        assert!(read(&mut tcp).await.is_none(), "a secret of {secret} bytes");
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
    assert!(read(&mut tls).await.is_none(), "closed without a byte, as PostgreSQL does");

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
    running.handshake(tcp, "localhost", &["postgresql"]).await.unwrap();
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
    let lengths = stream::iter(0..=LONGEST + 1);
    lengths.for_each_concurrent(64, |length| answered_or_closed(&running, length)).await;
    let whole = startup_of(LONGEST).unwrap();
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
    if !(8..=LONGEST).contains(&length) {
        assert!(read(&mut tcp).await.is_none(), "{length} bytes in plaintext");
    } else {
        assert_eq!(read_error(&mut tcp).await[&'C'], "28000", "{length} bytes in plaintext");
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
