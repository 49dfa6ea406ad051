//! Logins for an instance that is just starting: they wait, within bounds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::gateway::{Running, Script, start};
use common::postgres::Postgres;
use common::wire::{query, read, read_error, welcome};
use lakeport_gateway::{BackendFailure, Limits};
use tokio::io::AsyncWriteExt;

const PARAMETERS: [(&str, &str); 2] = [("user", "alice"), ("database", "postgres")];
const TOKEN: &str = "alice-shop";

/// A gateway whose instance starts.
async fn starting(held_logins: usize) -> Running {
    let mut script = Script::default();
    script.add("shop", Err(BackendFailure::Starting { name: String::from("shop") }));
    script.token(TOKEN, "alice", &["shop"]);
    start(script, Limits { held_logins, ..Limits::default() }).await
}

/// Returns when so many logins wait for the instance.
async fn until_held(running: &Running, wanted: usize) {
    while running.script.started.receiver_count() != wanted {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_login_waits_until_the_instance_runs() {
    let postgres = Postgres::shared();
    let running = starting(2).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(running.try_login(&PARAMETERS, TOKEN).await);
    }
    until_held(&running, 2).await;
    running.script.started.send_replace(Some(Ok(postgres.socket())));
    for mut tls in waiting {
        welcome(&mut tls).await;
        tls.write_all(&query("SELECT 1")).await.unwrap();
        assert_eq!(read(&mut tls).await.unwrap().0, b'T');
    }
}

#[tokio::test]
async fn a_waiting_login_is_told_at_once_that_the_instance_will_not_run() {
    let name = || String::from("shop");
    for (failure, text) in [
        (BackendFailure::Stopped { name: name() }, "instance \"shop\" is stopped"),
        (BackendFailure::Deleting { name: name() }, "instance \"shop\" is being deleted"),
        (
            BackendFailure::Failed { name: name(), reason: String::from("no disk") },
            "instance \"shop\" cannot run: no disk",
        ),
    ] {
        let running = starting(1).await;
        let mut tls = running.try_login(&PARAMETERS, TOKEN).await;
        until_held(&running, 1).await;
        running.script.started.send_replace(Some(Err(failure)));
        let error = read_error(&mut tls).await;
        assert_eq!((error[&'C'].as_str(), error[&'M'].as_str()), ("57P03", text));
    }
}

#[tokio::test]
async fn only_so_many_wait_and_a_client_that_leaves_makes_room() {
    let postgres = Postgres::shared();
    let running = starting(1).await;
    let first = running.try_login(&PARAMETERS, TOKEN).await;
    until_held(&running, 1).await;
    let error = running.refused(&PARAMETERS, TOKEN).await;
    assert_eq!(error[&'M'], "instance \"shop\" is starting");

    drop(first);
    until_held(&running, 0).await;
    let mut next = running.try_login(&PARAMETERS, TOKEN).await;
    until_held(&running, 1).await;
    running.script.started.send_replace(Some(Ok(postgres.socket())));
    welcome(&mut next).await;
}

#[tokio::test]
async fn nobody_waits_without_a_valid_token() {
    let running = starting(1).await;
    let error = running.refused(&PARAMETERS, "forged").await;
    assert_eq!(error[&'C'], "28P01");
    assert_eq!(running.script.started.receiver_count(), 0);
}
