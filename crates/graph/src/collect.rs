//! Taking what proxies send. In: their messages, as they come. Out: points in the store. The time is the
//! receiver's: what a proxy's clock says does not matter.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::io::prometheus::client::{Histogram, Metric as Sample, MetricFamily};
use lateen_telemetry::exposition::Kind;
use lateen_telemetry::histogram::Native;
use lateen_telemetry::standard::Metric;
use lateen_xds::server::{Collection, Collector};

use crate::connection::Connection;
use crate::key::Key;
use crate::point::Point;
use crate::recent::Recent;
use crate::store::Store;

/// Connections of one message that are looked at.
const ENTRIES: usize = 1024;

/// Everything that is known, and who tells it.
#[derive(Debug)]
pub struct Traffic {
    store: Mutex<Store>,
    recent: Mutex<Recent>,
    proxies: AtomicUsize,
    /// Where it is read, if proxies do not send it.
    prometheus: Option<Mutex<Reading>>,
}

/// How reading goes.
#[derive(Debug)]
struct Reading {
    address: String,
    has_read: bool,
    failure: Option<String>,
    left_out: u64,
}

/// Where proxies send their traffic.
pub struct Inlet(pub Arc<Traffic>);

/// The stream of one proxy.
struct Stream {
    traffic: Arc<Traffic>,
    /// By its ways without flags, of which a connection may end with others than it began with.
    open: Mutex<HashMap<Key, Open>>,
}

/// Connections of one way that began on this stream and have not ended.
struct Open {
    count: i64,
    /// What they began under.
    key: Key,
}

impl Collection for Inlet {
    fn stream(&self) -> Arc<dyn Collector> {
        if self.0.prometheus.is_some() {
            return Arc::new(Unwanted);
        }
        self.0.proxies.fetch_add(1, Ordering::Relaxed);
        Arc::new(Stream { traffic: self.0.clone(), open: Mutex::default() })
    }

    fn connections(&self, node: &Node, entries: Vec<TcpAccessLogEntry>) {
        let now = seconds() * 1000;
        let mut recent = self.0.recent();
        for mut entry in entries.into_iter().take(ENTRIES) {
            let common = entry.common_properties.as_mut();
            let tags = common.map(|common| common.custom_tags.clone()).unwrap_or_default();
            let connection = Connection::read(entry, &node.id, now);
            recent.add(|name| tags.get(name).map(String::as_str), connection);
        }
    }
}

/// Prometheus tells it all, but for single connections.
struct Unwanted;

impl Collector for Unwanted {
    fn metrics(&self, _node: &Node, _families: Vec<MetricFamily>) {}
}

