//! Synced tables: what their runs have come to, and how far behind their sources they are.

use std::fmt;

use lakeport_control::TableCounts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Values of a table's counter, each with a label where there are several.
type Counted = Vec<(Option<(&'static str, &'static str)>, f64)>;

/// The synced tables that have had a run here.
#[derive(Debug)]
pub(super) struct Syncs(pub(super) Vec<TableCounts>);

impl Collector for Syncs {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut count = |name, help, unit: Option<&Unit>, of: &dyn Fn(&TableCounts) -> Counted| {
            let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Counter)?;
            for table in &self.0 {
                for (label, value) in of(table) {
                    let labels = [Some(("table", table.name.as_str())), label];
                    let labels: Vec<_> = labels.into_iter().flatten().collect();
                    ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
                }
            }
            fmt::Result::Ok(())
        };
        count("lakeport_sync_runs", "Runs by their result", None, &|table| {
            let results =
                [("ok", table.completed), ("failed", table.failed), ("cancelled", table.cancelled)];
            results.map(|(result, runs)| (Some(("result", result)), runs as f64)).into()
        })?;
        count("lakeport_sync_rows", "Rows and changes read from sources", None, &|table| {
            vec![(None, table.rows as f64)]
        })?;
        count("lakeport_sync", "Rows sent to PostgreSQL", Some(&Unit::Bytes), &|table| {
            vec![(None, table.cost.bytes as f64)]
        })?;
        count("lakeport_sync_phase", "Time spent in runs", Some(&Unit::Seconds), &|table| {
            let cost = &table.cost;
            let phases = [
                ("reading", cost.reading),
                ("indexing", cost.indexing),
                ("applying", cost.applying),
            ];
            phases.map(|(phase, time)| (Some(("phase", phase)), time.as_secs_f64())).into()
        })?;
        let mut gauge =
            |name, help, unit: Option<&Unit>, of: &dyn Fn(&TableCounts) -> Option<f64>| {
                let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
                for table in &self.0 {
                    if let Some(value) = of(table) {
                        let labels = [("table", table.name.as_str())];
                        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
                    }
                }
                fmt::Result::Ok(())
            };
        gauge("lakeport_sync_version", "The version that is applied", None, &|table| {
            table.applied.map(|applied| applied.version as f64)
        })?;
        let help = "Versions that were seen and are not applied";
        gauge("lakeport_sync_lag_versions", help, None, &|table| {
            table.lag().map(|lag| lag as f64)
        })?;
        let help = "From the commit of the applied version until it was visible";
        gauge("lakeport_sync_lag", help, Some(&Unit::Seconds), &|table| {
            table.applied?.delay.map(|delay| delay.as_secs_f64())
        })
    }
}
