//! One PostgreSQL cluster and one set of Delta tables for the whole run; one database a test.
//!
//! The cluster runs under a shell that stops it when this process ends, however it ends: its standard
//! input closes then.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use lakeport_sync::{Error, Job, Options, Outcome, Progress, Source, TableName, changes, snapshot};
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::CancellationToken;

/// `target` of the repository, where `make setup` puts PostgreSQL and the Python environments, whatever
/// directory cargo builds in.
pub(crate) fn target_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}

/// The directory with all tables of `make_tables.py`.
pub(crate) fn tables() -> &'static Path {
    static TABLES: OnceLock<PathBuf> = OnceLock::new();
    TABLES.get_or_init(|| made_by("make_tables.py", "sync-tables"))
}

/// The directory with all tables of `make_stored.py`.
pub(crate) fn stored() -> &'static Path {
    static STORED: OnceLock<PathBuf> = OnceLock::new();
    STORED.get_or_init(|| made_by("make_stored.py", "sync-stored"))
}

/// The directory with all tables of `make_histories.py`.
pub(crate) fn histories() -> &'static Path {
    static HISTORIES: OnceLock<PathBuf> = OnceLock::new();
    HISTORIES.get_or_init(|| made_by("make_histories.py", "sync-histories"))
}

pub(crate) fn python() -> PathBuf {
    std::env::var_os("LAKEPORT_TEST_PYTHON")
        .map_or_else(|| target_directory().join("venv/kit/bin/python"), PathBuf::from)
}

fn made_by(script: &str, directory: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(directory);
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).unwrap();
    let python = python();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let made = Command::new(&python).arg(path).arg(&directory).status();
    let made = made.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(made.success(), "{script} failed; `make setup` installs what it needs");
    directory
}

struct Cluster {
    directory: PathBuf,
    /// Holds the pipe whose end stops the cluster.
    _keeper: Child,
}

fn cluster() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(start_cluster)
}

fn start_cluster() -> Cluster {
    let directory = tempfile::Builder::new().prefix("sync-pg-").tempdir().unwrap().keep();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
    let script = "
        initdb -D $D/data -A trust -U admin -N -E UTF8 --locale=C >$D/initdb.log 2>&1 || exit 1
        pg_ctl -D $D/data -s -w -l $D/server.log -o \"-k $D -h '' -c fsync=off\" start || exit 1
        touch $D/ready
        cat >/dev/null
        pg_ctl -D $D/data -s -w -m fast stop
        rm -rf $D";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).env("D", &directory).env("PATH", search_path());
    shell.current_dir("/").stdin(Stdio::piped());
    if is_root() {
        let (uid, gid) = postgres_user();
        chown(&directory, Some(uid), Some(gid)).unwrap();
        shell.uid(uid).gid(gid);
    }
    let mut keeper = shell.spawn().unwrap();
    wait_until_ready(&directory, &mut keeper);
    Cluster { directory, _keeper: keeper }
}

