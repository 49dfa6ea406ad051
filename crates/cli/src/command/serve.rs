//! `lakeport serve`: runs the server until a signal ends it.

use lakeport_server::{Config, Running, Settings};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;
use crate::failure::Failure;
use crate::{log, output};

pub(crate) fn run(args: ServeArgs) -> Result<(), Failure> {
    let file = match &args.config {
        Some(path) => Settings::read(path).map_err(usage)?,
        None => Settings::default(),
    };
    let settings = settings(args).or(file);
    log::server(settings.log_filter.as_deref())?;
    let config = Config::try_from(settings).map_err(usage)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("starting the runtime: {error}")))?;
    runtime.block_on(serve(config))
}

async fn serve(config: Config) -> Result<(), Failure> {
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let running = lakeport_server::start(config).await.map_err(failure)?;
    output::print(&banner(&running))?;
    let failed = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        () = running.failed() => true,
    };
    let shut_down = async {
        running.shut_down().await.map_err(failure)?;
        if failed {
            Err(Failure::new("a part of the server failed; the log says which"))
        } else {
            Ok(())
        }
    };
    tokio::select! {
        ended = shut_down => ended,
        // A person who asks twice means it: the databases run on, and the next start adopts them.
        _ = interrupt.recv() => Err(Failure::new("interrupted while stopping; databases may run on")),
    }
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    signal(kind).map_err(|error| Failure::new(format!("listening for signals: {error}")))
}

fn settings(args: ServeArgs) -> Settings {
    Settings {
        data_dir: args.data_dir,
        http_addr: args.http_addr,
        https_addr: args.https_addr,
        pg_addr: args.pg_addr,
        pg_port: args.pg_port,
        domain: args.domain,
        keep_databases: args.keep_databases,
        cu_memory: args.cu_memory,
        cu_cpus: args.cu_cpus,
        admin_user: args.admin_user,
        metadata_url: args.metadata_url,
        catalog_url: args.catalog_url,
        allowed_locations: args.allowed_location,
        object_store: None,
        catalog: None,
        postgres_bin: args.postgres_bin,
        log_filter: args.log_filter,
        sessions_on_revoke: args.sessions_on_revoke,
        os_uids: args.os_uids,
        mcp_hosts: args.mcp_hosts,
        app_public_schema: args.app_public_schema,
        token_lifetime: args.token_lifetime,
        tls_cert: args.tls_cert,
        tls_key: args.tls_key,
        session_idle: args.session_idle,
        session_age: args.session_age,
        proxy_protocol_from: args.proxy_protocol_from,
        audit_log_size: args.audit_log_size,
        open_metrics: args.open_metrics,
        statement_statistics: args.statement_statistics,
        // Tables of several keys: in the file alone.
        trusted_issuers: None,
        login_provider: None,
    }
}

fn usage(error: lakeport_server::Error) -> Failure {
    Failure::usage(error.to_string())
}

fn failure(error: lakeport_server::Error) -> Failure {
    Failure::new(error.to_string())
}

/// What a person types next.
fn banner(running: &Running) -> String {
    let directory = running.data_dir.display();
    let https = running.https.iter().map(|url| format!("\n  HTTPS      {url}")).collect::<String>();
    format!(
        "Lakeport serves.\n  API        {}{https}\n  PostgreSQL port {}\n  Data       {directory}\n\n\
         Next, in another terminal:\n  \
         export DATABRICKS_CONFIG_FILE={directory}/databrickscfg\n  \
         lakeport database create-database-instance my-instance --capacity CU_1\n  \
         lakeport psql my-instance\n\n\
         Ctrl-C stops the server and its databases.",
        running.http, running.pg_port,
    )
}
