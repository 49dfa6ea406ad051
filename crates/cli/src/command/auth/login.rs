//! A login by browser, and its end.
//!
//! Owns: which profile it becomes, and opening the page. Never: the flow itself.

use std::process::{Command, Stdio};

use lakeport_client::{
    BrowserLogin, Client, ConfigFile, Login, LoginCache, Overrides, Profile, ProfileEntry, Token,
};
use tokio::time::timeout;
use url::Url;

use crate::args::LoginArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

pub(crate) async fn login(context: &Context, args: &LoginArgs) -> Result<(), Failure> {
    let mut config = ConfigFile::load(&context.overrides)?;
    let entries = config.entries()?;
    let place = Place::find(context, &entries)?;
    let cache = cache()?;

    let flow = BrowserLogin::begin(&place.host, place.ca_file.as_deref()).await?;
    let interrupt = Interrupt::watch()?;
    show_page(context, flow.url(), args.no_browser);
    let waited = async {
        match timeout(args.timeout, flow.finish()).await {
            Ok(login) => Ok(login?),
            Err(_) => Err(Failure::new("nobody has logged in")
                .hint("try again, and wait longer with --timeout")),
        }
    };
    let left = || Failure::interrupted("interrupted: nobody is logged in, and nothing was changed");
    let login = interrupt.or(waited, left).await?;

    let user = who(&place, &login).await?;
    cache.store(&LoginCache::keys(Some(&place.profile), &place.host), &login)?;
    write_profile(&mut config, &place)?;
    context.output.note(&format!(
        "{user} is logged in at {}: profile `{}` of {}",
        place.host_text(),
        place.profile,
        config.path().display()
    ));
    Ok(())
}

pub(crate) async fn logout(context: &Context) -> Result<(), Failure> {
    let profile = context.profile()?;
    let lakeport_client::Credentials::Login { cache, keys } = profile.credentials.clone() else {
        return Err(Failure::new("the profile holds a token or a secret, not a login by browser")
            .hint("remove it from the configuration file by hand"));
    };
    let forgotten = Client::new(profile)?.log_out(&cache, &keys).await?;
    let said = if forgotten { "the login is forgotten" } else { "nobody was logged in" };
    context.output.note(said);
    Ok(())
}

/// Which profile the login becomes, and of which server.
struct Place {
    profile: String,
    host: Url,
    ca_file: Option<std::path::PathBuf>,
}

impl Place {
    /// A profile that holds a token or a secret stays as it is.
    fn find(context: &Context, entries: &[ProfileEntry]) -> Result<Self, Failure> {
        let named = context.overrides.profile.as_deref();
        let found = |name: &str| entries.iter().find(|entry| entry.name == name);
        // A profile that is not there yet is to be made, and tells nothing.
        let known = named.filter(|name| found(name).is_some());
        let overrides =
            Overrides { profile: known.map(str::to_owned), ..context.overrides.clone() };
        let (host, ca_file) = Profile::place(&overrides)?;
        if let Some(name) = named {
            if found(name).is_some_and(holds_a_secret) {
                return Err(Failure::usage(format!(
                    "profile `{name}` holds a token or a secret, which a login would put out of use"
                ))
                .hint("give the login a profile of its own: --profile NAME"));
            }
            return Ok(Self { profile: name.to_owned(), host, ca_file });
        }
        let of_this_host =
            entries.iter().find(|e| e.host.as_ref() == Some(&host) && !holds_a_secret(e));
        let profile = match of_this_host {
            Some(entry) => entry.name.clone(),
            None if found("DEFAULT").is_none() => String::from("DEFAULT"),
            None => free_name(&host, entries),
        };
        Ok(Self { profile, host, ca_file })
    }

    fn host_text(&self) -> &str {
        self.host.as_str().trim_end_matches('/')
    }
}

fn holds_a_secret(entry: &ProfileEntry) -> bool {
    matches!(entry.auth_type.as_deref(), Some("pat" | "oauth-m2m"))
}

/// The host's name, or the first of NAME-2, NAME-3 … that no profile has.
fn free_name(host: &Url, entries: &[ProfileEntry]) -> String {
    let base = host.host_str().unwrap_or("lakeport").replace([':', '[', ']'], "-");
    let base = match base.parse::<std::net::IpAddr>() {
        Ok(_) => String::from("lakeport"),
        Err(_) => base.split('.').next().unwrap_or("lakeport").to_owned(),
    };
    let taken = |name: &str| entries.iter().any(|entry| entry.name == name);
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(base)
}

/// Asks the server who that was, before anything is written.
async fn who(place: &Place, login: &Login) -> Result<String, Failure> {
    let token = Token::new(login.access_token().expose());
    let profile = Profile::with_token(place.host.clone(), token, place.ca_file.clone());
    Ok(Client::new(profile)?.current_user().await?.into_inner().user_name)
}

fn write_profile(config: &mut ConfigFile, place: &Place) -> Result<(), Failure> {
    let mut values = vec![("host", place.host_text()), ("auth_type", "databricks-cli")];
    let ca_file = place.ca_file.as_ref().map(|path| path.display().to_string());
    values.extend(ca_file.as_deref().map(|path| ("lakeport_ca_file", path)));
    Ok(config.set(&place.profile, &values)?)
}

fn cache() -> Result<LoginCache, Failure> {
    match std::env::home_dir().filter(|home| !home.as_os_str().is_empty()) {
        Some(home) => Ok(LoginCache::below(&home)),
        None => {
            Err(Failure::new("there is no home directory to keep the login in").hint("set HOME"))
        }
    }
}

/// The address is printed in any case: the browser may be another machine's.
fn show_page(context: &Context, url: &Url, no_browser: bool) {
    let opened = !no_browser && open(url);
    let what = if opened { "Log in on the page that opens, or open" } else { "Open" };
    context.output.prompt(&format!("{what} this page:\n{url}"));
}

fn open(url: &Url) -> bool {
    let wanted = std::env::var("BROWSER").ok().filter(|program| !program.is_empty());
    let fallback = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    Command::new(wanted.as_deref().unwrap_or(fallback))
        .arg(url.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_profile_is_named_after_its_host() {
        let entry =
            |name: &str| ProfileEntry { name: name.to_owned(), host: None, auth_type: None };
        let host = Url::parse("https://db.example.com/").unwrap();
        assert_eq!(free_name(&host, &[]), "db");
        assert_eq!(free_name(&host, &[entry("db"), entry("db-2")]), "db-3");
        assert_eq!(free_name(&Url::parse("http://127.0.0.1:8080/").unwrap(), &[]), "lakeport");
    }
}
