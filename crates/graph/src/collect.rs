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
        for (key, point) in &points {
            store.add(now, key.clone(), point);
            if point.opened > 0 {
                let entry = open.entry(key.without_flags());
                let entry = entry.or_insert_with(|| Open { count: 0, key: key.clone() });
                entry.count = entry.count.saturating_add_unsigned(point.opened);
                entry.key = key.clone();
            }
        }
        // What began and ended within a message may have ended under another key than it began under.
        for (key, point) in points.into_iter().filter(|(_, point)| point.closed > 0) {
            let entry = open.entry(key.without_flags());
            let entry = entry.or_insert_with(|| Open { count: 0, key: key.clone() });
            entry.count = entry.count.saturating_sub_unsigned(point.closed);
            if entry.count < 0 {
                // These began before the stream, when nobody counted or another stream did.
                store.reopen(&key, entry.count.saturating_neg());
                entry.count = 0;
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
mod tests;
