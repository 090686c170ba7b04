//! The traffic as the control plane is told of it. In: the connection that is open. Out: at every interval, what
//! has changed, over Envoy's MetricsService and AccessLogService. Nobody waits for a control plane that takes none: what it
//! does not take for long is lost to the graph, counted, and still in the proxy's own metrics.
//!
//! A stream begins with a message that says who reports, and has its first report when it has not been refused for a
//! moment: what a report tells is not told again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::metrics::v3::StreamMetricsMessage;
use envoy_types::pb::envoy::service::metrics::v3::stream_metrics_message::Identifier;
use envoy_types::pb::io::prometheus::client::MetricFamily;
use futures::stream::{self, StreamExt};
use lateen_telemetry::exposition::{Kind, protobuf_families};
use lateen_telemetry::parts::{PART, parts};
use lateen_telemetry::standard::{COVERED, FIRST, LASTED, MADE, NUMBER};
use lateen_xds::client::Uplink;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;

use super::told::Told;
use super::{STALE, Stale};
use crate::worker::Shared;

/// Reports that may be on their way.
const QUEUE: usize = 4;

/// A step of the graph's, and by how much a report's time differs from it at least that says its own.
const STEP: Duration = Duration::from_secs(5);
const OTHER: Duration = Duration::from_secs(1);

/// Until the next attempt, after the control plane has refused a stream: at first, and at most.
const DELAY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// After so long a control plane will have refused a stream that it does not want.
const SETTLED: Duration = Duration::from_millis(500);

/// How long a stream that has ended here may take what it was handed.
const CLOSING: Duration = Duration::from_secs(5);

/// How long answers about peers are waited for when the proxy ends.
const ANSWERS: Duration = Duration::from_millis(300);

/// Asks for the last report, and is told when it is done.
pub type Finish = oneshot::Sender<oneshot::Sender<()>>;

/// In one message or several.
type Report = Vec<StreamMetricsMessage>;

/// A stream of reports over one connection.
struct Stream {
    reports: mpsc::Sender<Report>,
    opened: Instant,
    /// Reports that it was handed, and those of them that the connection has not taken whole.
    handed: u64,
    waiting: Arc<AtomicU64>,
    /// The call, which says at its end whether that was in order.
    call: JoinSet<bool>,
}

/// What tells the control plane.
struct Reporter {
    shared: Arc<Shared>,
    node: Node,
    /// How old a stream is that has a report.
    settled: Duration,
    /// The connection that is open.
    uplink: Option<Uplink>,
    stream: Option<Stream>,
    /// Streams that are at their end, each with the reports that it has lost.
    left: JoinSet<u64>,
    /// When another stream may be opened over the same connection, and how long the pause after that will be.
    again: (Instant, Duration),
    /// When it began, and when everything had been told last.
    began: Instant,
    told: Instant,
    /// Reports that were made, or given up.
    made: u64,
    ended: Told,
    /// Connections that are on their way.
    telling: JoinSet<()>,
}

