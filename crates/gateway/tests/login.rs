//! The password, the instance, and the server behind: who gets in, and what the others are told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use common::gateway::{Running, Script, start};
use common::postgres::Postgres;
use common::wire::{
    Fields, V3_0, login_on, message, password, query, read, read_error, startup, welcome,
};
use lakeport_gateway::{AuthFailure, BackendFailure, Limits};
use tokio::io::AsyncWriteExt;

const ALICE: (&str, &str) = ("user", "alice");
const DATABASE: (&str, &str) = ("database", "postgres");

async fn gateway(postgres: &Postgres) -> Running {
    start(Script::with_server(postgres.socket()), Limits::default()).await
}

fn is_refused_password(error: &Fields, user: &str) {
    assert_eq!(error[&'S'], "FATAL");
    assert_eq!(error[&'C'], "28P01");
    assert_eq!(error[&'M'], format!("password authentication failed for user \"{user}\""));
}

#[tokio::test]
async fn a_session_is_the_real_role_with_the_clients_settings() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let options = "-c lakeport.instance=shop -c work_mem=7MB --search-path=a,\\ b";
    let parameters = [
        ALICE,
        DATABASE,
        ("options", options),
        ("application_name", "till 7"),
        ("TimeZone", "UTC"),
    ];
    let mut tls = running.try_login(&parameters, "alice-both").await;
    let greeting = welcome(&mut tls).await;
    assert_eq!(greeting.parameters["session_authorization"], "alice");
    assert_eq!(greeting.parameters["application_name"], "till 7");
    assert_eq!(greeting.parameters["TimeZone"], "UTC");

    let sql = "SELECT concat_ws('|', session_user, current_setting('work_mem'), \
               current_setting('search_path'), current_setting('lakeport.instance', true), \
               current_setting('is_superuser'))";
    tls.write_all(&query(sql)).await.unwrap();
    assert_eq!(read(&mut tls).await.unwrap().0, b'T');
    let row = read(&mut tls).await.unwrap().1;
    assert_eq!(String::from_utf8_lossy(&row[6..]), "alice|7MB|a, b|off");
}

#[tokio::test]
async fn the_database_is_the_users_own_if_none_is_named() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let error = running.refused(&[ALICE], "alice-shop").await;
    assert_eq!(error[&'C'], "3D000");
    assert!(error[&'M'].contains("database \"alice\" does not exist"), "{error:?}");
}

#[tokio::test]
async fn a_bad_token_is_told_no_more_than_is_safe() {
    let postgres = Postgres::shared();
    let mut script = Script::with_server(postgres.socket());
    script.tokens.insert("old".into(), Err(AuthFailure::Expired { seconds_ago: 77 }));
    script.tokens.insert("hunter2".into(), Err(AuthFailure::NotAToken));
    script.tokens.insert("lost".into(), Err(AuthFailure::Unavailable));
    let running = start(script, Limits::default()).await;

    let error = running.refused(&[ALICE], "old").await;
    is_refused_password(&error, "alice");
    assert_eq!(error[&'D'], "The token expired 77 seconds ago.");
    assert!(error[&'H'].contains("generate-database-credential"), "{error:?}");

    let error = running.refused(&[ALICE], "hunter2").await;
    is_refused_password(&error, "alice");
    assert!(error[&'H'].contains("database credential token"), "{error:?}");

    let error = running.refused(&[ALICE], "lost").await;
    assert_eq!(error[&'C'], "08006");

    // Whatever it names, an invalid token gets one and the same answer.
    let known = running.refused(&[ALICE, ("options", "-c lakeport.instance=shop")], "bad").await;
    let unknown = running.refused(&[ALICE, ("options", "-c lakeport.instance=no")], "bad").await;
    is_refused_password(&known, "alice");
    assert_eq!(known, unknown);
    assert!(!known.contains_key(&'D'));
}

