//! Sessions that the gateway ends while a large answer is under way: the client is told between two
//! messages, or not at all.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::gateway::{Running, Script, start};
use common::postgres::Postgres;
use common::wire::{Tls, fields, query, read, until_sessions, welcome};
use lakeport_gateway::{KeepAlive, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PARAMETERS: [(&str, &str); 2] = [("user", "alice"), ("database", "postgres")];
/// Rows of which PostgreSQL sends a part and goes to sleep: its buffer has 8 KiB.
const TRICKLE: &str =
    "SELECT repeat('x', 3000), pg_sleep(0.02)::text FROM generate_series(1, 1000000)";
/// Rows that are larger than whatever lies between, each.
const FLOOD: &str = "SELECT repeat('x', 10000000) FROM generate_series(1, 1000)";
const AGE: Duration = Duration::from_millis(1_500);

/// What has the gateway end a session.
#[derive(Clone, Copy, Debug)]
enum Trigger {
    /// It becomes too old.
    Age,
    /// The whole gateway ends, as on SIGTERM.
    Drain,
    /// Its token does.
    Token,
    /// Its instance does.
    Instance,
}

const TRIGGERS: [Trigger; 4] = [Trigger::Age, Trigger::Drain, Trigger::Token, Trigger::Instance];

impl Trigger {
    fn limits(self) -> Limits {
        let session_age = matches!(self, Self::Age).then_some(AGE);
        Limits { session_age, ..Limits::default() }
    }

    async fn pull(self, running: &Running) {
        match self {
            Self::Age => drop(running.diary.find("Ended").await),
            Self::Drain => running.gateway.drain(Duration::from_secs(60)).await,
            Self::Token => {
                let whose = running.gateway.open_sessions();
                assert_eq!(running.gateway.close_sessions_of(&whose[0]), 1);
            }
            Self::Instance => assert_eq!(running.gateway.close_sessions("uid-shop"), 1),
        }
    }
}

async fn asking(running: &Running, sql: &str) -> Tls {
    let mut tls = running.try_login(&PARAMETERS, "alice-shop").await;
    welcome(&mut tls).await;
    tls.write_all(&query(sql)).await.unwrap();
    tls
}

/// A query, and the same as COPY.
fn both(sql: &str) -> [String; 2] {
    [sql.to_owned(), format!("COPY ({sql}) TO STDOUT")]
}

/// Whole messages, and what there is of the last one if that is cut off.
fn split(mut stream: &[u8]) -> (Vec<(u8, &[u8])>, &[u8]) {
    let mut messages = Vec::new();
    while let Some((&[kind, a, b, c, d], rest)) = stream.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize - 4;
        let Some((body, behind)) = rest.split_at_checked(length) else { break };
        messages.push((kind, body));
        stream = behind;
    }
    (messages, stream)
}

/// Only what rows are made of: lengths, `x`, and the ends of lines.
fn is_of_rows(body: &[u8]) -> bool {
    let head = body.len().min(6);
    body[head..].iter().all(|byte| matches!(byte, b'x' | b'\n' | b'\t' | 0))
}

/// Each trigger with each way to ask, all at once.
async fn all(sql: &str, check: impl AsyncFn(Trigger, String)) {
    let cases = TRIGGERS.into_iter().flat_map(|trigger| both(sql).map(|sql| (trigger, sql)));
    futures_util::future::join_all(cases.map(|(trigger, sql)| check(trigger, sql))).await;
}

#[tokio::test]
async fn the_error_comes_between_two_messages() {
    let postgres = Postgres::shared();
    all(TRICKLE, async |trigger, sql| {
        let running = start(Script::with_server(postgres.socket()), trigger.limits()).await;
        let mut tls = asking(&running, &sql).await;
        // A row has begun and its rest is far away.
        let mut received = vec![0; 20_000];
        tls.read_exact(&mut received).await.unwrap();
        let ((), end) = tokio::join!(trigger.pull(&running), tls.read_to_end(&mut received));
        end.unwrap();

        let (messages, rest) = split(&received);
        assert!(rest.is_empty(), "{trigger:?}: {} bytes behind the last message", rest.len());
        let ((kind, last), rows) = messages.split_last().unwrap();
        let told = fields(last);
        assert_eq!((*kind, told[&'C'].as_str()), (b'E', "57P01"), "{trigger:?}: {told:?}");
        for (kind, body) in rows {
            let is_row = matches!(kind, b'D' | b'd') && is_of_rows(body);
            assert!(is_row || matches!(kind, b'T' | b'H'), "{trigger:?}: {}", char::from(*kind));
        }
        until_sessions(&running.gateway, 0).await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_without_a_word() {
    let postgres = Postgres::shared();
    all(FLOOD, async |trigger, sql| {
        let running = start(Script::with_server(postgres.socket()), trigger.limits()).await;
        let mut tls = asking(&running, &sql).await;
        let mut received = vec![0; 20_000];
        tls.read_exact(&mut received).await.unwrap();
        trigger.pull(&running).await;
        until_sessions(&running.gateway, 0).await;
        // The end comes in the middle of TLS too.
        let _ = tls.read_to_end(&mut received).await;
        let (messages, rest) = split(&received);
        assert!(messages.iter().all(|(kind, _)| matches!(kind, b'T' | b'H' | b'D' | b'd')));
        assert!(rest.len() > 5 && is_of_rows(&rest[5..]), "{trigger:?}: an error within a row");
    })
    .await;
}

#[tokio::test]
async fn a_living_client_that_does_not_read_is_left_alone() {
    let postgres = Postgres::shared();
    // All that ends a session of which nothing is heard, at its shortest.
    let second = Duration::from_secs(1);
    let limits = Limits {
        session_idle: Some(second / 2),
        keep_alive: KeepAlive { idle: second, interval: second, probes: 1 },
        ..Limits::default()
    };
    let running = start(Script::with_server(postgres.socket()), limits).await;
    let mut tls = asking(&running, "SELECT repeat('x', 1000000) FROM generate_series(1, 40)").await;
    // What is under way fills every buffer: the window is closed.
    let mut moved = 0;
    while running.gateway.moved().to_client > moved {
        moved = running.gateway.moved().to_client;
        tokio::time::sleep(second / 2).await;
    }
    assert!(moved < 40_000_000, "it waits for its client");
    tokio::time::sleep(3 * second).await;
    let mut rows = 0;
    loop {
        match read(&mut tls).await.expect("everything") {
            (b'D', body) => rows += usize::from(is_of_rows(&body) && body.len() > 1_000_000),
            (b'Z', _) => break,
            (kind, _) => assert!(matches!(kind, b'T' | b'C'), "{}", char::from(kind)),
        }
    }
    assert_eq!(rows, 40);
}
