//! Traffic in Istio's metrics. In: connections that open, move bytes and end, each with what is known of
//! its ends. Out: series in a bounded registry.
//!
//! Who is behind an address is asked of the control plane. Until it answers, what is to be counted waits,
//! so that nothing is counted for an unknown peer that the mesh knows.

mod ends;
mod labels;
mod meter;
pub mod own;
pub mod peers;
pub mod report;
mod told;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use lateen_telemetry::exposition::{Exposition, Kind, protobuf_families};
use lateen_telemetry::labels::{Facts, Labels, Reporter, Security};
use lateen_telemetry::peer::Peer;
use lateen_telemetry::registry::{Counter, Registry, Unwritten, View};
use lateen_telemetry::standard::{Metric, OPEN};
use rustc_hash::FxHashMap;

pub use ends::{Asked, End, Key, Place, Shown, Text};
use labels::About;
pub use meter::{Meter, Moved};
use own::Own;
pub use peers::{Lookup, Peers};

/// Series of one proxy.
const SERIES: usize = 20_000;
/// Keys of one worker whose series are remembered until the next tick.
const CACHED: usize = 4096;
/// Keys that may wait for an answer about a peer.
const WAITING: usize = 8192;
/// How long they wait.
const PATIENCE: Duration = Duration::from_secs(5);
/// A change that is older is not told.
const STALE: Duration = Duration::from_secs(30);
/// Ticks after which a series that does not change may be forgotten, when there is no room left.
const IDLE: u32 = 60;

/// What there was of a time that is too long ago to tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stale {
    /// There is no such time.
    Nothing,
    Quiet,
    Lost,
}

/// What happened since the last count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub opened: u64,
    pub closed: u64,
    /// Bytes from and to the downstream peer.
    pub received: u64,
    pub sent: u64,
}

/// The counters of one key.
#[derive(Clone, Debug)]
struct Series {
    opened: Counters,
    closed: Counters,
    received: Counters,
    sent: Counters,
}

/// One for all, or one for the page and one for reports.
type Counters = [Option<Arc<Counter>>; 2];

/// What one worker has of its own, so that workers do not meet.
#[derive(Debug, Default)]
struct Worker {
    cache: Mutex<FxHashMap<Key, Series>>,
    moved: Arc<Moved>,
}

#[derive(Debug)]
pub struct Traffic {
    registry: Registry,
    own: Arc<Own>,
    pub peers: Peers,
    workers: Vec<Worker>,
    waiting: Mutex<FxHashMap<Key, (Tally, Instant)>>,
    /// Milliseconds between two ticks.
    interval: AtomicU64,
    /// Reports that nobody took in time.
    unsent: AtomicU64,
}

impl Traffic {
    pub fn new(own: Own, peers: Peers, workers: usize) -> Self {
        Self {
            registry: Registry::new(SERIES),
            own: Arc::new(own),
            peers,
            workers: (0..workers).map(|_| Worker::default()).collect(),
            waiting: Mutex::default(),
            interval: AtomicU64::new(5000),
            unsent: AtomicU64::new(0),
        }
    }

    /// Begins to count a connection that has reached its upstream.
    pub fn open(&self, worker: usize, key: Key, interval: Duration) -> Meter {
        self.interval.store(interval.as_millis() as u64, Ordering::Relaxed);
        self.count(worker, &key, Tally { opened: 1, ..Tally::default() });
        Meter::new(key, self.workers[worker].moved.clone())
    }

    /// Counts one that never did.
    pub fn refused(&self, worker: usize, key: &Key) {
        self.count(worker, key, Tally { opened: 1, closed: 1, ..Tally::default() });
    }

    /// Counts the end of one, and the bytes that were not counted yet. The key has the flags of the end.
    pub fn closed(&self, worker: usize, meter: &Meter, key: &Key) {
        self.count(worker, key, Tally { closed: 1, ..meter.end() });
    }

    fn count(&self, worker: usize, key: &Key, tally: Tally) {
        let mut cache = lock(&self.workers[worker].cache);
        if let Some(series) = cache.get(key) {
            return series.add(tally);
        }
        match self.series(key, false) {
            Some(series) => {
                series.add(tally);
                if cache.len() >= CACHED {
                    cache.clear();
                }
                cache.insert(key.clone(), series);
            }
            None => self.wait(key, tally),
        }
    }