fn wait_until_ready(directory: &Path, keeper: &mut Child) {
    let log = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let deadline = Instant::now() + Duration::from_secs(120);
    while !directory.join("ready").exists() {
        let alive = keeper.try_wait().unwrap().is_none() && Instant::now() < deadline;
        assert!(alive, "no PostgreSQL: {}{}", log("initdb.log"), log("server.log"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The chosen PostgreSQL first.
fn search_path() -> String {
    let chosen = std::env::var_os("LAKEPORT_TEST_POSTGRES_BIN").map(PathBuf::from);
    let set_up = target_directory().join("postgres/16/bin");
    let system = (13..=18).rev().map(|v| PathBuf::from(format!("/usr/lib/postgresql/{v}/bin")));
    let found = chosen.into_iter().chain([set_up]).chain(system);
    let bin = found.into_iter().find(|bin| bin.join("postgres").exists() && is_within_reach(bin));
    let bin = bin.expect("no PostgreSQL; `make setup` installs one");
    format!("{}:/usr/bin:/bin", bin.display())
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Whether a user who is not root gets through every folder above: the servers of root's tests are not
/// root's.
fn is_within_reach(bin: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let Ok(bin) = bin.canonicalize() else { return false };
    let passable = |folder: &Path| {
        fs::metadata(folder).is_ok_and(|metadata| metadata.permissions().mode() & 0o001 != 0)
    };
    !is_root() || bin.ancestors().all(passable)
}

fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let user = users.lines().find(|user| user.starts_with("postgres:")).expect("a user postgres");
    let mut numbers = user.split(':').skip(2).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// A database of a test's own, owned by an ordinary role that does the syncs.
pub(crate) struct Database {
    pub(crate) writer: Config,
    pub(crate) client: Client,
    admin: Config,
}

pub(crate) async fn database(name: &str) -> Database {
    let connect_to = |user: &str, database: &str| {
        let mut config = Config::new();
        config.host_path(&cluster().directory).user(user).dbname(database);
        config
    };
    let postgres = connect(&connect_to("admin", "postgres")).await;
    for statement in
        [format!("create role {name} login"), format!("create database {name} owner {name}")]
    {
        postgres.batch_execute(&statement).await.unwrap();
    }
    let (writer, admin) = (connect_to(name, name), connect_to("admin", name));
    Database { client: connect(&admin).await, writer, admin }
}

pub(crate) async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Database {
    /// The superuser's way in.
    pub(crate) fn admin(&self) -> &Config {
        &self.admin
    }

    pub(crate) async fn another_client(&self) -> Client {
        connect(&self.admin).await
    }

    pub(crate) fn job(&self, source: &Path, key: &[&str]) -> Job {
        Job {
            sessions: None,
            source: Source { location: source.to_str().unwrap().to_owned(), ..Source::default() },
            target: self.writer.clone(),
            table: name(),
            primary_key: key.iter().map(|part| (*part).to_owned()).collect(),
            options: Options::default(),
        }
    }

    /// Syncs a table of the kit with the key `id` into `served.t`.
    pub(crate) async fn sync(&self, table: &str) -> Result<Outcome, Error> {
        run(&self.job(&tables().join(table), &["id"])).await
    }

    /// Rows of a query, with columns as text and NULL as `∅`.
    pub(crate) async fn rows(&self, query: &str) -> Vec<String> {
        let messages = self.client.simple_query(query).await.unwrap();
        let rows = messages.iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        rows.map(|row| {
            let columns = (0..row.len()).map(|nth| row.get(nth).unwrap_or("∅"));
            columns.collect::<Vec<_>>().join("|")
        })
        .collect()
    }

    pub(crate) async fn value(&self, query: &str) -> String {
        self.rows(query).await.remove(0)
    }
}

pub(crate) fn name() -> TableName {
    TableName { schema: "served".to_owned(), table: "t".to_owned() }
}

pub(crate) async fn run_changes(job: &Job) -> Result<Outcome, Error> {
    changes(job, &Progress::default(), &CancellationToken::new()).await
}

pub(crate) async fn run(job: &Job) -> Result<Outcome, Error> {
    snapshot(job, &Progress::default(), &CancellationToken::new()).await
}

/// A table of the kit as it was at a version: a copy without the later commits.
pub(crate) fn at_version(table: &str, version: u64, directory: &Path) {
    cut_at(&tables().join(table), version, directory);
}

pub(crate) fn cut_at(source: &Path, version: u64, directory: &Path) {
    copy(source, directory);
    for later in version + 1.. {
        let commit = directory.join(format!("_delta_log/{later:020}.json"));
        if fs::remove_file(commit).is_err() {
            break;
        }
    }
}

/// Brings a copy forward.
pub(crate) fn add_commit(table: &str, version: u64, directory: &Path) {
    bring_to(&tables().join(table), version, directory);
}

pub(crate) fn bring_to(source: &Path, version: u64, directory: &Path) {
    let commit = format!("_delta_log/{version:020}.json");
    fs::copy(source.join(&commit), directory.join(&commit)).unwrap();
}

pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