#[tokio::test]
async fn long_passwords_are_read_but_not_looked_at() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    for length in [16 * 1024, 16 * 1024 + 1, 65_530] {
        let error = running.refused(&[ALICE], &"x".repeat(length)).await;
        is_refused_password(&error, "alice");
    }
    assert_eq!(*running.script.looked_at.lock().unwrap(), [16 * 1024]);
    let error = running.refused(&[ALICE], &"x".repeat(65_531)).await;
    assert_eq!(error[&'C'], "08P01");
}

#[tokio::test]
async fn what_is_no_password_message_is_refused() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let cases: [&[u8]; 5] = [
        &query("SELECT 1"),
        &message(b'p', b""),
        &message(b'p', b"no end"),
        &message(b'p', b"two\0ends\0"),
        b"p\xff\xff\xff\xff",
    ];
    for bytes in cases {
        let mut tls = running.tls().await;
        tls.write_all(&startup(V3_0, &[ALICE])).await.unwrap();
        read(&mut tls).await.unwrap();
        tls.write_all(bytes).await.unwrap();
        assert_eq!(read_error(&mut tls).await[&'C'], "08P01");
    }
    assert!(running.script.looked_at.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_token_is_for_its_own_roles_and_instances() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;

    let error = running.refused(&[("user", "bob")], "alice-shop").await;
    is_refused_password(&error, "bob");
    assert!(error[&'D'].contains("is for \"alice\""), "{error:?}");

    let tls = running.tls_as("till.db.test").await;
    let error = read_error(&mut login_on(tls, V3_0, &[ALICE], "alice-shop").await).await;
    is_refused_password(&error, "alice");
    assert_eq!(error[&'D'], "The token is not for this instance.");
}

#[tokio::test]
async fn selectors_must_agree() {
    let postgres = Postgres::shared();
    let mut script = Script::with_server(postgres.socket());
    script.address = Some("uid-shop".into());
    let running = start(script, Limits::default()).await;
    let till = ("options", "-c lakeport.instance=till");
    let shop = ("lakeport.instance", "shop");

    let error = running.refused(&[ALICE, till], "alice-both").await;
    assert_eq!(error[&'C'], "08P01");
    assert!(error[&'M'].contains("names two instances"), "{error:?}");
    assert!(error[&'H'].contains("lakeport.instance=NAME"), "{error:?}");

    let tls = running.tls_as("till.db.test").await;
    let error = read_error(&mut login_on(tls, V3_0, &[ALICE], "alice-both").await).await;
    assert_eq!(error[&'C'], "08P01");

    let tls = running.tls_as("shop.db.test").await;
    welcome(&mut login_on(tls, V3_0, &[ALICE, DATABASE, shop], "alice-both").await).await;
}

#[tokio::test]
async fn an_instance_is_found_by_name_or_by_the_token_alone() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;

    welcome(&mut running.try_login(&[ALICE, DATABASE], "alice-till").await).await;
    let tls = running.tls_as("elsewhere.test").await;
    welcome(&mut login_on(tls, V3_0, &[ALICE, DATABASE], "alice-till").await).await;
    let tls = running.tls_as("till.db.test").await;
    welcome(&mut login_on(tls, V3_0, &[ALICE, DATABASE], "alice-both").await).await;

    let error = running.refused(&[ALICE, DATABASE], "alice-both").await;
    assert_eq!(error[&'C'], "08004");
    assert!(error[&'H'].contains("lakeport.instance=NAME"), "{error:?}");

    let no = ("options", "-c lakeport.instance=no");
    let error = running.refused(&[ALICE, DATABASE, no], "alice-both").await;
    assert_eq!(error[&'C'], "08004");
    assert_eq!(error[&'M'], "instance \"no\" not found or no access");
}

