//! The audit log: a line for each login and each end, and never a token.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::gateway::{Script, start};
use common::postgres::Postgres;
use common::wire::{until_sessions, welcome};
use lakeport_gateway::Limits;

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn line(&self, wanted: &str) -> String {
        let text = self.text();
        let found = text.lines().find(|line| line.contains(wanted));
        found.unwrap_or_else(|| panic!("no line with {wanted:?} in:\n{text}")).to_owned()
    }
}

#[tokio::test]
async fn logins_and_ends_are_logged_and_tokens_are_not() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // The test's runtime has one thread, so this sees the gateway's tasks too.
    // Connections run on threads of the gateway's own.
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let postgres = Postgres::shared();
    let mut script = Script::with_server(postgres.socket());
    script.token("kept-secret", "alice", &["shop"]);
    let running = start(script, Limits::default()).await;

    let parameters = [("user", "alice"), ("database", "postgres")];
    let mut tls = running.try_login(&parameters, "kept-secret").await;
    welcome(&mut tls).await;
    drop(tls);
    until_sessions(&running.gateway, 0).await;
    running.refused(&[("user", "al\nice")], "also-secret").await;

    let login = log.line("logged in");
    for part in ["user=\"alice\"", "jti-alice-11", "uid-shop", "sqlstate=\"00000\"", "127.0.0.1"] {
        assert!(login.contains(part), "{part} in {login}");
    }
    log.line("session ended");
    let refused = log.line("28P01");
    assert!(refused.contains("user=\"al\\nice\""), "a name cannot forge a line: {refused}");
    assert!(!log.text().contains("-secret"), "{}", log.text());
}