/// Counts the connections that go on, and reports, until it is asked to finish.
pub async fn run(
    shared: Arc<Shared>,
    node: Node,
    mut uplinks: watch::Receiver<Option<Uplink>>,
    mut finish: oneshot::Receiver<oneshot::Sender<()>>,
) {
    let mut reporter = Reporter::new(shared, node);
    let mut next = Instant::now() + reporter.shared.traffic.interval();
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {
                let interval = reporter.shared.traffic.interval();
                // By the clock: a step of the graph's has a report, then.
                let regular = (next + interval).max(Instant::now() + interval / 2);
                next = reporter.tick().unwrap_or(regular);
            }
            changed = uplinks.changed() => {
                if changed.is_err() {
                    return std::future::pending().await;
                }
                let uplink = uplinks.borrow_and_update().clone();
                reporter.connected(uplink);
            }
            Ok(done) = &mut finish => {
                reporter.finish().await;
                // Whoever asked may have no time left.
                let _ = done.send(());
                return std::future::pending().await;
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
            settled: SETTLED,
            uplink: None,
            stream: None,
            left: JoinSet::new(),
            again: (now, DELAY.0),
            began: now,
            told: now,
            made: 0,
            ended: Told::default(),
            telling: JoinSet::new(),
        }
    }

    /// There is another connection, or none.
    fn connected(&mut self, uplink: Option<Uplink>) {
        if let Some(stream) = self.stream.take() {
            self.left.spawn(stream.close());
        }
        self.stream = uplink.clone().map(|uplink| Stream::open(uplink, &self.node));
        self.uplink = uplink;
        self.again = (Instant::now(), DELAY.0);
        self.telling = JoinSet::new();
    }

    /// Answers when it is to be called again, if there is something to report earlier than usual.
    fn tick(&mut self) -> Option<Instant> {
        self.shared.traffic.tick(Instant::now());
        while let Some(lost) = self.left.try_join_next() {
            self.lost(lost.unwrap_or(0));
        }
        self.reopen();
        let settles = self.stream.as_ref().and_then(|stream| stream.settles(self.settled));
        if settles.is_none() && self.report() {
            self.told = Instant::now();
        }
        self.tell(false);
        settles
    }

    /// Reports what nobody has been told yet, and waits until it has been taken.
    async fn finish(&mut self) {
        if self.uplink.is_none() {
            return;
        }
        self.shared.traffic.peers.settled(ANSWERS).await;
        self.shared.traffic.finish();
        self.reopen();
        // An earlier report may still be on its way.
        if let Some(open) = &self.stream {
            drop(open.reports.reserve().await);
        }
        self.report();
        while self.telling.join_next().await.is_some() {}
        self.tell(true);
        while self.telling.join_next().await.is_some() {}
        if let Some(stream) = self.stream.take() {
            stream.close().await;
        }
        while self.left.join_next().await.is_some() {}
    }

    fn lost(&self, reports: u64) {
        self.shared.traffic.unsent.fetch_add(reports, Ordering::Relaxed);
    }

    /// Streams end before their connection does: at an age, and where there is no place for them.
    fn reopen(&mut self) {
        let now = Instant::now();
        if let Some(open) = &mut self.stream
            && let Some(in_order) = open.ended()
        {
            let (lost, pause) = (open.lost(in_order), self.again.1);
            self.stream = None;
            self.lost(lost);
            self.again = match in_order {
                true => (now, DELAY.0),
                false => (now + pause, (pause * 2).min(DELAY.1)),
            };
        }
        if self.stream.is_none() && self.again.0 <= now {
            self.stream = self.uplink.clone().map(|uplink| Stream::open(uplink, &self.node));
        }
    }

    /// Sends what has changed; false if nobody takes it now.
    fn report(&mut self) -> bool {
        let Some(open) = &self.stream else { return false };
        // Nothing is taken from the counters before there is a place for it.
        let Ok(place) = open.reports.try_reserve() else { return false };
        let traffic = &self.shared.traffic;
        let untold = self.told.elapsed();
        let forgotten = traffic.forget_stale(untold);
        let is_new = open.handed == 0;
        let changes = protobuf_families(|out| traffic.changes(is_new, out));
        if changes.is_empty() && !is_new && forgotten != Stale::Lost {
            return true;
        }
        self.made += u64::from(forgotten == Stale::Lost);
        // What was given up no report is over.
        let over = if forgotten == Stale::Lost { Duration::ZERO } else { untold.min(STALE) };
        let mut families = self.about(is_new, over);
        families.extend(changes);
        self.made += 1;
        let message = |part| StreamMetricsMessage { identifier: None, envoy_metrics: part };
        open.waiting.fetch_add(1, Ordering::Relaxed);
        place.send(parts(families, PART).into_iter().map(message).collect());
        if let Some(open) = &mut self.stream {
            open.handed += 1;
        }
        true
    }

    /// What a report says of itself.
    fn about(&self, is_new: bool, over: Duration) -> Vec<MetricFamily> {
        protobuf_families(|out| {
            let help = "The seconds that this report is over";
            match is_new {
                true => out.single(COVERED, Kind::Gauge, help, over.as_secs_f64()),
                false if over.abs_diff(STEP) > OTHER => {
                    out.single(LASTED, Kind::Gauge, help, over.as_secs_f64());
                }
                false => {}
            }
            if is_new && self.told == self.began {
                out.single(FIRST, Kind::Gauge, "Nobody was told anything before", 1u8);
            }
            out.single(NUMBER, Kind::Gauge, "Reports before this one", self.made);
            let help = "The seconds from when this proxy began to report until this one";
            out.single(MADE, Kind::Gauge, help, self.began.elapsed().as_secs_f64());
        })
    }

    /// Tells of the connections that have ended, unless the last ones are still on their way.
    fn tell(&mut self, last_time: bool) {
        while self.telling.try_join_next().is_some() {}
        let (Some(uplink), true) = (&self.uplink, self.stream.is_some()) else { return };
        if !self.telling.is_empty() {
            return;
        }
        let Some(message) = self.ended.news(&self.shared, &self.node, last_time) else { return };
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
    fn open(uplink: Uplink, node: &Node) -> Self {
        let (reports, receiver) = mpsc::channel(QUEUE);
        let waiting = Arc::new(AtomicU64::new(0));
        let untaken = waiting.clone();
        let take = move |report: Report| {
            let (untaken, mut left) = (untaken.clone(), report.len());
            stream::iter(report).inspect(move |_| {
                left -= 1;
                untaken.fetch_sub(u64::from(left == 0), Ordering::Relaxed);
            })
        };
        let identifier = Identifier { node: Some(Node { metadata: None, ..node.clone() }) };
        let who = StreamMetricsMessage { identifier: Some(identifier), envoy_metrics: Vec::new() };
        let messages = stream::iter([who]).chain(ReceiverStream::new(receiver).flat_map(take));
        let mut call = JoinSet::new();
        call.spawn(async move {
            let ended = uplink.metrics(messages).await;
            if let Err(status) = &ended {
                let reason = status.message();
                tracing::debug!(reason, "the control plane takes no metrics");
            }
            ended.is_ok()
        });
        Self { reports, opened: Instant::now(), handed: 0, waiting, call }
    }

    /// When it may have its first report, unless that is now.
    fn settles(&self, after: Duration) -> Option<Instant> {
        let at = self.opened + after;
        (self.handed == 0 && at > Instant::now()).then_some(at)
    }

    /// Whether the call has ended in order, if it has ended.
    fn ended(&mut self) -> Option<bool> {
        self.call.try_join_next().map(|ended| ended.unwrap_or(false))
    }

    /// Reports that the control plane does not have, or may not have, now that the call is over.
    fn lost(&self, in_order: bool) -> u64 {
        let waiting = self.waiting.load(Ordering::Relaxed);
        // Of those that were taken the last one may have been on its way when the call broke off.
        waiting + u64::from(!in_order && self.handed > waiting)
    }

    /// Ends it in order, as far as the other end takes part in that, and says how many reports are lost.
    async fn close(mut self) -> u64 {
        // Nothing more comes, which ends the call.
        self.reports = mpsc::channel(1).0;
        let ended = tokio::time::timeout(CLOSING, self.call.join_next()).await;
        self.lost(matches!(ended, Ok(Some(Ok(true)) | None)))
    }
}

#[cfg(test)]
mod tests;
