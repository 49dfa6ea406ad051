//! What becomes of events: a line in the audit log, and a count.
//!
//! Owns: the form of the lines. A line names tokens by their ids; nothing here has seen one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lakeport_api::ErrorCode;
use lakeport_control::Control;
use lakeport_gateway::{Ended, Gateway, Identity, Instance, Login, Observe, TurnedAway};
use lakeport_mcp::{Called, Record};
use serde::Serialize;

use crate::audit::Audit;
use crate::metrics::Metrics;

pub(crate) struct Witness {
    audit: Audit,
    metrics: Metrics,
}

/// Whom an event is about, as far as that is known.
#[derive(Serialize)]
struct Subject<'a> {
    /// The role of the session.
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_uid: Option<&'a str>,
}

impl<'a> Subject<'a> {
    fn new(user: &'a str, who: Option<&'a Identity>, at: Option<&'a Instance>) -> Self {
        Self {
            user,
            subject: who.map(|identity| identity.subject.as_str()),
            token_id: who.map(|identity| identity.token_id.as_str()),
            instance: at.map(|instance| instance.name.as_str()),
            instance_uid: at.map(|instance| instance.uid.as_str()),
        }
    }
}

#[derive(Serialize)]
struct LoginLine<'a> {
    session: u64,
    source: SocketAddr,
    result: &'static str,
    #[serde(flatten)]
    subject: Subject<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sqlstate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back_ms: Option<u64>,
    duration_ms: u64,
}

#[derive(Serialize)]
struct EndLine<'a> {
    session: u64,
    source: SocketAddr,
    #[serde(flatten)]
    subject: Subject<'a>,
    reason: &'a str,
    bytes_to_server: u64,
    bytes_to_client: u64,
    duration_ms: u64,
}

#[derive(Serialize)]
struct TurnedAwayLine<'a> {
    source: SocketAddr,
    reason: &'a str,
}

/// A request that changes something, or that was not allowed.
#[derive(Serialize)]
pub(crate) struct RequestLine<'a> {
    pub(crate) request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<SocketAddr>,
    /// Whose token it came with, or whose login it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) query: Option<&'a str>,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<ErrorCode>,
    pub(crate) duration_ms: u64,
}

impl Witness {
    pub(crate) fn new(audit: Audit) -> Self {
        Self { audit, metrics: Metrics::new() }
    }

    /// Waits, for a bounded time, until every line is written.
    pub(crate) async fn flush(&self) {
        self.audit.flush().await;
    }

    pub(crate) fn request(&self, line: &RequestLine<'_>) {
        self.audit.write("request", line);
    }

    pub(crate) fn count_request(&self, method: &str, route: &str, status: u16, time: Duration) {
        self.metrics.request(method, route, status, time);
    }

    pub(crate) fn metrics(
        &self,
        gateway: &Arc<Gateway>,
        control: &Control,
    ) -> Result<String, std::fmt::Error> {
        self.metrics.text(gateway, control, self.audit.lost())
    }
}

impl Record for Witness {
    fn called(&self, call: &Called<'_>) {
        self.audit.write("tool_call", call);
    }
}

impl Observe for Witness {
    fn login(&self, login: &Login<'_>) {
        self.metrics.login(login);
        let Login { session, source, user, identity, instance, times, .. } = *login;
        let refused = login.refusal.as_ref();
        tracing::debug!(
            session, %source, user, refusal = refused.map(|refused| refused.sqlstate),
            startup = ?times.startup, token = ?times.token, route = ?times.route,
            backend = ?times.backend, total = ?times.total, "login"
        );
        let held_back = refused.map(|refused| millis(refused.held_back)).filter(|ms| *ms > 0);
        self.audit.write(
            "login",
            &LoginLine {
                session,
                source,
                result: if refused.is_some() { "refused" } else { "ok" },
                subject: Subject::new(user, identity, instance),
                application: login.application.as_deref(),
                server_name: login.server_name,
                sqlstate: refused.map(|refused| refused.sqlstate),
                message: refused.map(|refused| refused.message.as_str()),
                reason: refused
                    .filter(|refused| refused.reason != refused.message)
                    .map(|refused| refused.reason.as_str()),
                held_back_ms: held_back,
                duration_ms: millis(times.total),
            },
        );
    }

    fn ended(&self, ended: &Ended<'_>) {
        self.audit.write(
            "session_end",
            &EndLine {
                session: ended.session,
                source: ended.source,
                subject: Subject::new(ended.user, ended.identity, ended.instance),
                reason: &ended.reason,
                bytes_to_server: ended.to_server,
                bytes_to_client: ended.to_client,
                duration_ms: millis(ended.duration),
            },
        );
    }

    fn turned_away(&self, source: SocketAddr, why: TurnedAway<'_>) {
        self.metrics.turned_away(why);
        let reason = match why {
            // Port scans, health checks and slow strangers only count: they would fill the log.
            TurnedAway::Left | TurnedAway::Slow | TurnedAway::Crowded => return,
            TurnedAway::Refused(reason) | TurnedAway::Proxy(reason) => reason,
        };
        self.audit.write("turned_away", &TurnedAwayLine { source, reason });
    }

    fn cancelled(&self, _: SocketAddr, found: bool) {
        self.metrics.cancelled(found);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
