//! From a configuration to connected parts, in the order in which they need each other.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lakeport_catalog::{Embedded, Mounted};
use lakeport_control::supervisor::Supervisor;
use lakeport_control::{
    Control, Naming, Progress, PublishedIdentities, Readers, Ready, Subjects, SyncCounts, SyncSlots,
};
use lakeport_engine::local::{LocalEngine, Search};
use lakeport_engine::{ADMIN_ROLE, ClusterId, Engine, MAINTENANCE_DATABASE};
use lakeport_gateway::{Gateway, Limits, Observe};
use lakeport_identity::oauth::{OAuth, TrustedIssuer, TrustedIssuers};
use lakeport_identity::outside::{Issuer, Provider, Web};
use lakeport_identity::{Authority, Credentials, SigningKeys, Vault};
use lakeport_store::Store;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::audit::Audit;
use crate::authenticate::Tokens;
use crate::config::LoginProvider;
use crate::names::{Entrance, Names};
use crate::profile;
use crate::route::Routes;
use crate::sync::Syncs;
use crate::tls::Certificates;
use crate::web::Outside;
use crate::witness::Witness;
use crate::{Config, Error, Result};

pub(crate) struct Parts {
    pub(crate) control: Arc<Control>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) names: Arc<Names>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) certificates: Certificates,
    pub(crate) witness: Arc<Witness>,
    pub(crate) workspace_id: String,
    pub(crate) account_id: String,
}

/// The installation's key, and the engine, which needs it for its clusters' passwords.
pub(crate) async fn open_engine(config: &Config) -> Result<(Arc<Vault>, Arc<LocalEngine>)> {
    let key = std::env::var("LAKEPORT_SECRET_KEY").ok();
    let vault = Arc::new(Vault::open(key.as_deref(), &config.data_dir.join("secret.key"))?);
    let search = Search { explicit: config.postgres_bin.clone(), installed: installed_versions() };
    let derive = Arc::clone(&vault);
    let passwords = Arc::new(move |purpose: &str| derive.password(purpose));
    let engine =
        LocalEngine::open(&config.data_dir, search, passwords, config.os_uids.clone()).await?;
    let engine = engine.with_statement_statistics(config.statement_statistics);
    Ok((vault, Arc::new(engine)))
}

pub(crate) async fn boot(
    config: &Config,
    vault: Arc<Vault>,
    engine: &Arc<LocalEngine>,
    entrance: Entrance,
    supervisor: &Supervisor,
) -> Result<Parts> {
    let store = open_store(config, engine).await?;
    let node = register_node(&config.data_dir, &store).await?;
    store.end_leases_of_node(node).await?;

    let workspace_id = store.setting_or("workspace_id", &new_workspace_id()).await?;
    let account_id = store.setting_or("account_id", &Uuid::new_v4().to_string()).await?;
    let keys = SigningKeys::load(&store, &vault).await?;
    let authority = Arc::new(Authority::load(&store, &vault).await?);
    let certificates = Certificates::new(Arc::clone(&authority), config.tls_files.clone())?;
    let audit = Audit::open(config.data_dir.join("audit.log"), config.audit_log_size)?;
    let witness = Arc::new(Witness::new(audit));

    let (names, listener) =
        Names::open(entrance, store.clone(), certificates.clone(), supervisor.clone());
    let names = Arc::new(names);
    let web: Arc<dyn Web> = Arc::new(Outside::default());
    let control = Arc::new(Control {
        app_public_schema: config.app_public_schema,
        catalog: Arc::new(open_catalogs(config, &store)?),
        credentials: Credentials::new(Arc::clone(&keys), &workspace_id)
            .with_lifetime(config.token_lifetime),
        default_major: engine.default_major(),
        engine: Arc::clone(engine) as Arc<dyn Engine>,
        keys: Arc::clone(&keys),
        oauth: OAuth::new(
            store.clone(),
            Arc::clone(&keys),
            &workspace_id,
            trusted_issuers(config, &web, &account_id),
        )
        .with_lifetime(config.token_lifetime),
        provider: config.login_provider.clone().map(|settings| provider(settings, web)),
        naming: Arc::clone(&names) as Arc<dyn Naming>,
        node,
        owner: Uuid::new_v4(),
        progress: Progress::default(),
        sync_counts: SyncCounts::default(),
        ready: Ready::default(),
        published: PublishedIdentities::default(),
        sessions_on_revoke: config.sessions_on_revoke,
        readers: Readers::default(),
        runner: Arc::new(Syncs::default()),
        store,
        subjects: Subjects::default(),
        sync_slots: SyncSlots::default(),
        unit: config.unit,
        vault,
        wake: Notify::new(),
    });
    let routes = Routes { control: Arc::clone(&control), names: Arc::clone(&names) };
    let tokens = Tokens(Arc::clone(&control));
    let observe = Arc::clone(&witness) as Arc<dyn Observe>;
    let gateway = Gateway::new(Arc::new(tokens), Arc::new(routes), observe, limits(config))
        .map_err(Error::io("starting", "the gateway's threads"))?;
    names.connect(Arc::clone(&gateway), listener)?;
    Ok(Parts {
        control,
        gateway,
        names,
        authority,
        certificates,
        witness,
        workspace_id,
        account_id,
    })
}

