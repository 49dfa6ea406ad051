//! What happens after login: bytes both ways, cancel requests, and ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::pin::pin;
use std::time::Duration;

use common::gateway::{Running, Script, start};
use common::postgres::Postgres;
use common::wire::{
    CANCEL, Tls, V3_0, V3_2, fields, login_on, message, packet, query, read, until_sessions,
    welcome,
};
use futures_util::{SinkExt, TryStreamExt};
use lakeport_gateway::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PARAMETERS: [(&str, &str); 2] = [("user", "alice"), ("database", "postgres")];

async fn gateway(postgres: &Postgres) -> Running {
    start(Script::with_server(postgres.socket()), Limits::default()).await
}

#[tokio::test]
async fn megabytes_of_copy_go_both_ways_unchanged() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let client = running.client("alice", "alice-shop").await;
    client.batch_execute("CREATE TEMP TABLE bulk (n int, t text)").await.unwrap();

    let rows: Vec<String> =
        (0..100_000).map(|n| format!("{n}\t{}\n", "x".repeat(n % 97))).collect();
    let sent: Vec<u8> = rows.concat().into_bytes();
    let mut sink = pin!(client.copy_in("COPY bulk FROM STDIN").await.unwrap());
    for chunk in sent.chunks(100_003) {
        sink.send(bytes::Bytes::copy_from_slice(chunk)).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 100_000);

    let stream = client.copy_out("COPY (TABLE bulk ORDER BY n) TO STDOUT").await.unwrap();
    let received: Vec<bytes::Bytes> = stream.try_collect().await.unwrap();
    assert!(received.concat() == sent, "what came back is what was sent");
}

#[tokio::test]
async fn a_client_that_reads_late_gets_everything() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let mut tls = running.try_login(&PARAMETERS, "alice-shop").await;
    welcome(&mut tls).await;
    let wish = query("SELECT repeat('x', 1000) FROM generate_series(1, 20000)");
    tls.write_all(&[wish, message(b'X', b"")].concat()).await.unwrap();
    tls.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut rows = 0;
    while let Some((kind, _)) = read(&mut tls).await {
        rows += usize::from(kind == b'D');
    }
    assert_eq!(rows, 20_000);
    until_sessions(&running.gateway, 0).await;
}

#[tokio::test]
async fn many_clients_at_once_get_their_own_answers() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let ask = async |n: i32| {
        let client = running.client("alice", "alice-shop").await;
        for round in 0..20 {
            let row = client.query_one("SELECT $1::int + $2::int", &[&n, &round]).await.unwrap();
            assert_eq!(row.get::<_, i32>(0), n + round);
        }
    };
    futures_util::future::join_all((0..16).map(ask)).await;
    until_sessions(&running.gateway, 0).await;
}

/// A session that runs an endless query, and its cancel key.
async fn sleeping(running: &Running, version: u32, mark: &str) -> (Tls, u32, Vec<u8>) {
    let tls = running.tls().await;
    let mut tls = login_on(tls, version, &PARAMETERS, "alice-shop").await;
    let greeting = welcome(&mut tls).await;
    tls.write_all(&query(&format!("SELECT pg_sleep(3600) /* {mark} */"))).await.unwrap();
    let watcher = running.client("alice", "alice-shop").await;
    while !is_running(&watcher, mark).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (tls, greeting.pid, greeting.secret)
}

async fn is_running(watcher: &tokio_postgres::Client, mark: &str) -> bool {
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE pid <> pg_backend_pid() AND state = 'active' AND query LIKE $1";
    let row = watcher.query_one(sql, &[&format!("%/* {mark} */%")]).await.unwrap();
    row.get::<_, i64>(0) == 1
}

async fn is_cancelled(tls: &mut Tls) -> bool {
    loop {
        match read(tls).await.expect("an answer") {
            (b'E', body) => return fields(&body)[&'C'] == "57014",
            (b'T', _) => {}
            other => panic!("unexpected message {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_right_key_cancels_over_plaintext_and_over_tls() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    for (version, length) in [(V3_0, 4), (V3_2, 32)] {
        for encrypted in [false, true] {
            let mark = format!("right {version} {encrypted}");
            let (mut tls, pid, secret) = sleeping(&running, version, &mark).await;
            assert_eq!(secret.len(), length);
            let request = packet(CANCEL, &[&pid.to_be_bytes()[..], &secret].concat());
            let mut answer = Vec::new();
            if encrypted {
                let mut canceller = running.tls().await;
                canceller.write_all(&request).await.unwrap();
                // Closed without a word, as PostgreSQL does, so without TLS's goodbye too.
                let _ = canceller.read_to_end(&mut answer).await;
            } else {
                let mut canceller = running.send(&request).await;
                canceller.read_to_end(&mut answer).await.unwrap();
            }
            assert!(answer.is_empty(), "a cancel request is not answered");
            assert!(is_cancelled(&mut tls).await);
        }
    }
}

#[tokio::test]
async fn a_wrong_key_cancels_nothing() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let (mut tls, pid, secret) = sleeping(&running, V3_2, "wrong").await;
    let watcher = running.client("alice", "alice-shop").await;
    let mut flipped = secret.clone();
    flipped[31] ^= 1;
    for wrong in [&flipped[..], &secret[..4], &[secret.clone(), vec![0]].concat(), &[0; 256]] {
        let request = packet(CANCEL, &[&pid.to_be_bytes()[..], wrong].concat());
        let mut answer = Vec::new();
        running.send(&request).await.read_to_end(&mut answer).await.unwrap();
        assert!(answer.is_empty());
        assert!(is_running(&watcher, "wrong").await);
    }
    let request = packet(CANCEL, &[&pid.to_be_bytes()[..], &secret].concat());
    running.send(&request).await;
    assert!(is_cancelled(&mut tls).await);
}

#[tokio::test]
async fn the_sessions_of_one_instance_can_be_ended() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let mut shop = running.try_login(&PARAMETERS, "alice-shop").await;
    let mut till = running.try_login(&PARAMETERS, "alice-till").await;
    welcome(&mut shop).await;
    welcome(&mut till).await;
    assert_eq!(running.gateway.sessions(), 2);

    assert_eq!(running.gateway.close_sessions("uid-shop"), 1);
    let (kind, body) = read(&mut shop).await.unwrap();
    assert_eq!((kind, fields(&body)[&'C'].as_str()), (b'E', "57P01"));
    assert!(read(&mut shop).await.is_none());
    until_sessions(&running.gateway, 1).await;

    till.write_all(&query("SELECT 1")).await.unwrap();
    assert_eq!(read(&mut till).await.unwrap().0, b'T');
}

