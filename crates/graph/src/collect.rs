//! Taking what proxies send. In: their messages, as they come. Out: points in the store. The time is the
//! receiver's: what a proxy's clock says does not matter, but for how late a message is beside others of its stream.

mod late;

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::io::prometheus::client::{Gauge, Metric as Sample, MetricFamily};
use lateen_telemetry::parts::more;
use lateen_telemetry::standard::OPEN;
use lateen_xds::server::{Collection, Collector};
use rustc_hash::FxBuildHasher;
use tokio::time::MissedTickBehavior;

use crate::connection::Connection;
use crate::key::Key;
use crate::point::{Point, signed};
use crate::recent::Recent;
use crate::report::Report;
use crate::store::{Place, STEP, STEP_MS, Span, Store, step_of};
use late::Late;

/// How often it is noted that this process runs, and for how long it cannot be said to when it does not.
const BEAT: Duration = Duration::from_secs(1);
const STILL: Duration = Duration::from_secs(STEP);
/// Connections of one message that are looked at.
const ENTRIES: usize = 1024;
/// Ways of one stream whose open connections are followed: more than a proxy counts, of whose 20,000 series each way has
/// four.
const WAYS: usize = 8192;

/// Everything that is known, and who tells it.
#[derive(Debug)]
pub struct Traffic {
    store: Mutex<Store>,
    recent: Mutex<Recent>,
    proxies: AtomicUsize,
    /// When this process ran last, if that is noted.
    beat: Mutex<Option<Instant>>,
    /// Where it is read, if proxies do not send it.
    prometheus: Option<Mutex<Reading>>,
}

/// How reading goes.
#[derive(Debug, Default)]
struct Reading {
    address: String,
    has_read: bool,
    failure: Option<String>,
    found: Found,
    /// How far the time before the present is read, while it is not.
    behind: Option<String>,
}

/// What a Prometheus has.
#[derive(Debug, Default)]
pub struct Found {
    /// Proxies that it scraped at the last step.
    pub proxies: usize,
    /// Series that found no room.
    pub left_out: u64,
    /// Proxies that it scrapes twice.
    pub doubled: usize,
}

/// Where proxies send their traffic.
pub struct Inlet(pub Arc<Traffic>);

/// The stream of one proxy.
struct Stream {
    traffic: Arc<Traffic>,
    /// A hash of the proxy's node id, which it keeps when it reports elsewhere; an older replica does not pass it on.
    proxy: Option<u64>,
    ways: Mutex<Ways>,
    /// Of its next message, if there was one.
    span: Mutex<Option<Span>>,
    late: Mutex<Late>,
    /// The number of the report of which not all parts are there.
    unfinished: Mutex<Option<u64>>,
    began: Instant,
}

/// What a stream has open, by its ways without flags, of which a connection may end with others than it began with.
#[derive(Default)]
struct Ways {
    open: HashMap<Key, Open>,
    /// While a report is taken in parts that say what is open: what was, and has not been named yet.
    unnamed: Option<HashMap<Key, Open>>,
}

/// Connections of one way that began on this stream and have not ended.
struct Open {
    count: i64,
    /// What they began under, as the store has it.
    key: Arc<Key>,
}

impl Collection for Inlet {
    /// A Prometheus tells it all, but for single connections.
    fn stream(&self, node: &Node) -> Option<Arc<dyn Collector>> {
        if self.0.prometheus.is_some() {
            return None;
        }
        self.0.proxies.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(Stream::new(self.0.clone(), &node.id)))
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

impl Traffic {
    /// `limit` in bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self::over(Store::new(limit, seconds()), None))
    }

    /// For what is read from a Prometheus, from this time on.
    pub fn of_prometheus(limit: usize, address: String, since: u64) -> Arc<Self> {
        let reading = Reading { address, ..Reading::default() };
        Arc::new(Self::over(Store::of_scrapes(limit, since), Some(reading)))
    }

    fn over(store: Store, reading: Option<Reading>) -> Self {
        Self {
            store: Mutex::new(store),
            recent: Mutex::default(),
            proxies: AtomicUsize::new(0),
            beat: Mutex::default(),
            prometheus: reading.map(Mutex::new),
        }
    }

    /// Up to here it is read.
    pub fn has_read(&self, found: Found) {
        self.proxies.store(found.proxies, Ordering::Relaxed);
        if let Some(mut reading) = self.reading() {
            reading.has_read = true;
            reading.failure = None;
            reading.found = found;
        }
    }

