//! The pools against a real server: `$LAKEPORT_BIN`, or the one that `cargo build` has made.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

use lakeport_client::{Client, Endpoint, Overrides, Profile, pool, retry};
use serde_json::json;
use sqlx::postgres::PgPoolOptions;
use tokio_postgres::{Config, IsolationLevel};

const DEADLINE: Duration = Duration::from_secs(120);

/// A server on a directory of its own, for one test.
struct Server {
    home: tempfile::TempDir,
    process: Child,
}

impl Server {
    fn start() -> Self {
        use std::os::unix::fs::PermissionsExt;

        let home = tempfile::tempdir().unwrap();
        // As root PostgreSQL runs as another user, who must be able to pass through.
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let log = fs::File::create(home.path().join("log")).unwrap();
        let process = Command::new(program())
            .arg("serve")
            .arg("--http-addr=127.0.0.1:0")
            .arg(format!("--data-dir={}", home.path().join("data").display()))
            .current_dir(repository())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { home, process }
    }

    /// The administrator's client, as soon as the server answers.
    async fn client(&mut self) -> Client {
        let started = Instant::now();
        loop {
            let config_file = Some(self.home.path().join("data/databrickscfg"));
            let ready = self.home.path().join("data/endpoints.json").exists();
            let profile = Some(String::from("DEFAULT"));
            let overrides = Overrides { config_file, profile, ..Overrides::default() };
            if ready && let Ok(profile) = Profile::load(&overrides) {
                return Client::new(profile).unwrap();
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < DEADLINE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGTERM, so that the databases end too; the child is ours and not yet waited for.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        let _ = self.process.wait();
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn program() -> PathBuf {
    if let Some(program) = env::var_os("LAKEPORT_BIN") {
        return program.into();
    }
    let target = env::var_os("CARGO_TARGET_DIR").map_or("target".into(), PathBuf::from);
    repository().join(target).join("debug/lakeport")
}

async fn instance(client: &Client) -> Endpoint {
    client.create_database_instance(&json!({ "name": "pools", "capacity": "CU_1" })).await.unwrap();
    client.wait_available("pools", DEADLINE, |_| {}).await.unwrap();
    client.endpoint("pools", 5432).await.unwrap()
}

fn database() -> Config {
    let mut config = Config::new();
    config.dbname("databricks_postgres").application_name("pools");
    config
}

#[tokio::test]
async fn pools_log_in_with_live_tokens() {
    let mut server = Server::start();
    let client = server.client().await;
    let endpoint = instance(&client).await;
    deadpool(&endpoint).await;
    sqlx_pool(&endpoint).await;
    conflicts_are_answered_by_another_try(&endpoint).await;
    stopped_instance_says_so(&client, &endpoint).await;
}

async fn deadpool(endpoint: &Endpoint) {
    let pool = pool::deadpool::builder(endpoint, &database()).max_size(2).build().unwrap();
    let (first, second) = (pool.get().await.unwrap(), pool.get().await.unwrap());
    let user: String = first.query_one("SELECT current_user::text", &[]).await.unwrap().get(0);
    assert_eq!(user, endpoint.user());
    let pid: i32 = first.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
    second.query_one("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
    drop((first, second));
    // A token that the server no longer takes is replaced at the next login.
    endpoint.passwords().forget().await;
    for _ in 0..4 {
        let connection = pool.get().await.unwrap();
        connection.query_one("SELECT 1", &[]).await.unwrap();
    }
}

async fn sqlx_pool(endpoint: &Endpoint) {
    let options = PgPoolOptions::new().max_connections(2);
    let pool = pool::sqlx::connect(endpoint, "databricks_postgres", options).await.unwrap();
    let user: String =
        sqlx::query_scalar("SELECT current_user::text").fetch_one(&pool).await.unwrap();
    assert_eq!(user, endpoint.user());
    pool.close().await;
}

/// Two transactions that PostgreSQL cannot put in an order: one fails with 40001 and is done again.
async fn conflicts_are_answered_by_another_try(endpoint: &Endpoint) {
    let pool = pool::deadpool::builder(endpoint, &database()).max_size(4).build().unwrap();
    let setup = pool.get().await.unwrap();
    setup.batch_execute("CREATE TABLE seen (n int)").await.unwrap();
    let add = || {
        let pool = pool.clone();
        async move {
            retry::run(20, async || {
                let mut connection = pool.get().await?;
                let transaction = connection
                    .build_transaction()
                    .isolation_level(IsolationLevel::Serializable)
                    .start()
                    .await?;
                let count: i64 =
                    transaction.query_one("SELECT count(*) FROM seen", &[]).await?.get(0);
                let next = i32::try_from(count).unwrap();
                transaction.execute("INSERT INTO seen VALUES ($1)", &[&next]).await?;
                transaction.commit().await?;
                Ok::<_, deadpool_postgres::PoolError>(())
            })
            .await
        }
    };
    let done = tokio::join!(add(), add(), add());
    for added in [done.0, done.1, done.2] {
        added.unwrap();
    }
    let numbers = setup.query("SELECT n FROM seen ORDER BY n", &[]).await.unwrap();
    assert_eq!(numbers.iter().map(|row| row.get::<_, i32>(0)).collect::<Vec<_>>(), [0, 1, 2]);
}

async fn stopped_instance_says_so(client: &Client, endpoint: &Endpoint) {
    let body = json!({ "name": "pools", "stopped": true });
    client.update_database_instance("pools", &body, "stopped").await.unwrap();
    let stopped = lakeport_api::InstanceState::Stopped;
    client.wait_for_state("pools", stopped, DEADLINE, |_| {}).await.unwrap();
    let error = endpoint.connect(&database()).await.err().unwrap();
    assert_eq!(error.code().unwrap().code(), "57P03", "{error:?}");
    let pool = pool::deadpool::builder(endpoint, &database()).max_size(1).build().unwrap();
    let refused = pool.get().await.err().unwrap();
    assert!(matches!(refused, deadpool_postgres::PoolError::Backend(_)), "{refused:?}");
}