fn limits(config: &Config) -> Limits {
    Limits {
        session_idle: config.session_idle,
        session_age: config.session_age,
        trusted_proxies: config.trusted_proxies.clone(),
        ..Limits::default()
    }
}

fn open_catalogs(config: &Config, store: &Store) -> Result<Mounted> {
    let embedded = Embedded::new(store.clone(), config.locations.clone());
    let (outside, any) = config.outside.mounts()?;
    Ok(Mounted::new(embedded, config.locations.clone(), outside, any))
}

fn trusted_issuers(config: &Config, web: &Arc<dyn Web>, account_id: &str) -> TrustedIssuers {
    let issuers = config.trusted_issuers.iter().map(|trusted| {
        let (name, jwks_uri) = (trusted.name.clone(), trusted.jwks_uri.clone());
        let mut audiences = trusted.audiences.clone();
        if audiences.is_empty() {
            audiences.push(account_id.to_owned());
        }
        TrustedIssuer { issuer: Issuer::new(name, jwks_uri, Arc::clone(web)), audiences }
    });
    TrustedIssuers::new(issuers.collect())
}

fn provider(settings: LoginProvider, web: Arc<dyn Web>) -> Provider {
    Provider {
        issuer: Issuer::new(settings.issuer, None, web),
        title: settings.name,
        client_id: settings.client_id,
        client_secret: settings.client_secret,
        scopes: settings.scopes,
        user_claim: settings.user_claim,
        create_users: settings.create_users,
        redirect_uri: settings.redirect_uri,
    }
}

/// Where `make setup` puts PostgreSQL: `target/` of the tree that the program or its user is in.
fn installed_versions() -> Vec<PathBuf> {
    let program = std::env::current_exe().ok();
    let above = program.iter().flat_map(|path| path.ancestors().skip(1).take(3));
    let mut places: Vec<_> = above.map(|folder| folder.join("postgres")).collect();
    places.push(PathBuf::from("target/postgres"));
    places
}

/// The metadata database: a small cluster of our own, or the one that was named.
async fn open_store(config: &Config, engine: &LocalEngine) -> Result<Store> {
    if let Some(url) = &config.metadata_url {
        return Ok(Store::open(url.0.clone()).await?);
    }
    let id = ClusterId::system();
    let major = engine.default_major();
    engine.provision(&id, major).await?;
    if !is_ready(engine, &id).await {
        engine.configure(&id, &lakeport_engine::Settings::for_metadata(major)).await?;
        engine.start(&id).await?;
    }
    Ok(Store::open(engine.connection(&id, ADMIN_ROLE, MAINTENANCE_DATABASE)).await?)
}

/// A server that a killed lakeport has left runs on as it is.
async fn is_ready(engine: &LocalEngine, id: &ClusterId) -> bool {
    use lakeport_engine::{Observed, Process};
    matches!(engine.observe(id).await, Observed::Present { process: Process::Ready, .. })
}

/// Ties the data directory to its metadata database: with another one, its instances would look like
/// leftovers.
async fn register_node(data_dir: &Path, store: &Store) -> Result<Uuid> {
    let path = data_dir.join("node-id");
    if let Ok(text) = fs::read_to_string(&path) {
        let node = Uuid::parse_str(text.trim())
            .map_err(|_| Error::Config(format!("{} does not hold a UUID", path.display())))?;
        if store.knows_node(node).await? {
            return Ok(node);
        }
        return Err(Error::Config(format!(
            "{} belongs to another metadata database: start with the --metadata-url that it was \
             made with (or none, if it was made with none), or choose another --data-dir",
            data_dir.display()
        )));
    }
    let node = Uuid::new_v4();
    // In this order a crash between the two leaves a row too many, never a directory too few.
    store.register_node(node).await?;
    profile::replace(&path, 0o600, &format!("{node}\n"))?;
    Ok(node)
}

/// Sixteen digits, as SDKs read it as an integer.
fn new_workspace_id() -> String {
    let (bits, _) = Uuid::new_v4().as_u64_pair();
    (1_000_000_000_000_000 + bits % 9_000_000_000_000_000).to_string()
}
