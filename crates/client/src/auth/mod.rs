//! What opens a server: a token as it is, a service principal's secret, or a person's login by browser.
//!
//! Owns: turning each into the bearer token of the next call. Never: where credentials are configured.

mod browser;
mod endpoints;
mod login_cache;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use self::browser::BrowserLogin;
pub(crate) use self::endpoints::Endpoints;
pub use self::login_cache::{Login, LoginCache};
use crate::live_token::{LiveToken, Minted};
use crate::{Result, Token};

#[derive(Debug, Clone)]
pub enum Credentials {
    /// A personal token, or an access token that somebody else renews.
    Token(Token),
    /// The id and a secret of a service principal: exchanged for access tokens of one hour.
    Machine { client_id: String, client_secret: Token },
    /// What a login by browser has left in the cache, under the first of these keys that is there.
    Login { cache: LoginCache, keys: Vec<String> },
}

/// The token of the next call.
#[derive(Debug, Clone)]
pub(crate) enum Bearer {
    Fixed(Token),
    Renewed(Arc<LiveToken>),
}

impl Bearer {
    pub(crate) fn new(http: &reqwest::Client, host: &Url, credentials: &Credentials) -> Self {
        let (http, host) = (http.clone(), host.clone());
        match credentials.clone() {
            Credentials::Token(token) => Self::Fixed(token),
            Credentials::Machine { client_id, client_secret } => renewed(move || {
                let (http, host) = (http.clone(), host.clone());
                let (id, secret) = (client_id.clone(), client_secret.clone());
                async move { machine(&http, &host, &id, &secret).await }
            }),
            Credentials::Login { cache, keys } => renewed(move || {
                let (http, host) = (http.clone(), host.clone());
                let (cache, keys) = (cache.clone(), keys.clone());
                async move { cache.live(&http, &host, &keys).await.map(Minted::from) }
            }),
        }
    }

    pub(crate) async fn token(&self) -> Result<Token> {
        match self {
            Self::Fixed(token) => Ok(token.clone()),
            Self::Renewed(live) => live.get().await,
        }
    }

    pub(crate) async fn minted(&self) -> Result<Minted> {
        match self {
            // Nobody has told its end.
            Self::Fixed(token) => Ok(Minted { token: token.clone(), lives: Duration::MAX }),
            Self::Renewed(live) => live.minted().await,
        }
    }
}

fn renewed<F, M>(mint: F) -> Bearer
where
    F: Fn() -> M + Send + Sync + 'static,
    M: Future<Output = Result<Minted>> + Send + 'static,
{
    Bearer::Renewed(Arc::new(LiveToken::new(mint)))
}

/// A new access token for a service principal.
pub(crate) async fn machine(
    http: &reqwest::Client,
    host: &Url,
    client_id: &str,
    client_secret: &Token,
) -> Result<Minted> {
    let endpoints = Endpoints::discover(http, host).await?;
    let form = [("grant_type", "client_credentials"), ("scope", "all-apis")];
    let client = Some((client_id, client_secret));
    let grant = endpoints.token(http, "exchange the client secret", client, &form).await?;
    Ok(Minted { token: grant.access_token, lives: grant.lives })
}