impl Traffic {
    /// `limit` in bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self::over(Store::new(limit, seconds()), None))
    }

    /// For what is read from a Prometheus, from this time on.
    pub fn of_prometheus(limit: usize, address: String, since: u64) -> Arc<Self> {
        let reading = Reading { address, has_read: false, failure: None, left_out: 0 };
        Arc::new(Self::over(Store::new(limit, since), Some(reading)))
    }

    fn over(store: Store, reading: Option<Reading>) -> Self {
        Self {
            store: Mutex::new(store),
            recent: Mutex::default(),
            proxies: AtomicUsize::new(0),
            prometheus: reading.map(Mutex::new),
        }
    }

    /// Up to here it is read, from so many proxies and without so many series.
    pub fn has_read(&self, proxies: usize, left_out: u64) {
        self.proxies.store(proxies, Ordering::Relaxed);
        if let Some(mut reading) = self.reading() {
            reading.has_read = true;
            reading.failure = None;
            reading.left_out = left_out;
        }
    }

    /// It cannot be read at the moment.
    pub fn failed(&self, why: String) {
        if let Some(mut reading) = self.reading() {
            reading.failure = Some(why);
        }
    }

    /// `memory` or `prometheus`.
    pub fn source(&self) -> &'static str {
        if self.prometheus.is_some() { "prometheus" } else { "memory" }
    }

    /// Why there is nothing to show, if that is so.
    pub fn missing(&self) -> Option<String> {
        let reading = self.reading().filter(|reading| !reading.has_read)?;
        let waiting = || format!("Prometheus at {} is being read: ask again", reading.address);
        Some(reading.failure.clone().unwrap_or_else(waiting))
    }

    /// What whoever looks at the traffic should know.
    pub fn notices(&self) -> Vec<String> {
        let Some(reading) = self.reading() else { return Vec::new() };
        let mut notices = Vec::new();
        if let Some(failure) = &reading.failure {
            notices.push(format!("what is shown ends when Prometheus was last read: {failure}"));
        }
        if reading.left_out > 0 {
            notices.push(format!("{} series of Prometheus found no room", reading.left_out));
        }
        notices
    }

    fn reading(&self) -> Option<MutexGuard<'_, Reading>> {
        let reading = self.prometheus.as_ref()?;
        Some(reading.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Proxies that send at the moment.
    pub fn proxies(&self) -> usize {
        self.proxies.load(Ordering::Relaxed)
    }

    /// The newest connections that have ended.
    pub fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store at this moment.
    pub fn now(&self) -> MutexGuard<'_, Store> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        // What is read has its own time.
        if self.prometheus.is_none() {
            store.advance(seconds());
        }
        store
    }
}

impl Collector for Stream {
    fn metrics(&self, _node: &Node, families: Vec<MetricFamily>) {
        let mut store = self.traffic.now();
        let mut points: HashMap<Key, Point> = HashMap::new();
        for family in &families {
            let known = Metric::ALL.iter().find(|about| about.name == family.name());
            let Some(about) = known else { continue };
            for sample in &family.metric {
                if let Some(key) = store.key(&sample.label) {
                    put(about.metric, about.kind, sample, points.entry(key).or_default());
                }
            }
        }
        let now = seconds();
        let mut open = self.open();
        for (key, point) in points {
            store.add(now, key.clone(), &point);
            let way = key.without_flags();
            let entry =
                open.entry(way.clone()).or_insert_with(|| Open { count: 0, key: key.clone() });
            entry.count += point.opened as i64 - point.closed as i64;
            if entry.count < 0 {
                // These began before the stream, when nobody counted or another stream did.
                store.reopen(&key, -entry.count);
                entry.count = 0;
            }
            if point.opened > 0 {
                entry.key = key;
            }
        }
        open.retain(|_, entry| entry.count != 0);
    }
}

impl Stream {
    fn open(&self) -> MutexGuard<'_, HashMap<Key, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.traffic.proxies.fetch_sub(1, Ordering::Relaxed);
        // Whether they live on is not known: the proxy may be gone, and they with it.
        let mut store = self.traffic.now();
        for Open { count, key } in self.open().values() {
            store.reopen(key, -count);
        }
    }
}

fn put(metric: Metric, kind: Kind, sample: &Sample, point: &mut Point) {
    if kind == Kind::Histogram {
        let Some(histogram) = &sample.histogram else { return };
        match metric {
            Metric::RequestDuration => point.latency.merge(&native(histogram)),
            _ => count(metric, histogram.sample_sum() as u64, point),
        }
        return;
    }
    count(metric, sample.counter.as_ref().map_or(0.0, |counter| counter.value()) as u64, point);
}

/// Adds to what a metric counts; of sizes, to their sum.
pub(crate) fn count(metric: Metric, count: u64, point: &mut Point) {
    let own = match metric {
        Metric::TcpOpened => &mut point.opened,
        Metric::TcpClosed => &mut point.closed,
        Metric::TcpReceived => &mut point.sent,
        Metric::TcpSent => &mut point.received,
        Metric::Requests => &mut point.requests,
        Metric::RequestSize => &mut point.request_bytes,
        Metric::ResponseSize => &mut point.response_bytes,
        Metric::GrpcRequestMessages => &mut point.request_messages,
        Metric::GrpcResponseMessages => &mut point.response_messages,
        Metric::RequestDuration => return,
    };
    // A peer may say any number.
    *own = own.saturating_add(count);
}

