//! From a start-up packet to a known identity and instance.
//!
//! The order is the point: first the token is checked, only then is anything looked up, so that a
//! stranger learns nothing. A password that is no token may be one of PostgreSQL's own; that needs the
//! instance to be known, so whatever fails there gives one answer, after one time. Neither is ever
//! logged or lives longer than its check.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

use crate::Gateway;
use crate::error::Refusal;
use crate::hello::{Client, ClientStream};
use crate::message;
use crate::observe::Times;
use crate::route::{AuthFailure, Identity, Instance, RouteFailure, Selector};
use crate::startup::Startup;

/// The longest PasswordMessage, as PostgreSQL has it.
const MAX_PASSWORD_MESSAGE: usize = 65_535;
/// A longer token is refused without being looked at.
const MAX_TOKEN: usize = 16 * 1024;
/// When a wrong password that is no token is answered: later than any look at it takes, so that the time
/// does not tell which instances and roles there are.
const WRONG_PASSWORD_AFTER: Duration = Duration::from_millis(250);

/// What a login came to know, also when it fails, and how long that took.
#[derive(Default)]
pub(crate) struct Known {
    pub(crate) identity: Option<Identity>,
    pub(crate) instance: Option<Instance>,
    pub(crate) times: Times,
}

/// Asks for the password, checks it, and finds the instance that is meant.
pub(crate) async fn verify(
    gateway: &Gateway,
    client: &mut Client,
    local: Option<SocketAddr>,
    known: &mut Known,
) -> Result<Instance, Refusal> {
    ask_password(&mut client.stream, &client.startup).await?;
    let password = read_password(&mut client.stream).await?;
    let user = &client.startup.user;

    let asked = Instant::now();
    let identity = authenticate(gateway, client, local, password).await;
    known.times.token = Some(asked.elapsed());
    let identity = known.identity.insert(identity?);
    if !identity.roles.contains(user) {
        let subject = identity.subject.clone();
        return Err(Refusal::WrongUser { user: user.clone(), subject });
    }

    let asked = Instant::now();
    let instance = find_instance(gateway, &selectors(client, local), identity).await;
    known.times.route = Some(asked.elapsed());
    let instance = known.instance.insert(instance?);
    if !identity.instances.contains(&instance.uid) {
        return Err(Refusal::WrongInstance { user: user.clone() });
    }
    if let Some(role) = identity.session_role.clone() {
        client.startup.act_as(role);
    }
    Ok(instance.clone())
}

async fn ask_password(stream: &mut ClientStream, startup: &Startup) -> Result<(), Refusal> {
    let mut question = BytesMut::new();
    if startup.needs_negotiation() {
        let unknown = &startup.protocol_options;
        message::negotiate_protocol_version(&mut question, startup.minor(), unknown);
    }
    message::cleartext_password(&mut question);
    stream.write_all(&question).await?;
    Ok(stream.flush().await?)
}

/// The password's bytes, without the NUL that ends them.
pub(crate) async fn read_password<S: AsyncRead + Unpin>(
    stream: &mut S,
) -> Result<Vec<u8>, Refusal> {
    if stream.read_u8().await? != message::PASSWORD {
        return Err(Refusal::Malformed("expected a password message"));
    }
    let length = stream.read_u32().await? as usize;
    if !(5..=MAX_PASSWORD_MESSAGE).contains(&length) {
        return Err(Refusal::Malformed("invalid length of password message"));
    }
    let mut password = vec![0; length - 4];
    stream.read_exact(&mut password).await?;
    match password.pop() {
        Some(0) if !password.contains(&0) => Ok(password),
        _ => Err(Refusal::Malformed("invalid password message")),
    }
}

async fn authenticate(
    gateway: &Gateway,
    client: &Client,
    local: Option<SocketAddr>,
    password: Vec<u8>,
) -> Result<Identity, Refusal> {
    let user = &client.startup.user;
    let refused = |failure| match failure {
        AuthFailure::Unavailable => Refusal::AuthUnavailable,
        failure => Refusal::Credential { user: user.clone(), failure },
    };
    if password.len() > MAX_TOKEN {
        return Err(refused(AuthFailure::Invalid));
    }
    let password = String::from_utf8(password).map_err(|_| refused(AuthFailure::NotAToken))?;
    match gateway.auth.authenticate(&password).await {
        Err(AuthFailure::NotAToken) => {
            authenticate_natively(gateway, client, local, &password).await.map_err(refused)
        }
        verdict => verdict.map_err(refused),
    }
}

/// A password of PostgreSQL's own belongs to one instance, so the connection has to name it.
async fn authenticate_natively(
    gateway: &Gateway,
    client: &Client,
    local: Option<SocketAddr>,
    password: &str,
) -> Result<Identity, AuthFailure> {
    let answer_at = Instant::now() + WRONG_PASSWORD_AFTER;
    let verdict = match aim(gateway, client, local).await {
        Some(instance) => {
            let role = &client.startup.user;
            gateway.auth.authenticate_natively(&instance, role, password).await
        }
        None => Err(AuthFailure::NotAToken),
    };
    if verdict.is_err() {
        tokio::time::sleep_until(answer_at.into()).await;
    }
    verdict
}

fn selectors(client: &Client, local: Option<SocketAddr>) -> Vec<Selector> {
    let names = client.startup.instances.iter().cloned().map(Selector::Option);
    let server_name = client.server_name.clone().map(Selector::ServerName);
    let local = local.map(|local| SocketAddr::new(local.ip().to_canonical(), local.port()));
    names.chain(server_name).chain(local.map(Selector::LocalAddress)).collect()
}

/// The instance that all selectors agree on, or else the token's only one.
async fn find_instance(
    gateway: &Gateway,
    selectors: &[Selector],
    identity: &Identity,
) -> Result<Instance, Refusal> {
    match selected(gateway, selectors).await? {
        Some(instance) => Ok(instance),
        None => only_instance(gateway, identity).await,
    }
}

/// The instance that a login without a token aims at, as far as that can be told.
pub(crate) async fn aim(
    gateway: &Gateway,
    client: &Client,
    local: Option<SocketAddr>,
) -> Option<Instance> {
    selected(gateway, &selectors(client, local)).await.ok().flatten()
}

async fn selected(gateway: &Gateway, selectors: &[Selector]) -> Result<Option<Instance>, Refusal> {
    let mut found: Option<Instance> = None;
    for selector in selectors {
        match (gateway.route.resolve(selector).await.map_err(unavailable)?, selector) {
            (Some(other), _) => found = Some(agree(found, other)?),
            (None, Selector::Option(name)) => {
                return Err(Refusal::NotFound { name: name.clone() });
            }
            (None, _) => {}
        }
    }
    Ok(found)
}

fn agree(found: Option<Instance>, other: Instance) -> Result<Instance, Refusal> {
    match found {
        Some(one) if one.uid != other.uid => {
            Err(Refusal::Contradiction { one: one.name, other: other.name })
        }
        _ => Ok(other),
    }
}

async fn only_instance(gateway: &Gateway, identity: &Identity) -> Result<Instance, Refusal> {
    let [uid] = identity.instances.as_slice() else {
        return Err(Refusal::Ambiguous { count: identity.instances.len() });
    };
    let instance = gateway.route.instance(uid).await.map_err(unavailable)?;
    instance.ok_or_else(|| Refusal::NotFound { name: uid.clone() })
}

fn unavailable(failure: RouteFailure) -> Refusal {
    match failure {
        RouteFailure::Unavailable => Refusal::RouteUnavailable,
    }
}
