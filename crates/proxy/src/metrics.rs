//! The proxy's metrics for Prometheus. In: counters. Out: families with Envoy's names where Envoy counts the
//! same thing, and with Lateen's own where it does not.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use lateen_telemetry::exposition::{Exposition, Kind};
use lateen_telemetry::registry::Unwritten;

use crate::admin::{listeners, present};
use crate::stats::{Count, Counters};
use crate::view::View;

/// One family: which count, its name, and what it says.
type Family = (Count, &'static str, &'static str);

const LISTENER: [Family; 3] = [
    (Count::Opened, "envoy_listener_downstream_cx_total", "Connections accepted"),
    (Count::Closed, "envoy_listener_downstream_cx_destroy_total", "Connections that have ended"),
    (
        Count::Failed,
        "lateen_listener_connections_failed_total",
        "Connections that ended by an error",
    ),
];
const CLUSTER: [Family; 5] = [
    (Count::Opened, "envoy_cluster_upstream_cx_total", "Connections that chose the cluster"),
    (Count::Closed, "envoy_cluster_upstream_cx_destroy_total", "Connections that have ended"),
    (
        Count::Failed,
        "lateen_cluster_connections_failed_total",
        "Connections that ended by an error",
    ),
    (Count::Sent, "envoy_cluster_upstream_cx_rx_bytes_total", "Bytes received from the upstream"),
    (Count::Received, "envoy_cluster_upstream_cx_tx_bytes_total", "Bytes sent to the upstream"),
];

/// Bytes of a page that are written at once: fewer than a connection buffers, which asks for no more else, so that
/// nobody would notice a reader who takes nothing.
pub const PIECE: usize = 16 << 10;

/// A page of metrics, in pieces that are written when they are asked for.
pub struct Pieces {
    /// Gone with the last piece.
    out: Option<Exposition>,
    series: Unwritten,
    /// Whether anything follows that is not ours.
    goes_on: bool,
}

impl Pieces {
    pub fn new(view: &View, mut out: Exposition, goes_on: bool) -> Self {
        write(view, &mut out);
        Self { out: Some(out), series: view.shared.traffic.unwritten(), goes_on }
    }

    /// Nothing is left.
    pub fn is_written(&self) -> bool {
        self.out.is_none()
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut out = self.out.take()?;
        if self.series.write(&mut out, PIECE) {
            return Some(self.out.insert(out).take());
        }
        Some(if self.goes_on { out.into_bytes() } else { out.finish() })
    }
}

/// All but the series of Istio's metrics.
fn write(view: &View, out: &mut Exposition) {
    server(view, out);
    let config = view.shared.config.load();
    let mut all: Vec<_> = listeners(&config)
        .into_iter()
        .map(|listener| (place(listener.compiled.address), &*listener.counters))
        .collect();
    // Two samples of one name would spoil the page.
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all.dedup_by(|a, b| a.0 == b.0);
    let named: Vec<_> = all.iter().map(|(place, counters)| (&**place, *counters)).collect();
    families(out, "listener_address", &LISTENER, "envoy_listener_downstream_cx_active", &named);
    let clusters = present(&config);
    let named: Vec<_> =
        clusters.iter().map(|cluster| (&*cluster.compiled.name, &cluster.live.counters)).collect();
    families(out, "cluster_name", &CLUSTER, "envoy_cluster_upstream_cx_active", &named);
    view.shared.traffic.totals(out);
}

/// Envoy's way to write an address in a label.
fn place(address: SocketAddr) -> String {
    format!("{}_{}", address.ip(), address.port())
}

fn server(view: &View, out: &mut Exposition) {
    let shared = &view.shared;
    out.family("istio_build", Kind::Gauge, "Istio component build info");
    let labels = [("component", "proxy"), ("tag", env!("CARGO_PKG_VERSION"))];
    out.sample("istio_build", &labels, 1_u64);
    let live = u8::from(view.is_ready());
    out.single("envoy_server_live", Kind::Gauge, "Whether the proxy is ready", live);
    let uptime = shared.started.elapsed().as_secs();
    out.single("envoy_server_uptime", Kind::Gauge, "Seconds since the start", uptime);
    let connections = view.active();
    let help = "Connections at this moment";
    out.single("envoy_server_total_connections", Kind::Gauge, help, connections);
    let linked = u8::from(shared.linked.load(Ordering::Relaxed));
    let help = "Whether a connection to the control plane is open";
    out.single("envoy_control_plane_connected_state", Kind::Gauge, help, linked);
    let version = shared.config.load().version;
    let help = "Configurations that have taken effect";
    out.single("lateen_config_version", Kind::Gauge, help, version);
    let dropped = shared.log.dropped();
    let help = "Access log lines that were dropped";
    out.single("lateen_access_log_dropped_lines_total", Kind::Counter, help, dropped);
    shared.collectors.write(out);
}

fn families(
    out: &mut Exposition,
    label: &str,
    families: &[Family],
    active: &str,
    all: &[(&str, &Counters)],
) {
    if all.is_empty() {
        return;
    }
    for (count, name, help) in families {
        out.family(name, Kind::Counter, help);
        for (value, counters) in all {
            out.sample(name, &[(label, *value)], counters.get(*count));
        }
    }
    out.family(active, Kind::Gauge, "Connections at this moment");
    for (value, counters) in all {
        out.sample(active, &[(label, *value)], counters.active());
    }
}
