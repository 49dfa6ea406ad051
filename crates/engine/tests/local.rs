//! The engine `local` with every PostgreSQL that is found here: each step twice, as after a crash.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakeport_engine::local::{LocalEngine, Search};
use lakeport_engine::{
    ADMIN_ROLE, CapacityUnit, ClusterId, DEFAULT_DATABASE, Engine, MAINTENANCE_DATABASE, Observed,
    Process, Settings, WRITER_ROLE,
};
use uuid::Uuid;

fn data_dir() -> tempfile::TempDir {
    let directory = tempfile::Builder::new().prefix("lakeport-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
    directory
}

async fn open(directory: &Path) -> LocalEngine {
    let installed = std::env::var_os("LAKEPORT_POSTGRES_DIR").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/postgres");
    let search =
        Search { explicit: vec![], installed: installed.into_iter().chain([beside]).collect() };
    let passwords = Arc::new(|purpose: &str| format!("test {purpose}"));
    LocalEngine::open(directory, search, passwords, None).await.unwrap()
}

async fn process(engine: &LocalEngine, id: &ClusterId) -> Process {
    match engine.observe(id).await {
        Observed::Present { process, .. } => process,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cluster_lives_and_dies() {
    let directory = data_dir();
    let engine = open(directory.path()).await;
    for version in engine.versions() {
        let id = ClusterId::from(Uuid::new_v4());
        let settings = Settings::for_instance(CapacityUnit::default(), 1, version.major);
        assert_eq!(engine.observe(&id).await, Observed::Absent);
        for _ in 0..2 {
            engine.provision(&id, version.major).await.unwrap();
            engine.configure(&id, &settings).await.unwrap();
        }
        assert_eq!(process(&engine, &id).await, Process::Down);
        for _ in 0..2 {
            engine.start(&id).await.unwrap();
        }
        assert_eq!(process(&engine, &id).await, Process::Ready);
        check_server(&engine, &id, version.major).await;
        for _ in 0..2 {
            engine.stop(&id).await.unwrap();
        }
        assert_eq!(process(&engine, &id).await, Process::Down);
        for _ in 0..2 {
            engine.destroy(&id).await.unwrap();
        }
        assert_eq!(engine.observe(&id).await, Observed::Absent);
    }
}

async fn check_server(engine: &LocalEngine, id: &ClusterId, major: u32) {
    for (role, database) in [(ADMIN_ROLE, MAINTENANCE_DATABASE), (WRITER_ROLE, DEFAULT_DATABASE)] {
        let session = lakeport_pg::connect(&engine.connection(id, role, database)).await.unwrap();
        let row = session
            .query_one(
                "select current_setting('server_version_num')::int / 10000,
                        current_setting('data_checksums'), current_setting('server_encoding'),
                        (select datcollate from pg_database where datname = current_database())",
                &[],
            )
            .await
            .unwrap();
        assert_eq!(u32::try_from(row.get::<_, i32>(0)).unwrap(), major);
        assert_eq!(row.get::<_, &str>(1), "on");
        assert_eq!(row.get::<_, &str>(2), "UTF8");
        assert_eq!(row.get::<_, &str>(3), "C.UTF-8");
    }
    let mut wrong = engine.connection(id, ADMIN_ROLE, MAINTENANCE_DATABASE);
    wrong.password("wrong");
    assert!(lakeport_pg::connect(&wrong).await.is_err(), "the admin needs its password");
    let mut writer = engine.connection(id, WRITER_ROLE, MAINTENANCE_DATABASE);
    writer.application_name("t");
    assert!(lakeport_pg::connect(&writer).await.is_err(), "the maintenance database is ours alone");
}

#[tokio::test]
async fn the_pool_feeds_creation_with_clusters_of_their_own() {
    let directory = data_dir();
    let engine = open(directory.path()).await;
    engine.fill_pool().await.unwrap();
    let major = engine.default_major();
    let pools = directory.path().join("pool");
    let pool = fs::read_dir(&pools).unwrap().next().unwrap().unwrap().path();
    let before = fs::read_dir(&pool).unwrap().count();
    let (one, two) = (ClusterId::from(Uuid::new_v4()), ClusterId::from(Uuid::new_v4()));
    engine.provision(&one, major).await.unwrap();
    engine.provision(&two, major).await.unwrap();
    assert_eq!(fs::read_dir(&pool).unwrap().count(), before - 2);
    let password = |id| {
        let config = engine.connection(id, ADMIN_ROLE, MAINTENANCE_DATABASE);
        config.get_password().unwrap().to_vec()
    };
    assert_ne!(password(&one), password(&two));
}

#[tokio::test]
async fn work_that_a_crash_cut_short_is_removed() {
    let directory = data_dir();
    drop(open(directory.path()).await);
    let half_made = directory.path().join("pool/.half-made");
    fs::create_dir_all(half_made.join("data")).unwrap();
    drop(open(directory.path()).await);
    assert!(!half_made.exists());
}

/// As root; anybody else can only have servers of their own.
#[tokio::test]
async fn each_server_has_a_user_of_its_own_and_is_found_again() {
    let directory = data_dir();
    let ours = fs::metadata(directory.path()).unwrap().uid();
    let engine = open(directory.path()).await;
    let major = engine.default_major();
    let settings = Settings::for_instance(CapacityUnit::default(), 1, major);
    let ids = [ClusterId::from(Uuid::new_v4()), ClusterId::from(Uuid::new_v4())];
    let mut users = Vec::new();
    for id in &ids {
        engine.provision(id, major).await.unwrap();
        engine.configure(id, &settings).await.unwrap();
        engine.start(id).await.unwrap();
        check_server(&engine, id, major).await;
        let data = directory.path().join("clusters").join(id.as_str()).join("data");
        let pid = fs::read_to_string(data.join("postmaster.pid")).unwrap();
        let process = format!("/proc/{}", pid.lines().next().unwrap());
        let user = fs::metadata(&data).unwrap().uid();
        if Path::new("/proc/self").exists() {
            assert_eq!(fs::metadata(process).unwrap().uid(), user);
        }
        users.push(user);
    }
    match ours {
        0 => assert!(users[0] != users[1] && !users.contains(&0), "{users:?}"),
        ours => assert_eq!(users, [ours, ours]),
    }
    // As after a crash.
    drop(engine);
    let engine = open(directory.path()).await;
    for id in &ids {
        assert_eq!(process(&engine, id).await, Process::Ready);
        engine.stop(id).await.unwrap();
        engine.start(id).await.unwrap();
        engine.stop(id).await.unwrap();
    }
}

/// Control files below the tree of these programs; links lead out of it.
fn control_files(bin: &Path, directory: &Path) -> Vec<String> {
    let servers = directory.canonicalize().unwrap().join("servers");
    let tree = bin.strip_prefix(&servers).unwrap().components().next().unwrap();
    let (mut found, mut folders) = (Vec::new(), vec![servers.join(tree)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if let Some(name) = name.strip_suffix(".control") {
                found.push(name.to_owned());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_server_offers_what_is_published_and_nothing_that_reaches_the_machine() {
    let directory = data_dir();
    let root = fs::metadata(directory.path()).unwrap().uid() == 0;
    let engine = open(directory.path()).await;
    for version in engine.versions() {
        let mut apart = control_files(&version.bin, directory.path());
        let shared = control_files(&version.shared_bin, directory.path());
        for closed in ["adminpack", "file_fdw", "plperlu", "plpython3u", "pageinspect"] {
            assert!(![&apart, &shared].iter().any(|names| names.iter().any(|n| n == closed)));
        }
        for dialing in ["dblink", "postgres_fdw"] {
            assert!(!shared.iter().any(|name| name == dialing), "servers share a user there");
            assert_eq!(apart.iter().any(|name| name == dialing), root, "{}", version.full);
        }
        apart.sort();
        assert_eq!(apart, version.extensions);
        for usual in ["databricks_auth", "pgcrypto", "uuid-ossp", "pg_trgm", "citext", "hstore"] {
            assert!(version.extensions.iter().any(|name| name == usual), "{usual}");
        }
    }
}

#[tokio::test]
async fn modules_are_loaded_where_they_are_and_asked_for() {
    let directory = data_dir();
    let engine = open(directory.path()).await;
    assert!(engine.versions().iter().all(|version| version.preloaded == ["pg_stat_statements"]));
    let (id, major) = (ClusterId::from(Uuid::new_v4()), engine.default_major());
    let settings = Settings::for_instance(CapacityUnit::default(), 1, major);
    engine.provision(&id, major).await.unwrap();
    engine.configure(&id, &settings).await.unwrap();
    let fingerprint = |seen| match seen {
        Observed::Present { fingerprint, .. } => fingerprint,
        other => panic!("{other:?}"),
    };
    assert_eq!(fingerprint(engine.observe(&id).await), Some(settings.to_conf()));
    // Without it, the cluster is no longer configured as it should be.
    let engine = engine.with_statement_statistics(false);
    assert_eq!(fingerprint(engine.observe(&id).await), None);
}