#[tokio::test]
async fn a_drain_ends_sessions_and_logins_and_what_they_run() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let (mut busy, ..) = sleeping(&running, V3_0, "drained").await;
    let mut idle = running.try_login(&PARAMETERS, "alice-shop").await;
    welcome(&mut idle).await;
    let mut waiting = running.tls().await;
    waiting.write_all(&common::wire::startup(V3_0, &PARAMETERS)).await.unwrap();
    read(&mut waiting).await.unwrap();

    let drain = running.gateway.drain(Duration::from_secs(30));
    let clients = async {
        for tls in [&mut busy, &mut idle, &mut waiting] {
            let (kind, body) = read(tls).await.unwrap();
            assert_eq!((kind, fields(&body)[&'C'].as_str()), (b'E', "57P01"));
            assert!(read(tls).await.is_none());
        }
    };
    tokio::join!(drain, clients);
    assert_eq!(running.gateway.sessions(), 0);

    // Its own server, not the gateway, shows that the query is over.
    let other = gateway(&postgres).await;
    let watcher = other.client("alice", "alice-shop").await;
    while is_running(&watcher, "drained").await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut late = tokio::net::TcpStream::connect(running.address).await;
    if let Ok(tcp) = &mut late {
        assert_eq!(tcp.read(&mut [0]).await.unwrap_or(0), 0, "nobody serves any more");
    }
}

#[tokio::test]
async fn idle_sessions_end_and_busy_ones_do_not() {
    let postgres = Postgres::shared();
    let limits = Limits { session_idle: Some(Duration::from_millis(600)), ..Limits::default() };
    let running = start(Script::with_server(postgres.socket()), limits).await;
    let (mut busy, pid, secret) = sleeping(&running, V3_0, "busy").await;
    let mut idle = running.try_login(&PARAMETERS, "alice-shop").await;
    welcome(&mut idle).await;
    let (kind, body) = read(&mut idle).await.unwrap();
    assert_eq!((kind, fields(&body)[&'C'].as_str()), (b'E', "57P05"));
    assert!(read(&mut idle).await.is_none());

    // The busy one is as old, and still there to be cancelled.
    let request = packet(CANCEL, &[&pid.to_be_bytes()[..], &secret].concat());
    running.send(&request).await;
    assert!(is_cancelled(&mut busy).await);
    running.diary.find("idle-session timeout").await;
}

#[tokio::test]
async fn sessions_that_are_too_old_end_whatever_they_do() {
    let postgres = Postgres::shared();
    let limits = Limits { session_age: Some(Duration::from_millis(500)), ..Limits::default() };
    let running = start(Script::with_server(postgres.socket()), limits).await;
    let mut tls = running.try_login(&PARAMETERS, "alice-shop").await;
    welcome(&mut tls).await;
    // Busy all the time, and reading what it is told.
    let mut answered = true;
    let error = loop {
        if answered {
            let _ = tls.write_all(&query("SELECT 1")).await;
        }
        match read(&mut tls).await {
            Some((b'E', body)) => break fields(&body),
            Some((kind, _)) => answered = kind == b'Z',
            None => panic!("closed without a word"),
        }
    };
    assert_eq!(error[&'C'], "57P01");
    assert!(error[&'M'].contains("too old") && error[&'H'].contains("Connect again"), "{error:?}");
}

#[tokio::test]
async fn a_client_is_told_the_process_id_of_its_server_session() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    for version in [V3_0, V3_2] {
        let mut tls = login_on(running.tls().await, version, &PARAMETERS, "alice-shop").await;
        let greeting = welcome(&mut tls).await;
        let watcher = running.client("alice", "alice-shop").await;
        let sql = "SELECT count(*), bool_and(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE pid = $1 AND usename = 'alice'";
        let row = watcher.query_one(sql, &[&(greeting.pid as i32)]).await.unwrap();
        assert_eq!((row.get::<_, i64>(0), row.get::<_, bool>(1)), (1, true));
        let (kind, body) = read(&mut tls).await.unwrap();
        assert_eq!((kind, fields(&body)[&'C'].as_str()), (b'E', "57P01"), "it was that session");
    }
}