/// The buckets of a native histogram in the schema that is kept; those of another one are left out.
fn native(histogram: &Histogram) -> Native {
    let mut native = Native { zeros: histogram.zero_count(), buckets: Vec::new() };
    if histogram.schema() != Native::SCHEMA {
        return native;
    }
    let mut deltas = histogram.positive_delta.iter();
    let (mut index, mut count) = (0, 0);
    for span in &histogram.positive_span {
        index = i32::saturating_add(index, span.offset());
        for _ in 0..span.length() {
            let Some(delta) = deltas.next() else { return native };
            count = i64::saturating_add(count, *delta);
            native.buckets.push((index, count.max(0) as u64));
            index = index.saturating_add(1);
        }
    }
    native
}

/// Since 1970.
pub(crate) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::io::prometheus::client::Counter;
    use lateen_telemetry::exposition::protobuf_families;
    use lateen_telemetry::labels::{Facts, Labels, Reporter, Security, Service};
    use lateen_telemetry::peer::Peer;
    use lateen_telemetry::registry::Registry;
    use lateen_telemetry::standard::Metric;

    use super::{Collection, Inlet, MetricFamily, Node, Sample, Traffic};

    #[test]
    fn what_a_proxy_counts_arrives_as_it_was_counted() {
        let registry = Registry::new(100);
        let (source, destination) = (
            Peer::from_compact("client;a;client;v1;c"),
            Peer::from_compact("server;b;server;v2;c"),
        );
        let service = Service { host: "s.b".into(), name: "s".into(), namespace: "b".into() };
        let facts = Facts {
            reporter: Reporter::Source,
            source: &source,
            destination: &destination,
            service: &service,
            protocol: "http",
            response: None,
            flags: "-".into(),
            security: Security::Unknown,
        };
        let labels = facts.labels();
        registry.counter(Metric::TcpOpened, &labels).add(3);
        registry.counter(Metric::TcpReceived, &labels).add(70);
        let durations = registry.histogram(Metric::RequestDuration, &labels);
        for value in [1.0, 2.0, 2.0, 300.0] {
            durations.record(value);
        }
        let traffic = Traffic::new(1 << 20);
        let stream = Inlet(traffic.clone()).stream();
        assert_eq!(traffic.proxies(), 1);
        let send = || {
            let families = protobuf_families(|out| registry.changes(out));
            stream.metrics(&Node::default(), families);
        };
        send();
        registry.counter(Metric::TcpOpened, &labels).add(1);
        send();
        {
            let store = traffic.now();
            let (key, sum) = store.sums(0, u32::MAX).next().unwrap();
            assert_eq!((&*key.source.workload, &*key.destination.version), ("client", "v2"));
            assert_eq!((sum.points.opened, sum.points.sent, sum.open), (4, 70, 4));
            assert_eq!(sum.points.latency, durations.read().native);
        }
        drop(stream);
        assert_eq!(traffic.proxies(), 0);
        let open = || traffic.now().sums(0, u32::MAX).map(|(_, sum)| sum.open).sum::<i64>();
        assert_eq!(open(), 0, "what a proxy that is gone had open");
        // It was only the stream: what began before it is not counted when it ends.
        let stream = Inlet(traffic.clone()).stream();
        let send = || {
            let families = protobuf_families(|out| registry.changes(out));
            stream.metrics(&Node::default(), families);
        };
        registry.counter(Metric::TcpClosed, &labels).add(3);
        send();
        assert_eq!(open(), 0);
        registry.counter(Metric::TcpOpened, &labels).add(2);
        send();
        assert_eq!(open(), 2);
    }

    fn labels(workload: &str) -> Labels {
        let (source, destination) = (
            Peer::from_compact(&format!("{workload};a;c;v1;c")),
            Peer::from_compact("server;b;s;v2;c"),
        );
        let service = Service { host: "s.b".into(), name: "s".into(), namespace: "b".into() };
        let facts = Facts {
            reporter: Reporter::Source,
            source: &source,
            destination: &destination,
            service: &service,
            protocol: "tcp",
            response: None,
            flags: "-".into(),
            security: Security::Unknown,
        };
        facts.labels()
    }

    fn changes(registry: &Registry) -> Vec<MetricFamily> {
        protobuf_families(|out| registry.changes(out))
    }

    /// Opened and closed connections, bytes from clients, and what is open.
    fn total(traffic: &Traffic) -> (u64, u64, u64, i64) {
        let store = traffic.now();
        store.sums(0, u32::MAX).fold((0, 0, 0, 0), |all, (_, sum)| {
            let points = &sum.points;
            (all.0 + points.opened, all.1 + points.closed, all.2 + points.sent, all.3 + sum.open)
        })
    }

    #[test]
    fn a_proxy_that_dies_between_reports_is_counted_once_and_its_successor_from_zero() {
        let traffic = Traffic::new(1 << 20);
        let labels = labels("client");
        let first = Registry::new(100);
        let stream = Inlet(traffic.clone()).stream();
        first.counter(Metric::TcpOpened, &labels).add(5);
        first.counter(Metric::TcpReceived, &labels).add(70);
        stream.metrics(&Node::default(), changes(&first));
        // This report is made, and never arrives.
        first.counter(Metric::TcpClosed, &labels).add(2);
        drop(changes(&first));
        drop(stream);
        assert_eq!(total(&traffic), (5, 0, 70, 0), "what it had open is gone with it");

        // It is there again with counters that begin anew, lower than they were.
        let second = Registry::new(100);
        let stream = Inlet(traffic.clone()).stream();
        second.counter(Metric::TcpOpened, &labels).add(3);
        second.counter(Metric::TcpReceived, &labels).add(9);
        stream.metrics(&Node::default(), changes(&second));
        assert_eq!(total(&traffic), (8, 0, 79, 3));
        second.counter(Metric::TcpClosed, &labels).add(3);
        // Another stream of the same proxy: the link broke, and what was told is not told again.
        drop(stream);
        let stream = Inlet(traffic.clone()).stream();
        stream.metrics(&Node::default(), changes(&second));
        assert_eq!(total(&traffic), (8, 3, 79, 0));
        stream.metrics(&Node::default(), changes(&second));
        assert_eq!(total(&traffic), (8, 3, 79, 0));
    }

    #[test]
    fn numbers_that_no_counter_has_and_times_of_wrong_clocks_do_no_harm() {
        let traffic = Traffic::new(1 << 20);
        let registry = Registry::new(100);
        registry.counter(Metric::TcpOpened, &labels("client")).add(2);
        let mut families = changes(&registry);
        let year = 365 * 24 * 3_600_000;
        let (before, now) = (traffic.now().range(), super::seconds() as i64 * 1000);
        let sample = families[0].metric[0].clone();
        for (value, time) in [(-5.0, now), (f64::NAN, now), (2.0, now + year), (2.0, now - year)] {
            let counter = Some(Counter { value: Some(value), ..Counter::default() });
            let sample = Sample { counter, timestamp_ms: Some(time), ..sample.clone() };
            families[0].metric.push(sample);
        }
        let stream = Inlet(traffic.clone()).stream();
        stream.metrics(&Node::default(), families);
        assert_eq!(total(&traffic), (6, 0, 0, 6));
        let after = traffic.now().range();
        assert!(after.0 == before.0 && after.1 - before.1 < 12, "time is the receiver's");
    }
}