    /// Until the peer is known.
    fn wait(&self, key: &Key, tally: Tally) {
        let mut waiting = lock(&self.waiting);
        if let Some((known, _)) = waiting.get_mut(key) {
            known.merge(tally);
        } else if waiting.len() < WAITING {
            waiting.insert(key.clone(), (tally, Instant::now()));
        } else if let Some(series) = self.series(key, true) {
            series.add(tally);
        }
    }

    /// Istio's labels of a key; none while a peer is asked for, unless that is the last word.
    pub fn labels(&self, key: &Key, last_word: bool) -> Option<Labels> {
        self.facts(key, last_word, |facts| facts.labels())
    }

    fn facts<R>(
        &self,
        key: &Key,
        last_word: bool,
        read: impl FnOnce(&Facts<'_>) -> R,
    ) -> Option<R> {
        let source = self.peer(&key.source, last_word)?;
        let destination = self.peer(&key.destination, last_word)?;
        let service = key.asked.service(&destination);
        let facts = Facts {
            reporter: key.reporter,
            source: &source,
            destination: &destination,
            service: &service,
            protocol: "tcp",
            response: None,
            flags: ends::flags(key.flags),
            security: match key.reporter {
                Reporter::Source => Security::Unknown,
                Reporter::Destination => Security::None,
            },
        };
        Some(read(&facts))
    }

    fn series(&self, key: &Key, last_word: bool) -> Option<Series> {
        self.facts(key, last_word, |facts| self.counted(key, facts))
    }

    fn counted(&self, key: &Key, facts: &Facts<'_>) -> Series {
        let labels = facts.labels();
        let counter = |metric| match &key.shown {
            _ if key.untaken => {
                [None, Some(self.registry.counter_for(View::Report, metric, &labels))]
            }
            None => [Some(self.registry.counter(metric, &labels)), None],
            Some(shown) => {
                let about = About { key, facts, node: &self.own.node };
                let page = shown.changes.labels(metric, &labels, &about);
                let page = page.map(|page| self.registry.changed_counter(metric, &page, &labels));
                let report = self.registry.counter_for(View::Report, metric, &labels);
                [page, Some(report)]
            }
        };
        Series {
            opened: counter(Metric::TcpOpened),
            closed: counter(Metric::TcpClosed),
            received: counter(Metric::TcpReceived),
            sent: counter(Metric::TcpSent),
        }
    }

    fn peer(&self, end: &End, last_word: bool) -> Option<Arc<Peer>> {
        let address = match end {
            End::Own => return Some(self.own.peer.clone()),
            End::Endpoint(about) => return Some(Arc::new(ends::endpoint(about))),
            End::Unknown => return Some(Arc::default()),
            End::Address(address) => *address,
        };
        match self.peers.look(address) {
            Lookup::Known(peer) => Some(peer),
            Lookup::Pending if !last_word => None,
            Lookup::Pending | Lookup::Nobody => Some(Arc::default()),
        }
    }

    /// The workload at the other end of what is counted, where its address alone says who it is, if that is known by now.
    pub fn far(&self, key: &Key) -> Option<Arc<Peer>> {
        let end = match key.reporter {
            Reporter::Source => &key.destination,
            Reporter::Destination => &key.source,
        };
        let End::Address(address) = end else { return None };
        match self.peers.look(*address) {
            Lookup::Known(peer) => Some(peer),
            Lookup::Pending | Lookup::Nobody => None,
        }
    }

    /// Counts what has waited for peers that are known now, or long enough.
    fn settle(&self, now: Instant) {
        self.count_waiting(|key, since| {
            now.saturating_duration_since(since) >= PATIENCE || self.is_settled(key)
        });
    }

    fn count_waiting(&self, is_due: impl Fn(&Key, Instant) -> bool) {
        let ready: Vec<(Key, Tally)> = lock(&self.waiting)
            .extract_if(|key, (_, since)| is_due(key, *since))
            .map(|(key, (tally, _))| (key, tally))
            .collect();
        for (key, tally) in ready {
            if let Some(series) = self.series(&key, true) {
                series.add(tally);
            }
        }
    }

    fn is_settled(&self, key: &Key) -> bool {
        let known = |end: &End| match end {
            End::Address(address) => !matches!(self.peers.look(*address), Lookup::Pending),
            End::Own | End::Endpoint(_) | End::Unknown => true,
        };
        known(&key.source) && known(&key.destination)
    }

    /// To be called when something new is known of peers.
    pub fn peers_changed(&self) {
        self.settle(Instant::now());
        self.forget_series();
    }

    /// Counts the bytes of the connections that go on. To be called at every [`Traffic::interval`].
    pub fn tick(&self, now: Instant) {
        self.count_moved();
        self.peers.let_go(now);
        self.settle(now);
        self.forget_series();
        self.registry.sweep(IDLE);
    }

    /// Counts all that there is, known peers or not: it is the last time.
    fn finish(&self) {
        self.count_moved();
        self.count_waiting(|_, _| true);
    }

    fn count_moved(&self) {
        for (index, worker) in self.workers.iter().enumerate() {
            for (key, tally) in worker.moved.take() {
                self.count(index, &key, tally);
            }
        }
    }

    /// What has changed since the last time; for somebody who has not heard of the time before, what is open now too.
    fn changes(&self, is_new: bool, out: &mut Exposition) {
        self.registry.changes(out);
        if is_new {
            self.standing(out);
        }
    }

    /// What could not be told for so long is not told any more: it would look like traffic of this moment.
    fn forget_stale(&self, untold: Duration) -> Stale {
        if untold <= STALE {
            return Stale::Nothing;
        }
        let lost = protobuf_families(|out| self.registry.changes(out));
        let reports = untold.as_millis() / self.interval().as_millis().max(1);
        self.unsent.fetch_add(u64::try_from(reports).unwrap_or(u64::MAX), Ordering::Relaxed);
        if lost.is_empty() { Stale::Quiet } else { Stale::Lost }
    }

    /// The connections that are open as far as they were told. Those that are not are no more, whatever the
    /// counters say: one whose peer's name has changed ends under another than it began.
    fn standing(&self, out: &mut Exposition) {
        let mut live: HashMap<Labels, u64> = HashMap::new();
        for (key, count) in self.workers.iter().flat_map(|worker| worker.moved.open()) {
            if let Some(labels) = self.labels(&key, true) {
                *live.entry(labels).or_default() += count;
            }
        }
        let told = self.registry.standing().into_iter();
        let both = told.filter_map(|(labels, count)| {
            let live = live.get(&labels)?;
            Some((labels, count.min(*live)))
        });
        out.family(OPEN, Kind::Gauge, "TCP connections that are open");
        for (labels, count) in both {
            let pairs: Vec<(&str, &str)> =
                labels.iter().map(|label| (&*label.name, &*label.value)).collect();
            out.sample(OPEN, &pairs, count);
        }
    }

    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval.load(Ordering::Relaxed))
    }

    /// The series of Istio's metrics.
    pub fn unwritten(&self) -> Unwritten {
        self.registry.unwritten()
    }

    /// What there is to tell of them all.
    pub fn totals(&self, out: &mut Exposition) {
        self.registry.totals(out);
        let help = "Reports that the control plane did not take within 30 seconds, and those that it did not have when \
                    a stream ended, or may not have had: the last one before it broke off";
        let unsent = self.unsent.load(Ordering::Relaxed);
        out.single("lateen_metrics_reports_dropped_total", Kind::Counter, help, unsent);
    }

    /// What is remembered may be another's by now.
    fn forget_series(&self) {
        for worker in &self.workers {
            lock(&worker.cache).clear();
        }
    }
}

impl Series {
    fn add(&self, tally: Tally) {
        for (counters, count) in [
            (&self.opened, tally.opened),
            (&self.closed, tally.closed),
            (&self.received, tally.received),
            (&self.sent, tally.sent),
        ] {
            if count > 0 {
                counters.iter().flatten().for_each(|counter| counter.add(count));
            }
        }
    }
}

impl Tally {
    fn merge(&mut self, other: Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.received += other.received;
        self.sent += other.sent;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while holding it")
}