    /// How far it is with the time before that which is shown; `None` if nothing is missing.
    pub fn is_behind(&self, how: Option<String>) {
        if let Some(mut reading) = self.reading() {
            reading.behind = how;
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
        notices.extend(reading.behind.clone());
        let Found { left_out, doubled, .. } = reading.found;
        if left_out > 0 {
            notices.push(format!("{left_out} series of Prometheus found no room"));
        }
        if doubled > 0 {
            notices.push(format!(
                "Prometheus scrapes {doubled} of the proxies twice, by two jobs or at both of the ports 15020 and 15090: \
                 all that these proxies carry counts twice; let it scrape each proxy once"
            ));
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
            if let Some(still) = self.stood_still() {
                store.stood_still(step_of(seconds().saturating_sub(still.as_secs())));
            }
        }
        store
    }

    /// For how long this process has not run until now.
    fn stood_still(&self) -> Option<Duration> {
        let mut beat = self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let still = now.saturating_duration_since((*beat)?);
        (still >= STILL).then(|| {
            *beat = Some(now);
            still
        })
    }

    /// Notes that this process runs, so that it is known when it has not: what proxies told meanwhile is on its way then.
    pub async fn watch(&self) {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            beats.tick().await;
            drop(self.now());
            *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
    }
}

impl Collector for Stream {
    fn metrics(&self, families: Vec<MetricFamily>) {
        // Before the store is held: others wait for it.
        let report = Report::read(&families);
        drop(families);
        let mut store = self.traffic.now();
        let span = self.span(&mut store, &report);
        let lacks = self.hears(&mut store, &report, span);
        let mut ways = self.ways();
        ways.forget(&store);
        let stands = !report.standing.is_empty();
        let told = ways.tell(&mut store, report.points, span);
        if stands {
            stand(&mut store, &mut ways, report.standing);
        }
        if !report.goes_on {
            ways.end_unnamed(&mut store);
        }
        ways.open.retain(|_, entry| entry.count != 0);
        if let Some(proxy) = self.proxy.filter(|proxy| store.has_gaps(*proxy)) {
            // Nothing may be told of what is open for long.
            let open = ways.open.values().map(|open| &open.key).filter(|_| lacks || stands);
            told.iter().chain(open).for_each(|key| store.lacks(key, proxy));
        }
    }

    fn standing(&self) -> Vec<MetricFamily> {
        let sample = |open: &Open| Sample {
            label: open.key.labels(),
            gauge: Some(Gauge { value: Some(open.count as f64) }),
            ..Sample::default()
        };
        let ways = self.ways();
        let metric: Vec<Sample> = ways.open.values().map(sample).collect();
        let family = MetricFamily { name: Some(OPEN.into()), metric, ..MetricFamily::default() };
        let named = (!family.metric.is_empty()).then_some(family);
        named.into_iter().chain(ways.unnamed.is_some().then(more)).collect()
    }
}

impl Ways {
    /// What a report has counted, and what is open by that. The keys that there is room for.
    fn tell(
        &mut self,
        store: &mut Store,
        points: HashMap<Key, Point>,
        span: Span,
    ) -> Vec<Arc<Key>> {
        let open = &mut self.open;
        let mut told = Vec::with_capacity(points.len());
        for (key, point) in points {
            told.extend(store.tell(key, &point, span).map(|key| (key, point.opened, point.closed)));
        }
        for (key, opened, _) in told.iter().filter(|(_, opened, _)| *opened > 0) {
            follow(store, open, key, signed(*opened));
            if let Some(entry) = open.get_mut(&key.without_flags()) {
                entry.key = key.clone();
            }
        }
        // What began and ended within a message may have ended under another key than it began under.
        for (key, _, closed) in told.iter().filter(|(.., closed)| *closed > 0) {
            follow(store, open, key, -signed(*closed));
        }
        told.into_iter().map(|(key, ..)| key).collect()
    }

    /// What had to make room is not counted when it ends.
    fn forget(&mut self, store: &Store) {
        for ways in std::iter::once(&mut self.open).chain(self.unnamed.as_mut()) {
            ways.retain(|_, entry| store.keeps(&entry.key));
        }
    }

