//! Walks the router: every route refuses who has no token, a foreign one, no permission, or too little.

mod scan;
mod table;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::router;
use crate::http;
use crate::world::World;
use table::Asks::{Admin, Hidden, Manage, Nothing, Token, Use};
use table::ROUTES;

/// An answer, as far as it matters here.
struct Answer {
    status: u16,
    message: String,
}

async fn send(at: SocketAddr, method: &str, path: &str, body: &str, token: &str) -> Answer {
    let authorization = match token {
        "" => String::new(),
        token => format!("Authorization: Bearer {token}\r\n"),
    };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\n{authorization}Content-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    Answer { status, message: body["message"].as_str().unwrap_or_default().to_owned() }
}

async fn serve(world: &World) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(world.app.clone(), &world.mcp, "http");
    tokio::spawn(http::serve(listener, None, router, CancellationToken::new(), Duration::ZERO));
    address
}

/// Names of things that are there, or of such that are not.
fn fill(text: &str, [instance, uid, catalog, pipeline, number]: &[String; 5]) -> String {
    text.replace("@i", instance)
        .replace("@u", uid)
        .replace("@c", catalog)
        .replace("@p", pipeline)
        .replace("@n", number)
}

#[tokio::test]
async fn every_route_refuses_who_has_not_the_right() {
    let world = World::new().await;
    let at = serve(&world).await;
    let (user, stranger) = (world.token(&world.user).await, world.token(&world.stranger).await);
    let uid = world.instance.uid.to_string();
    let pipeline = world.table.pipeline_id.to_string();
    let number = world.manager.id.to_string();
    let real = ["theirs", &uid, "theirs", &pipeline, &number].map(String::from);
    let nothing = uuid::Uuid::new_v4().to_string();
    let missing = ["nowhere", &nothing, "nowhere", &nothing, "88888888888"].map(String::from);

    for (method, path, body, asks) in ROUTES {
        let route = format!("{method} {path}");
        let (there, body_there) = (fill(path, &real), fill(body, &real));
        if *asks == Nothing {
            assert_ne!(send(at, method, &there, body, "").await.status, 404, "{route}");
            continue;
        }
        for token in ["", "lkpt_of-another-installation", "a.b.c"] {
            let answer = send(at, method, &there, &body_there, token).await;
            assert_eq!(answer.status, 401, "{route} with token \"{token}\"");
        }
        let answer = send(at, method, &there, &body_there, &stranger).await;
        let expected = match asks {
            Use | Manage | Hidden => Some(404),
            Admin => Some(403),
            Nothing | Token => None,
        };
        match expected {
            Some(status) => assert_eq!(answer.status, status, "stranger: {route}"),
            None => assert!(![401, 403].contains(&answer.status), "stranger: {route}"),
        }
        if matches!(asks, Use | Manage | Hidden) {
            let (gone, body) = (fill(path, &missing), fill(body, &missing));
            let unknown = send(at, method, &gone, &body, &stranger).await;
            let same = unknown
                .message
                .replace("nowhere", "theirs")
                .replace(&nothing, &uid)
                .replace("88888888888", &number);
            let seen = answer.message.replace(&pipeline, &uid);
            assert_eq!((unknown.status, same), (404, seen), "{route} tells what is there");
        }
        let answer = send(at, method, &there, &body_there, &user).await;
        match asks {
            Manage | Admin => assert_eq!(answer.status, 403, "CAN_USE: {route}"),
            Hidden => assert_eq!(answer.status, 404, "CAN_USE: {route}"),
            _ => assert!(![401, 403].contains(&answer.status), "CAN_USE: {route}"),
        }
    }
    let after = world.control.store.instance(world.instance.uid).await.unwrap().unwrap();
    assert_eq!(after.generation, world.instance.generation, "a refused request has done something");
    assert_eq!(world.control.store.permissions(after.uid).await.unwrap().len(), 2);
    world.end().await;
}

#[tokio::test]
async fn lists_hold_what_the_caller_may_see_and_can_use_is_enough_for_a_role_of_ones_own() {
    let world = World::new().await;
    let control = &world.control;
    for (caller, count) in [(&world.manager, 1), (&world.user, 1), (&world.stranger, 0)] {
        let page = control.list_instances(caller, None, None).await.unwrap();
        assert_eq!(page.items.len(), count, "{}", caller.user_name);
    }
    let at = serve(&world).await;
    let token = world.token(&world.user).await;
    let path = "/api/2.0/database/instances/theirs/roles";
    for (body, status) in [
        // Permitted: only that the instance does not run stands against it.
        (r#"{"name": "user@x.y"}"#, 400),
        (r#"{"name": "user@x.y", "attributes": {"createdb": false}}"#, 400),
        (r#"{"name": "user@x.y", "attributes": {"createdb": true}}"#, 403),
        (r#"{"name": "user@x.y", "membership_role": "DATABRICKS_SUPERUSER"}"#, 403),
        (r#"{"name": "stranger@x.y"}"#, 403),
    ] {
        assert_eq!(send(at, "POST", path, body, &token).await.status, status, "{body}");
    }
    world.end().await;
}

/// A route that is not in the table above is one that nobody has thought about.
#[test]
fn the_table_names_every_route() {
    let listed: BTreeSet<_> = ROUTES
        .iter()
        .map(|(method, path, ..)| (*method, path.split('?').next().unwrap_or_default()))
        .collect();
    let found = scan::routes();
    assert!(found.len() > 60, "the routes are not found any more");
    for (method, template) in &found {
        let named = listed.iter().any(|(m, path)| m == method && scan::matches(template, path));
        assert!(named, "{method} {template} is not in the table");
    }
    for (method, path) in listed {
        let routed = found.iter().any(|(m, template)| m == method && scan::matches(template, path));
        assert!(routed, "there is no {method} {path}");
    }
}
