//! The traffic as the control plane is told of it. In: the connection that is open. Out: at every interval, what
//! has changed, over Envoy's MetricsService and AccessLogService. Nobody waits for a control plane that takes none: what it does not
//! take is lost to the graph, counted, and still in the proxy's own metrics.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::metrics::v3::StreamMetricsMessage;
use envoy_types::pb::envoy::service::metrics::v3::stream_metrics_message::Identifier;
use lateen_telemetry::exposition::protobuf_families;
use lateen_xds::client::Uplink;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::told::Told;
use crate::worker::Shared;

/// Reports that may be on their way.
const QUEUE: usize = 4;
/// A change that is older is not told: it would look like one of this moment.
const STALE: Duration = Duration::from_secs(30);

/// A stream of reports over one connection.
struct Stream {
    uplink: Uplink,
    messages: mpsc::Sender<StreamMetricsMessage>,
    named: bool,
    /// Connections that are on their way.
    telling: JoinSet<()>,
}

/// Counts the connections that go on, and reports, for ever.
pub async fn run(shared: Arc<Shared>, node: Node, mut uplinks: watch::Receiver<Option<Uplink>>) {
    let mut stream = None;
    let mut ended = Told::default();
    let mut told = Instant::now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(shared.traffic.interval()) => {
                shared.traffic.tick(Instant::now());
                let stale = told.elapsed() > STALE;
                if report(&shared, &node, &mut stream, stale) {
                    told = Instant::now();
                }
                if let Some(open) = &mut stream {
                    open.tell(&mut ended, &shared, &node);
                }
            }
            changed = uplinks.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                stream = uplinks.borrow_and_update().clone().map(open);
            }
        }
    }
}

fn open(uplink: Uplink) -> Stream {
    let (messages, receiver) = mpsc::channel(QUEUE);
    let metrics = uplink.clone();
    // It ends with its sender or with the connection.
    tokio::spawn(async move {
        if let Err(status) = metrics.metrics(receiver).await {
            let reason = status.message();
            tracing::debug!(reason, "the control plane takes no metrics");
        }
    });
    Stream { uplink, messages, named: false, telling: JoinSet::new() }
}

impl Stream {
    /// Tells of the connections that have ended, unless the last ones are still on their way.
    fn tell(&mut self, ended: &mut Told, shared: &Shared, node: &Node) {
        while self.telling.try_join_next().is_some() {}
        if !self.telling.is_empty() {
            return;
        }
        let Some(message) = ended.news(shared, node) else { return };
        let uplink = self.uplink.clone();
        self.telling.spawn(async move {
            if let Err(status) = uplink.connections(message).await {
                let reason = status.message();
                tracing::debug!(reason, "the control plane takes no access logs");
            }
        });
    }
}

/// Sends what has changed; false if there was nobody to send it to.
fn report(shared: &Shared, node: &Node, stream: &mut Option<Stream>, stale: bool) -> bool {
    let Some(open) = stream.as_mut().filter(|open| !open.messages.is_closed()) else {
        *stream = None;
        return false;
    };
    let families = protobuf_families(|out| shared.traffic.registry.changes(out));
    if stale {
        return true;
    }
    if families.is_empty() && open.named {
        return true;
    }
    let node = (!open.named).then(|| Node { metadata: None, ..node.clone() });
    let identifier = node.map(|node| Identifier { node: Some(node) });
    let message = StreamMetricsMessage { identifier, envoy_metrics: families };
    match open.messages.try_send(message) {
        Ok(()) => open.named = true,
        Err(_) => drop(shared.traffic.unsent.fetch_add(1, Ordering::Relaxed)),
    }
    true
}
