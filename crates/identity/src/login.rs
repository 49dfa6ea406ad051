//! Signing in with a browser: one-time links, and the session behind a cookie.

use std::time::Duration;

use jiff::Timestamp;
use lakeport_store::{Principal, Store};

use crate::Result;
use crate::opaque::{OpaqueToken, digest_of};

/// Long enough to carry it to another window, short enough to be useless in an old terminal.
const LINK_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// A working day.
const SESSION_LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// A link's secret, and when it stops working.
pub async fn make_link(store: &Store, user: &Principal) -> Result<(OpaqueToken, Timestamp)> {
    let token = OpaqueToken::draw("lkpl_")?;
    let expires = Timestamp::now() + LINK_LIFETIME;
    store.add_login_link(user.id, &token.digest(), expires).await?;
    Ok((token, expires))
}

/// Whose link this is; it stays usable, since programs that preview links follow them too.
pub async fn owner_of_link(store: &Store, link: &str) -> Result<Option<Principal>> {
    Ok(store.principal_by_login_link(&digest_of(link)).await?)
}

/// Uses the link up.
pub async fn use_link(store: &Store, link: &str) -> Result<Option<Principal>> {
    Ok(store.use_login_link(&digest_of(link)).await?)
}

/// A new session's secret, which goes into a cookie.
pub async fn start_session(store: &Store, user: &Principal) -> Result<OpaqueToken> {
    let token = OpaqueToken::draw("lkps_")?;
    let expires = Timestamp::now() + SESSION_LIFETIME;
    store.add_login_session(user.id, &token.digest(), expires).await?;
    Ok(token)
}

pub async fn session_user(store: &Store, session: &str) -> Result<Option<Principal>> {
    Ok(store.principal_by_login_session(&digest_of(session)).await?)
}

pub async fn end_session(store: &Store, session: &str) -> Result<()> {
    Ok(store.end_login_session(&digest_of(session)).await?)
}
