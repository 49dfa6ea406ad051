//! The tools of `lakeport-mcp` at `/mcp`, each call with the token of whoever makes it.
//!
//! Owns: the endpoint, its OAuth metadata (RFC 9728), and what reaches it. Never: a tool; the tools
//! speak to this server as any client does, over its own REST API and gateway.

mod guard;
mod scope;

use std::path::PathBuf;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::{Extension, Json, Router};
use lakeport_client::{Client, Profile, Token};
use lakeport_mcp::{Record, Server, Settings};
use serde_json::{Value, json};

use crate::rest::App;
use crate::rest::discovery::{Scheme, base_url};
use crate::witness::Witness;
use crate::{Config, Error, Result};

/// Where the metadata of the endpoint is: the path of the endpoint is inserted after it.
const METADATA: &str = "/.well-known/oauth-protected-resource";
const ENDPOINT: &str = "/mcp";

pub(crate) use lakeport_mcp::Access;
pub(crate) use scope::access as scope_access;

/// The endpoint as its client names it: what tokens for it are bound to (RFC 8707).
pub(crate) fn resource(scheme: Scheme, headers: &HeaderMap) -> String {
    format!("{}{ENDPOINT}", base_url(scheme, headers))
}

/// What every request to the endpoint needs.
#[derive(Clone)]
pub(crate) struct Mcp {
    tools: Server,
    client: Client,
    hosts: Arc<[String]>,
}

impl Mcp {
    /// `api` is this server's own address, as its machine reaches it.
    pub(crate) fn new(config: &Config, api: &str, pg_port: u16, ca_file: PathBuf) -> Result<Self> {
        let host = api.parse().map_err(|_| Error::Config(format!("{api} is not an address")))?;
        // Certificates that were given are of a CA that is not known here.
        let ca_file = config.tls_files.is_none().then_some(ca_file);
        // Each request brings its own token.
        let profile = Profile::with_token(host, Token::new(""), ca_file);
        let client =
            Client::new(profile).map_err(|error| Error::Config(format!("mcp: {error}")))?;
        let settings = Settings { pg_port, ..Settings::default() };
        let names = config.domain.iter().chain(&config.mcp_hosts).map(|name| name.to_lowercase());
        Ok(Self { tools: Server::for_requests(settings), client, hosts: names.collect() })
    }

    /// Calls of tools are told to `witness`.
    pub(crate) fn seen_by(self, witness: &Arc<Witness>) -> Self {
        let record = Arc::clone(witness) as Arc<dyn Record>;
        Self { tools: self.tools.recorded_by(record), ..self }
    }

    fn admits_host(&self, authority: &str) -> bool {
        let Ok(authority) = authority.parse::<axum::http::uri::Authority>() else { return false };
        let name = authority.host().trim_matches(['[', ']']).to_lowercase();
        // An address or a name that only this machine resolves is no name that somebody else rebinds.
        name == "localhost"
            || name.parse::<std::net::IpAddr>().is_ok()
            || self.hosts.iter().any(|host| {
                name == *host || name.strip_suffix(host).is_some_and(|rest| rest.ends_with('.'))
            })
    }
}

pub(crate) fn routes(app: &App, mcp: &Mcp) -> Router<App> {
    let guarded = Router::new()
        .route_service(ENDPOINT, mcp.tools.http_service())
        .layer(from_fn_with_state((app.clone(), mcp.clone()), guard::admit));
    Router::new()
        .route(METADATA, get(protected_resource))
        .route(&format!("{METADATA}{ENDPOINT}"), get(protected_resource))
        .route("/.well-known/oauth-authorization-server/oidc", get(crate::oauth::metadata))
        .merge(guarded)
}

/// RFC 9728. URLs use the host by which the client has reached us.
async fn protected_resource(
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
) -> Json<Value> {
    let base = base_url(scheme, &headers);
    Json(json!({
        "resource": resource(scheme, &headers),
        "resource_name": "Lakeport",
        "authorization_servers": [format!("{base}/oidc")],
        "bearer_methods_supported": ["header"],
        "scopes_supported": Access::ALL.map(scope::of),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings as ServerSettings;

    #[test]
    fn hosts_are_addresses_localhost_and_named_ones() {
        let settings = ServerSettings {
            domain: Some(String::from("db.example.com")),
            mcp_hosts: Some(vec![String::from("tools.example.org")]),
            ..ServerSettings::default()
        };
        let config = Config::try_from(settings).unwrap();
        let mcp = Mcp::new(&config, "http://127.0.0.1:1", 5432, PathBuf::from("x")).unwrap();
        for good in [
            "localhost:8080",
            "127.0.0.1",
            "[::1]:80",
            "10.1.2.3:8080",
            "DB.example.com",
            "api.db.example.com:443",
            "tools.example.org",
        ] {
            assert!(mcp.admits_host(good), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "xdb.example.com", "", "a b", "@"] {
            assert!(!mcp.admits_host(bad), "{bad}");
        }
    }
}
