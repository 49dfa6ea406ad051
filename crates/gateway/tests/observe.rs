//! What the gateway tells of connections: each outcome once, and never a token.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::gateway::{Running, Script, start};
use common::postgres::Postgres;
use common::wire::{
    CANCEL, GSS, V3_0, login_on, packet, read, read_error, until_sessions, welcome,
};
use lakeport_gateway::{Limits, Room};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PARAMETERS: [(&str, &str); 2] = [("user", "alice"), ("database", "postgres")];
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn outcomes_are_told_and_tokens_are_not() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Connections run on threads of the gateway's own.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let postgres = Postgres::shared();
    let mut script = Script::with_server(postgres.socket());
    script.token("kept-secret", "alice", &["shop"]);
    let running = start(script, Limits::default()).await;

    let named = [PARAMETERS[0], PARAMETERS[1], ("application_name", "till 7")];
    let mut tls = running.try_login(&named, "kept-secret").await;
    welcome(&mut tls).await;
    drop(tls);
    until_sessions(&running.gateway, 0).await;
    running.refused(&[("user", "al\nice")], "also-secret").await;
    running.send(&packet(CANCEL, &[7; 8])).await.read_to_end(&mut Vec::new()).await.unwrap();
    running.send(b"GET / HTTP/1.1\r\n\r\n").await;

    let login = running.diary.find("Login").await;
    for part in ["\"alice\"", "\"till 7\"", "jti-alice-11", "uid-shop", "127.0.0.1"] {
        assert!(login.contains(part), "{part} in {login}");
    }
    assert!(login.contains("refusal: None") && login.contains("backend: Some"), "{login}");
    let ended = running.diary.find("Ended").await;
    assert!(ended.contains("uid-shop") && ended.contains("reason: \"closed\""), "{ended}");
    let refused = running.diary.find("28P01").await;
    assert!(
        refused.contains("al\\nice") && refused.contains("the token is not valid"),
        "{refused}"
    );
    running.diary.find("cancelled false").await;
    running.diary.find("Refused(\"invalid length").await;

    let told = running.diary.all().concat();
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!logged.is_empty() && !(told + &logged).contains("-secret"));
}

async fn behind_a_proxy(limits: Limits) -> Running {
    let postgres = Postgres::shared();
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    start(Script::with_server(postgres.socket()), Limits { trusted_proxies, ..limits }).await
}

/// The header of a client with this address.
fn header(client: [u8; 4]) -> Vec<u8> {
    let rest = [&client[..], &[192, 0, 2, 1], &4_660_u16.to_be_bytes(), &5_432_u16.to_be_bytes()];
    [SIGNATURE, &[0x21, 0x11, 0, 12], &rest.concat()].concat()
}

async fn coming_from(running: &Running, client: [u8; 4]) -> TcpStream {
    running.send(&header(client)).await
}

async fn password_from(running: &Running, client: [u8; 4], token: &str) -> common::wire::Tls {
    let tls = running.tls_on(coming_from(running, client).await, "shop.db.test").await;
    login_on(tls, V3_0, &PARAMETERS, token).await
}

#[tokio::test]
async fn a_trusted_proxy_says_who_the_client_is() {
    let _postgres = Postgres::shared();
    let running = behind_a_proxy(Limits::default()).await;
    welcome(&mut password_from(&running, [198, 51, 100, 7], "alice-shop").await).await;
    let login = running.diary.find("Login").await;
    assert!(login.contains("source: 198.51.100.7:4660"), "{login}");

    // A health check speaks for itself.
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    let tls = running.tls_on(running.send(&local).await, "shop.db.test").await;
    welcome(&mut login_on(tls, V3_0, &PARAMETERS, "alice-shop").await).await;
}

#[tokio::test]
async fn without_a_right_header_a_trusted_proxy_gets_no_word() {
    let running = behind_a_proxy(Limits::default()).await;
    let unknown_family = [SIGNATURE, &[0x21, 0x31, 0, 0]].concat();
    let no_header = packet(common::wire::SSL, &[7; 8]);
    for bytes in [no_header, b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n".to_vec(), unknown_family] {
        let mut tcp = running.send(&bytes).await;
        assert!(matches!(tcp.read(&mut [0]).await, Ok(0) | Err(_)), "{bytes:?}");
    }
    running.diary.find("Proxy(").await;
    let whole = header([192, 0, 2, 7]);
    let mut half = running.send(&whole[..20]).await;
    half.shutdown().await.unwrap();
    assert!(matches!(half.read(&mut [0]).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn nobody_else_is_believed() {
    let running = start(Script::default(), Limits::default()).await;
    let mut tcp = coming_from(&running, [192, 0, 2, 7]).await;
    assert!(read(&mut tcp).await.is_none(), "a header is no start-up packet");
}

#[tokio::test]
async fn wrong_passwords_wait_by_source_and_by_instance_and_right_ones_do_not() {
    let _postgres = Postgres::shared();
    let limits = Limits {
        failures_per_minute: 2,
        instance_failures_per_minute: 4,
        failure_delay: Duration::from_millis(20),
        ..Limits::default()
    };
    let running = behind_a_proxy(limits).await;
    let here = [198, 51, 100, 7];
    for _ in 0..3 {
        read_error(&mut password_from(&running, here, "wrong").await).await;
    }
    let count =
        |part: &str| running.diary.all().iter().filter(|event| event.contains(part)).count();
    assert_eq!((count("held_back: 0ns"), count("held_back: 20ms")), (2, 1));
    for other in 1..=3 {
        read_error(&mut password_from(&running, [203, 0, other, 1], "wrong").await).await;
    }
    assert_eq!((count("held_back: 0ns"), count("held_back: 20ms")), (3, 3), "the instance's bound");
    welcome(&mut password_from(&running, here, "alice-shop").await).await;
    running.diary.find("refusal: None").await;
}

#[tokio::test]
async fn a_crowd_of_one_source_behind_a_proxy_keeps_no_other_out() {
    let _postgres = Postgres::shared();
    let patience = Duration::from_secs(3_600);
    let room = Room { per_source: 2, patience, ..Limits::default().room };
    let running = behind_a_proxy(Limits { room, ..Limits::default() }).await;
    let mut crowd = Vec::new();
    for last in 1..=2 {
        let mut tcp = coming_from(&running, [192, 0, 2, last]).await;
        tcp.write_all(&packet(GSS, &[])).await.unwrap();
        assert_eq!(tcp.read_u8().await.unwrap(), b'N');
        crowd.push(tcp);
    }
    let mut third = coming_from(&running, [192, 0, 2, 3]).await;
    assert_eq!(read_error(&mut third).await[&'C'], "53300");
    welcome(&mut password_from(&running, [198, 51, 100, 7], "alice-shop").await).await;
    drop(crowd);
}
