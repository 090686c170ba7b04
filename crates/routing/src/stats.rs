//! Istio's stats filter. In: its configuration and the listener's direction. Out: whose view is counted and how
//! often, and what is different about the metrics, with notes on what is not acted on.

mod changes;

use std::sync::Arc;
use std::time::Duration;

use lateen_telemetry::labels::Reporter;
use lateen_telemetry::plugin::{self, PluginConfig};

use crate::convert;
pub use changes::{Changes, Needs};

/// How often connections that go on are counted, unless it is said (Istio's default). Less often is no use to anybody, and
/// the live graph would not know of them.
const INTERVAL: Duration = Duration::from_secs(5);
/// Nor is more often.
const SHORTEST: Duration = Duration::from_secs(1);

/// How connections are counted in Istio's metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    pub reporter: Reporter,
    pub interval: Duration,
    /// What is different about the metrics, if anything is.
    pub changes: Option<Arc<Changes>>,
}

impl Stats {
    pub(crate) fn compile(source: &PluginConfig, inbound: bool, notes: &mut Vec<String>) -> Self {
        for definition in &source.definitions {
            notes.push(format!("the metric {:?} is not counted", definition.name));
        }
        // A gateway that serves for others reports as their proxies would.
        let server = inbound || source.reporter() == plugin::Reporter::ServerGateway;
        let interval = source.tcp_reporting_duration.as_ref().map(convert::duration);
        Self {
            reporter: if server { Reporter::Destination } else { Reporter::Source },
            interval: interval.unwrap_or(INTERVAL).clamp(SHORTEST, INTERVAL),
            changes: Changes::compile(&source.metrics, notes).map(Arc::new),
        }
    }
}
