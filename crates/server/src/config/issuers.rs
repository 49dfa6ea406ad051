//! Other issuers of tokens: whose are exchanged, and where people log in.

use std::fmt;
use std::path::PathBuf;

use lakeport_identity::outside::fetchable;
use serde::Deserialize;
use url::Url;

use super::bad;
use crate::{Error, Result};

/// The variable that holds the login provider's client secret, where no file does.
const SECRET_VARIABLE: &str = "LAKEPORT_LOGIN_CLIENT_SECRET";

/// One `[[trusted_issuers]]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuerSettings {
    pub url: String,
    pub audiences: Vec<String>,
    pub jwks_uri: Option<String>,
}

/// The `[login_provider]` table.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSettings {
    pub url: String,
    pub name: Option<String>,
    pub client_id: Option<String>,
    pub client_secret_file: Option<PathBuf>,
    pub scopes: Option<Vec<String>>,
    pub user_claim: Option<String>,
    pub create_users: bool,
    pub redirect_uri: Option<String>,
}

/// An issuer whose tokens may be exchanged.
#[derive(Debug, Clone)]
pub struct TrustedIssuer {
    pub name: String,
    /// Empty: the account's id.
    pub audiences: Vec<String>,
    pub jwks_uri: Option<Url>,
}

/// Where people log in instead of here.
#[derive(Clone)]
pub struct LoginProvider {
    pub issuer: String,
    /// What the button says.
    pub name: String,
    pub client_id: String,
    /// Public clients have none.
    pub client_secret: Option<String>,
    pub scopes: Vec<String>,
    /// The claim that is the user's name here.
    pub user_claim: String,
    pub create_users: bool,
    /// As the provider knows it; none: as the browser has reached this server.
    pub redirect_uri: Option<Url>,
}

impl fmt::Debug for LoginProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginProvider")
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

pub(super) fn trusted(settings: Vec<IssuerSettings>) -> Result<Vec<TrustedIssuer>> {
    settings.into_iter().map(issuer).collect()
}

fn issuer(settings: IssuerSettings) -> Result<TrustedIssuer> {
    let jwks_uri =
        settings.jwks_uri.map(|text| url("trusted_issuers.jwks_uri", &text)).transpose()?;
    if settings.audiences.iter().any(String::is_empty) {
        return Err(bad("trusted_issuers.audiences", "an audience may not be empty"));
    }
    Ok(TrustedIssuer {
        name: name("trusted_issuers.url", settings.url)?,
        audiences: settings.audiences,
        jwks_uri,
    })
}

pub(super) fn provider(settings: ProviderSettings) -> Result<LoginProvider> {
    let issuer = name("login_provider.url", settings.url)?;
    let client_id = settings.client_id.filter(|id| !id.is_empty()).ok_or_else(|| {
        bad("login_provider.client_id", "it is missing; register this server at the provider")
    })?;
    let client_secret = match settings.client_secret_file {
        Some(file) => Some(secret_in(&file)?),
        None => std::env::var(SECRET_VARIABLE).ok().filter(|secret| !secret.is_empty()),
    };
    let default_scopes = || ["openid", "email"].map(str::to_owned).to_vec();
    let scopes = settings.scopes.unwrap_or_else(default_scopes);
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(bad("login_provider.scopes", "\"openid\" is not among them"));
    }
    let redirect_uri = settings.redirect_uri.map(|text| url("login_provider.redirect_uri", &text));
    Ok(LoginProvider {
        name: settings.name.unwrap_or_else(|| host_of(&issuer)),
        issuer,
        client_id,
        client_secret,
        scopes,
        user_claim: settings.user_claim.unwrap_or_else(|| String::from("email")),
        create_users: settings.create_users,
        redirect_uri: redirect_uri.transpose()?,
    })
}

/// An issuer's name is compared letter by letter with what its tokens say, so it is kept as it was written.
fn name(field: &str, text: String) -> Result<String> {
    let checked = url(field, &text)?;
    if checked.query().is_some() {
        return Err(bad(field, format!("\"{text}\": an issuer has no query")));
    }
    Ok(text)
}

fn url(field: &str, text: &str) -> Result<Url> {
    fetchable(text).map_err(|problem| bad(field, format!("\"{text}\": {problem}")))
}

fn host_of(issuer: &str) -> String {
    let url = Url::parse(issuer).ok();
    url.as_ref().and_then(Url::host_str).unwrap_or(issuer).to_owned()
}

fn secret_in(file: &PathBuf) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(Error::io("reading", file.display()))?;
    match text.trim() {
        "" => Err(bad("login_provider.client_secret_file", "the file is empty")),
        secret => Ok(secret.to_owned()),
    }
}
