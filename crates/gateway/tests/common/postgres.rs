//! One real PostgreSQL server, shared by the tests that run at the same time and stopped when the
//! last of them ends.

use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio_postgres::{Config, NoTls};

const PORT: u16 = 5432;
const HBA: &str = "\
    local all reserved peer\n\
    local all scram scram-sha-256\n\
    local all all trust\n";
const SETUP: &str = "\
    CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; CREATE ROLE reserved LOGIN;\
    CREATE ROLE scram LOGIN PASSWORD 'x'; GRANT CREATE ON SCHEMA public TO alice;";

pub(crate) struct Postgres {
    server: Child,
    directory: tempfile::TempDir,
}

impl Postgres {
    /// The running server, or a new one.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start());
            *shared = Arc::downgrade(&started);
            started
        })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join(format!(".s.PGSQL.{PORT}"))
    }

    fn start() -> Self {
        let bin = find_bin();
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let owner = Owner::of(directory.path());

        let mut initdb = owner.command(&bin.join("initdb"));
        initdb.args(["-A", "trust", "-U", "lakeport", "-E", "UTF8", "--locale=C", "--no-sync"]);
        let made = initdb.arg("-D").arg(&data).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(data.join("pg_hba.conf"), HBA).unwrap();

        let mut postgres = owner.command(&bin.join("postgres"));
        postgres.args(["-c", "listen_addresses=", "-c", "fsync=off", "-p", &PORT.to_string()]);
        postgres.arg("-D").arg(&data).arg("-k").arg(directory.path());
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let server = postgres.stdout(Stdio::null()).stderr(log).spawn().unwrap();

        let postgres = Self { server, directory };
        std::thread::scope(|scope| scope.spawn(|| postgres.set_up()).join().unwrap());
        postgres
    }

    /// Waits until it answers, and makes the roles.
    #[tokio::main(flavor = "current_thread")]
    async fn set_up(&self) {
        let mut config = Config::new();
        config.host_path(self.directory.path()).port(PORT).user("lakeport").dbname("postgres");
        for _ in 0..600 {
            if let Ok((client, connection)) = config.connect(NoTls).await {
                tokio::spawn(connection);
                return client.batch_execute(SETUP).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap();
        panic!("PostgreSQL did not start: {log}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A fast shutdown: open sessions are ended.
        kill_process(Pid::from_child(&self.server), Signal::INT).unwrap();
        self.server.wait().unwrap();
    }
}

/// Whom the server runs as: PostgreSQL refuses to be root.
struct Owner {
    ids: Option<(u32, u32)>,
}

impl Owner {
    /// Gives the directory to the owner.
    fn of(directory: &Path) -> Self {
        let is_root = directory.metadata().unwrap().uid() == 0;
        let ids = is_root.then(unprivileged_ids);
        if let Some((uid, gid)) = ids {
            chown(directory, Some(uid), Some(gid)).unwrap();
        }
        Self { ids }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir("/").stdin(Stdio::null());
        if let Some((uid, gid)) = self.ids {
            command.uid(uid).gid(gid);
        }
        command
    }
}

fn unprivileged_ids() -> (u32, u32) {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let ids_of = |user: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(user))?;
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
        Some((numbers.next()?, numbers.next()?))
    };
    ids_of("postgres").or_else(|| ids_of("nobody")).expect("a user to run PostgreSQL as")
}

fn find_bin() -> PathBuf {
    if let Some(bin) = std::env::var_os("LAKEPORT_TEST_POSTGRES_BIN") {
        return bin.into();
    }
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/postgres");
    let roots = [PathBuf::from("/usr/lib/postgresql"), built];
    let bins = roots.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten();
    let mut bins = bins.flatten().map(|version| version.path().join("bin"));
    bins.find(|bin| bin.join("postgres").is_file())
        .expect("PostgreSQL's programs: run `make setup`, or set LAKEPORT_TEST_POSTGRES_BIN")
}
