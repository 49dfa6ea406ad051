//! What is counted and timed, in the text form that Prometheus reads.
//!
//! Owns: names and labels. Labels come from closed sets, or from what administrators made: nobody can
//! fill the memory with series by sending odd requests.

mod syncs;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lakeport_control::Control;
use lakeport_gateway::{Gateway, Login, TurnedAway};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::prometheus_text;
pub(crate) use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use syncs::Syncs;

/// From half a millisecond to ten seconds.
const SECONDS: [f64; 13] =
    [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    route: String,
}

type Times<L> = Family<L, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new(SECONDS)
}

pub(crate) struct Metrics {
    registry: Registry,
    logins: Family<Outcome, Counter>,
    stages: Times<Stage>,
    turned_away: Family<Outcome, Counter>,
    cancels: Family<Outcome, Counter>,
    requests: Family<Answered, Counter>,
    request_times: Times<Asked>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::default();
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("lakeport_build", "The running program", build);
        let logins = Family::default();
        registry.register("lakeport_logins", "Logins by their result", logins.clone());
        let turned_away = Family::default();
        let help = "Connections that ended before they asked to log in, by the reason";
        registry.register("lakeport_connections_turned_away", help, turned_away.clone());
        let cancels = Family::default();
        registry.register("lakeport_cancel_requests", "Cancel requests", cancels.clone());
        let requests = Family::default();
        registry.register("lakeport_http_requests", "Requests of the API", requests.clone());
        let stages = Times::new_with_constructor(histogram);
        let help = "How long the stages of logins take";
        registry.register_with_unit("lakeport_login_duration", help, Unit::Seconds, stages.clone());
        let request_times = Times::new_with_constructor(histogram);
        let help = "How long requests of the API take";
        registry.register_with_unit(
            "lakeport_http_request_duration",
            help,
            Unit::Seconds,
            request_times.clone(),
        );
        Self { registry, logins, stages, turned_away, cancels, requests, request_times }
    }

    /// All of it, with the gateway and the synced tables as they are now.
    pub(crate) fn text(
        &self,
        gateway: &Arc<Gateway>,
        control: &Control,
        lost: u64,
    ) -> Result<String, fmt::Error> {
        let mut now = Registry::default();
        now.register_collector(Box::new(Now { gateway: Arc::clone(gateway), lost }));
        now.register_collector(Box::new(Syncs(control.sync_counts())));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry)?;
        prometheus_text::encode(&mut text, &now)?;
        Ok(text)
    }

    pub(crate) fn login(&self, login: &Login<'_>) {
        let result = result_of(login);
        self.logins.get_or_create(&Outcome { result }).inc();
        let times = &login.times;
        let whole = (result == "ok").then_some(times.total);
        for (stage, time) in [
            ("startup", Some(times.startup)),
            ("token", times.token),
            ("route", times.route),
            ("backend", times.backend),
            ("total", whole),
        ] {
            if let Some(time) = time {
                self.stages.get_or_create(&Stage { stage }).observe(time.as_secs_f64());
            }
        }
    }

    pub(crate) fn turned_away(&self, why: TurnedAway<'_>) {
        let result = match why {
            TurnedAway::Left => "left",
            TurnedAway::Crowded => "crowded",
            TurnedAway::Slow => "slow",
            TurnedAway::Refused(_) => "refused",
            TurnedAway::Proxy(_) => "bad_proxy_header",
        };
        self.turned_away.get_or_create(&Outcome { result }).inc();
    }

    pub(crate) fn cancelled(&self, found: bool) {
        let result = if found { "ok" } else { "unknown_key" };
        self.cancels.get_or_create(&Outcome { result }).inc();
    }

    pub(crate) fn request(&self, method: &str, route: &str, status: u16, time: Duration) {
        let method = known_method(method);
        let asked = Asked { method, route: route.to_owned() };
        self.request_times.get_or_create(&asked).observe(time.as_secs_f64());
        let answered = Answered { method, route: asked.route, status };
        self.requests.get_or_create(&answered).inc();
    }
}

/// A client may send any word as its method.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// Few enough to be labels: what an operator would look into differently.
fn result_of(login: &Login<'_>) -> &'static str {
    let Some(refused) = &login.refusal else { return "ok" };
    match (refused.is_credential, refused.sqlstate) {
        (true, _) => "bad_credential",
        (_, "53300") => "crowded",
        (_, "57P03") => "instance_not_running",
        (_, "08P01") => "protocol_error",
        _ => "refused",
    }
}

/// What is looked at when somebody asks.
struct Now {
    gateway: Arc<Gateway>,
    /// Lines that the audit log lost.
    lost: u64,
}

impl fmt::Debug for Now {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Now")
    }
}

impl Collector for Now {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Self { gateway, lost } = self;
        let lost = ConstCounter::new(*lost);
        single(&mut encoder, "lakeport_audit_lines_lost", "Lines that were not written", &lost)?;
        let waiting = ConstGauge::new(gateway.waiting() as i64);
        single(&mut encoder, "lakeport_connections_waiting", "Connections before login", &waiting)?;
        let moved = gateway.moved();
        let to_servers = ConstCounter::new(moved.to_server);
        single(&mut encoder, "lakeport_bytes_to_servers", "Bytes from clients", &to_servers)?;
        let to_clients = ConstCounter::new(moved.to_client);
        single(&mut encoder, "lakeport_bytes_to_clients", "Bytes to clients", &to_clients)?;

        let (name, help) = ("lakeport_sessions", "Open sessions by instance");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (uid, count) in gateway.sessions_by_instance() {
            let labels = [("instance", uid)];
            ConstGauge::new(count as i64).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn single(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}
