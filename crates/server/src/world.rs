//! What tests of access share: a control plane on a metadata database of its own, an instance with all
//! that hangs on one, and who has which right on it. No server of an instance runs.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use lakeport_control::supervisor::Supervisor;
use lakeport_control::{Control, PrincipalDraft};
use lakeport_engine::local::LocalEngine;
use lakeport_engine::{ClusterId, Engine};
use lakeport_store::{
    Create, Instance, NewApp, NewDatabaseCatalog, NewInstance, NewSyncedTable, Principal,
    PrincipalKind, SyncedTable,
};
use serde_json::json;
use uuid::Uuid;

use crate::config::Settings;
use crate::mcp::Mcp;
use crate::names::Entrance;
use crate::rest::App;
use crate::{Config, boot};

pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) mcp: Mcp,
    pub(crate) control: Arc<Control>,
    pub(crate) instance: Instance,
    pub(crate) table: SyncedTable,
    pub(crate) manager: Principal,
    pub(crate) user: Principal,
    pub(crate) stranger: Principal,
    engine: Arc<LocalEngine>,
    directory: PathBuf,
}

impl World {
    pub(crate) async fn new() -> Self {
        let directory = std::env::temp_dir().join(format!("lakeport-world-{}", Uuid::new_v4()));
        std::fs::create_dir(&directory).unwrap();
        let settings =
            Settings { data_dir: Some(directory.clone()), pg_port: Some(0), ..Settings::default() };
        let config = Config::try_from(settings).unwrap();
        let (vault, engine) = boot::open_engine(&config).await.unwrap();
        let entrance = Entrance::bind(&config).await.unwrap();
        let parts =
            boot::boot(&config, vault, &engine, entrance, &Supervisor::default()).await.unwrap();
        let control = Arc::clone(&parts.control);
        let ca_file = directory.join("ca.pem");
        std::fs::write(&ca_file, parts.authority.certificate_pem()).unwrap();
        let mcp = Mcp::new(&config, "http://127.0.0.1:1", 5432, ca_file).unwrap();
        let admin = control.store.ensure_admin("admin@x.y").await.unwrap();
        let user_of = |name: &str| PrincipalDraft {
            user_name: name.to_owned(),
            active: true,
            ..PrincipalDraft::default()
        };
        let make = async |name| {
            control.create_principal(&admin, PrincipalKind::User, user_of(name)).await.unwrap()
        };
        let (manager, user, stranger) =
            (make("manager@x.y").await, make("user@x.y").await, make("stranger@x.y").await);
        let instance = control
            .store
            .add_instance(&new_instance(&control, &manager), &create(&control))
            .await
            .unwrap();
        let levels = [(user.id, "CAN_USE")];
        assert!(control.store.set_permissions(instance.uid, &levels, false).await.unwrap());
        let table = add_belongings(&control, &instance).await;
        let app = App {
            control: Arc::clone(&control),
            gateway: parts.gateway,
            witness: parts.witness,
            guesses: Arc::default(),
            workspace_id: parts.workspace_id,
            account_id: parts.account_id,
            open_metrics: false,
        };
        Self { app, mcp, control, instance, table, manager, user, stranger, engine, directory }
    }

    pub(crate) async fn token(&self, of: &Principal) -> String {
        let (token, _) =
            lakeport_identity::issue(&self.control.store, of, "test", None).await.unwrap();
        token.expose().to_owned()
    }

    pub(crate) async fn end(self) {
        self.engine.stop(&ClusterId::system()).await.unwrap();
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// A test that panics leaves no server running.
impl Drop for World {
    fn drop(&mut self) {
        let pid_file = self.directory.join("clusters/system/data/postmaster.pid");
        if let Some(pid) =
            std::fs::read_to_string(pid_file).ok().as_deref().and_then(|f| f.lines().next())
        {
            let _ = Command::new("kill").args(["-QUIT", pid]).status();
        }
    }
}

fn new_instance(control: &Control, creator: &Principal) -> NewInstance {
    NewInstance {
        uid: Uuid::new_v4(),
        name: String::from("theirs"),
        node_id: control.node,
        creator: creator.user_name.clone(),
        pg_version: 16,
        spec: json!({}),
        state: String::from("STARTING"),
        address: None,
        created_stopped: false,
    }
}

fn create(control: &Control) -> Create<'static> {
    Create { digest: b"world", node_id: control.node }
}

fn new_app(instance: &Instance) -> NewApp {
    NewApp {
        id: Uuid::new_v4(),
        name: String::from("theirs"),
        creator: instance.creator.clone(),
        spec: json!({}),
        stopped: false,
        client_id: Uuid::new_v4(),
        principal_name: String::from("app theirs"),
    }
}

async fn add_belongings(control: &Control, instance: &Instance) -> SyncedTable {
    let store = &control.store;
    let catalog = NewDatabaseCatalog {
        name: "theirs",
        uid: Uuid::new_v4(),
        instance_uid: instance.uid,
        database_name: "shop",
        creator: &instance.creator,
    };
    store.add_database_catalog(&catalog, &create(control)).await.unwrap();
    store.add_app(&new_app(instance), &[]).await.unwrap();
    let table = NewSyncedTable {
        name: String::from("theirs.s.t"),
        id: Uuid::new_v4(),
        instance_uid: instance.uid,
        database_name: String::from("shop"),
        schema_name: String::from("s"),
        table_name: String::from("t"),
        creator: instance.creator.clone(),
        request: json!({"name": "theirs.s.t"}),
        settings: json!({}),
        state: String::from("SYNCED_TABLE_PROVISIONING"),
        policy: String::from("SNAPSHOT"),
        pipeline: None,
        warning: None,
    };
    control.store.add_synced_table(&table, &create(control)).await.unwrap().unwrap()
}
