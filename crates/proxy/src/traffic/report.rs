//! The traffic as the control plane is told of it. In: the connection that is open. Out: at every interval, what
//! has changed, over Envoy's MetricsService and AccessLogService. Nobody waits for a control plane that takes none: what it
//! does not take for long is lost to the graph, counted, and still in the proxy's own metrics.

use std::sync::Arc;
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

/// Until the next attempt, after the control plane has refused a stream: at first, and at most.
const DELAY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// A stream of reports over one connection.
struct Stream {
    messages: mpsc::Sender<StreamMetricsMessage>,
    named: bool,
    /// The call, which says at its end whether that was in order.
    call: JoinSet<bool>,
}

/// What tells the control plane.
struct Reporter {
    shared: Arc<Shared>,
    node: Node,
    /// The connection that is open.
    uplink: Option<Uplink>,
    stream: Option<Stream>,
    /// When another stream may be opened over the same connection, and how long the pause after that will be.
    again: (Instant, Duration),
    /// When everything had been told last.
    told: Instant,
    ended: Told,
    /// Connections that are on their way.
    telling: JoinSet<()>,
}

/// Counts the connections that go on, and reports, for ever.
pub async fn run(shared: Arc<Shared>, node: Node, mut uplinks: watch::Receiver<Option<Uplink>>) {
    let mut reporter = Reporter::new(shared, node);
    loop {
        tokio::select! {
            () = tokio::time::sleep(reporter.shared.traffic.interval()) => reporter.tick(),
            changed = uplinks.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                let uplink = uplinks.borrow_and_update().clone();
                reporter.connected(uplink);
            }
        }
    }
}

impl Reporter {
    fn new(shared: Arc<Shared>, node: Node) -> Self {
        let now = Instant::now();
        Self {
            shared,
            node,
            uplink: None,
            stream: None,
            again: (now, DELAY.0),
            told: now,
            ended: Told::default(),
            telling: JoinSet::new(),
        }
    }

    /// There is another connection, or none.
    fn connected(&mut self, uplink: Option<Uplink>) {
        self.stream = uplink.clone().map(Stream::open);
        self.uplink = uplink;
        self.again = (Instant::now(), DELAY.0);
        self.telling = JoinSet::new();
    }

    fn tick(&mut self) {
        self.shared.traffic.tick(Instant::now());
        self.reopen();
        if self.report() {
            self.told = Instant::now();
        }
        self.tell();
    }

    /// Streams end before their connection does: at an age, and where there is no place for them.
    fn reopen(&mut self) {
        let now = Instant::now();
        match self.stream.as_mut().and_then(Stream::ended) {
            None => {}
            Some(true) => {
                self.stream = None;
                self.again = (now, DELAY.0);
            }
            Some(false) => {
                let pause = self.again.1;
                self.stream = None;
                self.again = (now + pause, (pause * 2).min(DELAY.1));
            }
        }
        if self.stream.is_none() && self.again.0 <= now {
            self.stream = self.uplink.clone().map(Stream::open);
        }
    }

    /// Sends what has changed; false if nobody takes it now.
    fn report(&mut self) -> bool {
        let Some(open) = &mut self.stream else { return false };
        // Nothing is taken from the counters before there is a place for it.
        let Ok(place) = open.messages.try_reserve() else { return false };
        let traffic = &self.shared.traffic;
        traffic.forget_stale(self.told.elapsed());
        let families = protobuf_families(|out| traffic.changes(!open.named, out));
        if families.is_empty() && open.named {
            return true;
        }
        let node = (!open.named).then(|| Node { metadata: None, ..self.node.clone() });
        let identifier = node.map(|node| Identifier { node: Some(node) });
        place.send(StreamMetricsMessage { identifier, envoy_metrics: families });
        open.named = true;
        true
    }

    /// Tells of the connections that have ended, unless the last ones are still on their way.
    fn tell(&mut self) {
        while self.telling.try_join_next().is_some() {}
        let (Some(uplink), true) = (&self.uplink, self.stream.is_some()) else { return };
        if !self.telling.is_empty() {
            return;
        }
        let Some(message) = self.ended.news(&self.shared, &self.node) else { return };
        let uplink = uplink.clone();
        self.telling.spawn(async move {
            if let Err(status) = uplink.connections(message).await {
                let reason = status.message();
                tracing::debug!(reason, "the control plane takes no access logs");
            }
        });
    }
}

impl Stream {
    fn open(uplink: Uplink) -> Self {
        let (messages, receiver) = mpsc::channel(QUEUE);
        let mut call = JoinSet::new();
        call.spawn(async move {
            let ended = uplink.metrics(receiver).await;
            if let Err(status) = &ended {
                let reason = status.message();
                tracing::debug!(reason, "the control plane takes no metrics");
            }
            ended.is_ok()
        });
        Self { messages, named: false, call }
    }

    /// Whether the call has ended in order, if it has ended.
    fn ended(&mut self) -> Option<bool> {
        self.call.try_join_next().map(|ended| ended.unwrap_or(false))
    }
}

#[cfg(test)]
mod tests;