    /// Those that a report has not named are open no more.
    fn end_unnamed(&mut self, store: &mut Store) {
        for Open { count, key } in self.unnamed.take().into_iter().flat_map(HashMap::into_values) {
            store.reopen(&key, count.saturating_neg());
        }
    }
}

/// These are open, and of the others only those that other parts of the report name.
fn stand(store: &mut Store, ways: &mut Ways, standing: Vec<(Key, i64)>) {
    let Ways { open, unnamed } = ways;
    let before = unnamed.get_or_insert_with(|| std::mem::take(open));
    for (key, count) in standing {
        let way = key.without_flags();
        let known = before.get(&way).or_else(|| open.get(&way));
        let known = known.filter(|entry| store.keeps(&entry.key)).map_or(0, |entry| entry.count);
        if open.len() < WAYS
            && let Some(key) = store.stand(key, count.saturating_sub(known))
        {
            before.remove(&way);
            open.insert(key.without_flags(), Open { count, key });
        }
    }
}

/// So many more connections of a key are open, or fewer.
fn follow(store: &mut Store, open: &mut HashMap<Key, Open>, key: &Arc<Key>, more: i64) {
    let way = key.without_flags();
    if open.len() >= WAYS && !open.contains_key(&way) {
        // Nobody could say that they ended with the stream.
        return store.reopen(key, more.saturating_neg());
    }
    let entry = open.entry(way).or_insert_with(|| Open { count: 0, key: key.clone() });
    entry.count = entry.count.saturating_add(more);
    if entry.count < 0 {
        // These began before the stream, when nobody counted or another stream did.
        store.reopen(key, entry.count.saturating_neg());
        entry.count = 0;
    }
}

impl Stream {
    fn new(traffic: Arc<Traffic>, proxy: &str) -> Self {
        let proxy = (!proxy.is_empty()).then(|| FxBuildHasher.hash_one(proxy));
        let (ways, span, late, unfinished) = Default::default();
        Self { traffic, proxy, ways, span, late, unfinished, began: Instant::now() }
    }

    /// What a message is of. A report that does not say it is of a step; what was before the first one is not known, then.
    fn span(&self, store: &mut Store, report: &Report) -> Span {
        let mut next = self.span.lock().unwrap_or_else(PoisonError::into_inner);
        let span = match (*next, report.covered) {
            (Some(span), None) => span,
            // Also where what is open has come before it, as to other replicas.
            (_, Some(covered)) => store.begin(covered, report.is_first),
            (None, None) if report.points.is_empty() => store.begin(0, false),
            (None, None) => store.begin(STEP_MS, false),
        };
        let span = report.lasted.map_or(span, |over| span.lasting(over));
        let span = report.made.map_or(span, |made| self.held_up(span, made));
        let span = store.goes_on(self.proxy, span);
        *next = Some(if report.goes_on { span } else { span.later() });
        span
    }

    /// A message is of the time that it was made in: many come at once where this process was stopped for a while.
    fn held_up(&self, span: Span, made: f64) -> Span {
        let came = self.began.elapsed().as_secs_f64() * 1000.0;
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner).by(made, came);
        let now = milliseconds();
        let ago = step_of(now / 1000) - step_of(now.saturating_sub(late) / 1000);
        span.made(ago)
    }

    /// Whether reports before this one are missing.
    fn hears(&self, store: &mut Store, report: &Report, span: Span) -> bool {
        let Some(proxy) = self.proxy else { return false };
        let age = report.made.map_or(0, |made| made as u64);
        let place = |number| Place { number, is_first: report.is_first, age };
        let lacks = report.number.is_some_and(|number| store.hears(proxy, place(number), span));
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        *unfinished = report.number.or(*unfinished).filter(|_| report.goes_on);
        lacks
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.traffic.proxies.fetch_sub(1, Ordering::Relaxed);
        // Whether they live on is not known: the proxy may be gone, and they with it.
        let mut store = self.traffic.now();
        store.ends(self.proxy);
        let unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((proxy, number)) = self.proxy.zip(unfinished) {
            store.unheard(proxy, number);
        }
        let mut ways = self.ways();
        ways.end_unnamed(&mut store);
        for Open { count, key } in ways.open.values() {
            store.reopen(key, count.saturating_neg());
        }
    }
}

/// Since 1970.
pub(crate) fn seconds() -> u64 {
    milliseconds() / 1000
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod limits;
#[cfg(test)]
mod missing;
#[cfg(test)]
mod tests;