#[tokio::test]
async fn an_instance_that_does_not_run_says_so() {
    let mut script = Script::default();
    let name = "shop".to_owned();
    let reason = "the disk is full".to_owned();
    for (instance, failure) in [
        ("stopped", BackendFailure::Stopped { name: name.clone() }),
        ("starting", BackendFailure::Starting { name: name.clone() }),
        ("deleting", BackendFailure::Deleting { name: name.clone() }),
        ("failed", BackendFailure::Failed { name, reason }),
        ("unknown", BackendFailure::Unavailable),
    ] {
        script.add(instance, Err(failure));
        script.token(instance, "alice", &[instance]);
    }
    script.add("gone", Ok("/nonexistent/.s.PGSQL.5432".into()));
    script.token("gone", "alice", &["gone"]);
    let limits = Limits { starting_timeout: Duration::from_millis(10), ..Limits::default() };
    let running = start(script, limits).await;

    for (token, sqlstate, text) in [
        ("stopped", "57P03", "instance \"shop\" is stopped"),
        ("starting", "57P03", "instance \"shop\" is starting"),
        ("deleting", "57P03", "instance \"shop\" is being deleted"),
        ("failed", "57P03", "instance \"shop\" cannot run: the disk is full"),
        ("unknown", "08006", "instances cannot be looked up at the moment"),
        ("gone", "08006", "instance \"gone\" does not accept connections"),
    ] {
        let error = running.refused(&[ALICE], token).await;
        assert_eq!((error[&'C'].as_str(), error[&'M'].as_str()), (sqlstate, text));
    }
    let error = running.refused(&[ALICE], "stopped").await;
    assert!(error[&'H'].contains("update-database-instance shop stopped"), "{error:?}");
}

#[tokio::test]
async fn what_the_server_refuses_is_passed_on() {
    let postgres = Postgres::shared();
    let mut script = Script::with_server(postgres.socket());
    for user in ["ghost", "reserved", "scram"] {
        script.token(user, user, &["shop"]);
    }
    let running = start(script, Limits::default()).await;

    let error = running.refused(&[("user", "ghost"), DATABASE], "ghost").await;
    assert_eq!(error[&'C'], "28000");
    assert_eq!(error[&'M'], "role \"ghost\" does not exist");

    let error = running.refused(&[("user", "reserved"), DATABASE], "reserved").await;
    assert_eq!(error[&'C'], "28000");
    assert_eq!(error[&'M'], "role \"reserved\" cannot log in to this instance");
    assert!(error[&'H'].contains("reserved"), "{error:?}");

    let error = running.refused(&[("user", "scram"), DATABASE], "scram").await;
    assert_eq!(error[&'C'], "08006");
    assert_eq!(error[&'M'], "instance \"shop\" does not let the gateway in");

    let error = running.refused(&[ALICE, ("database", "no")], "alice-shop").await;
    assert_eq!(
        (error[&'C'].as_str(), error[&'M'].as_str()),
        ("3D000", "database \"no\" does not exist")
    );
}

#[tokio::test]
async fn replication_is_refused_in_words_that_are_true() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    for value in ["true", "database"] {
        let mut tls = running.tls().await;
        let asked = startup(V3_0, &[ALICE, DATABASE, ("replication", value)]);
        tls.write_all(&asked).await.unwrap();
        let error = read_error(&mut tls).await;
        assert_eq!(error[&'C'], "0A000");
        assert_eq!(error[&'M'], "replication connections are not accepted");
        assert!(error[&'H'].contains("replication"), "{error:?}");
    }
    let parameters = [ALICE, DATABASE, ("replication", "off")];
    welcome(&mut running.try_login(&parameters, "alice-shop").await).await;
    // What is neither, PostgreSQL calls by its name.
    let error = running.refused(&[ALICE, DATABASE, ("replication", "perhaps")], "alice-shop").await;
    assert_eq!(error[&'C'], "22023");
}

#[tokio::test]
async fn a_query_sent_with_the_password_is_answered_in_turn() {
    let postgres = Postgres::shared();
    let running = gateway(&postgres).await;
    let mut tls = running.tls().await;
    tls.write_all(&startup(V3_0, &[ALICE, DATABASE])).await.unwrap();
    read(&mut tls).await.unwrap();
    let both = [password("alice-shop"), query("SELECT 1")].concat();
    tls.write_all(&both).await.unwrap();
    welcome(&mut tls).await;
    assert_eq!(read(&mut tls).await.unwrap().0, b'T');
}
