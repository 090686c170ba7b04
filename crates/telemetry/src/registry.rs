//! The series of Istio's metrics that one proxy has. In: a metric and labels. Out: counters and histograms
//! that are shared with whoever counts, and their exposition.
//!
//! A series may be for the page alone, or for reports alone: where labels are changed by a user's wish, reports
//! keep the standard ones. What the page alone sees takes no place of what is reported; of either there are at most as
//! many places as was said, and a series with long labels takes several. When they are used up, those that nobody holds and that have not changed for long make
//! room; else what is new is counted in series that stand for all of one end, whose labels say so, and for which
//! places are kept.

#[cfg(test)]
mod tests;
mod unwritten;

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry as Slot};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::exposition::{Exposition, Kind};
use crate::histogram::{Distribution, Histogram};
use crate::labels::{Label, Labels};
use crate::peer::UNKNOWN;
use crate::standard::Metric;
pub use unwritten::Unwritten;

/// The name of whatever found no room.
pub const OVERFLOW: &str = "overflow";
/// Bytes of labels that one place is for.
const PLACE: usize = 2048;
/// Places that are kept for it; fewer where there are few.
const SPARE: usize = 24 * Metric::ALL.len();
/// Labels with few values each, and those that name somebody.
const FEW: [&str; 6] = [
    "reporter",
    "request_protocol",
    "response_flags",
    "response_code",
    "grpc_response_status",
    "connection_security_policy",
];
const NAMES: [&str; 3] = ["_workload", "_canonical_service", "_app"];

/// A counter.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// Who sees a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum View {
    All,
    /// Whoever scrapes.
    Page,
    /// Whoever asks for changes.
    Report,
}

/// A metric, its labels, and who sees the series.
type Name = (Metric, Labels, View);

#[derive(Debug, Default)]
struct All {
    series: HashMap<Name, Series>,
    /// That they take.
    places: usize,
}

/// The series of one proxy.
#[derive(Debug)]
pub struct Registry {
    /// Of each of the two.
    limit: usize,
    reported: Mutex<All>,
    page: Mutex<All>,
    overflowed: AtomicU64,
    evicted: AtomicU64,
}

#[derive(Debug)]
struct Series {
    value: Value,
    /// Of its labels, of which there are too many to be read for every page.
    hash: u64,
    places: usize,
    /// What it was at the last sweep, and how many sweeps have found it so.
    seen: u64,
    idle: u32,
    reported: Reading,
}

/// A value at one moment.
#[derive(Clone, Debug)]
enum Reading {
    Count(u64),
    Distribution(Distribution),
}

#[derive(Clone, Debug)]
enum Value {
    Counter(Arc<Counter>),
    Histogram(Arc<Histogram>),
}

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Registry {
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            reported: Mutex::default(),
            page: Mutex::default(),
            overflowed: AtomicU64::new(0),
            evicted: AtomicU64::new(0),
        }
    }

    /// The counter of a metric of that kind.
    pub fn counter(&self, metric: Metric, labels: &Labels) -> Arc<Counter> {
        self.counter_for(View::All, metric, labels)
    }

    /// The same of a series that not everybody sees.
    pub fn counter_for(&self, view: View, metric: Metric, labels: &Labels) -> Arc<Counter> {
        self.counter_in((view, labels), metric, labels)
    }

    /// The same of a series for the page, with the standard labels that it would have without anybody's changes: values
    /// of these alone are few enough to be kept where there is no room.
    pub fn changed_counter(
        &self,
        metric: Metric,
        labels: &Labels,
        standard: &Labels,
    ) -> Arc<Counter> {
        self.counter_in((View::Page, standard), metric, labels)
    }

    fn counter_in(&self, of: (View, &Labels), metric: Metric, labels: &Labels) -> Arc<Counter> {
        match self.find(of, metric, labels, || Value::Counter(Arc::default())) {
            Value::Counter(counter) => counter,
            // Counted, and never shown: the table of metrics says which is which.
            Value::Histogram(_) => Arc::default(),
        }
    }

    /// The histogram of a metric of that kind.
    pub fn histogram(&self, metric: Metric, labels: &Labels) -> Arc<Histogram> {
        match self.find((View::All, labels), metric, labels, || Value::Histogram(Arc::default())) {
            Value::Histogram(histogram) => histogram,
            Value::Counter(_) => Arc::default(),
        }
    }

    fn find(
        &self,
        (view, standard): (View, &Labels),
        metric: Metric,
        labels: &Labels,
        new: impl FnOnce() -> Value,
    ) -> Value {
        let mut all = match view {
            View::All | View::Report => lock(&self.reported),
            View::Page => lock(&self.page),
        };
        if let Some(found) = all.series.get(&(metric, labels.clone(), view)) {
            return found.value.clone();
        }
        let all = &mut *all;
        let most = self.limit - SPARE.min(self.limit / 4);
        let is_short = all.places + places(labels) > most;
        let labels = if is_short { self.overflow(view, labels, standard) } else { labels.clone() };
        let (own, hash) = (places(&labels), hash(&labels));
        let is_full = all.places + own > self.limit;
        match all.series.entry((metric, labels, view)) {
            Slot::Occupied(found) => found.get().value.clone(),
            // Other ends, again and again: what they count is in no series.
            Slot::Vacant(_) if is_full => new(),
            Slot::Vacant(place) => {
                all.places += own;
                place.insert(Series::new(new(), hash, own)).value.clone()
            }
        }
    }

    fn overflow(&self, view: View, labels: &Labels, standard: &Labels) -> Labels {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        let own = own_side(standard);
        let is_kept = |label: &Label, own: &str| {
            (FEW.contains(&&*label.name) || label.name.starts_with(own)) && standard.contains(label)
        };
        let instead = |label: &Label| match own {
            Some(own) if is_kept(label, own) => label.clone(),
            // The graph has one node for them all, in no namespace.
            Some(_)
                if view != View::Page && !NAMES.iter().any(|name| label.name.ends_with(name)) =>
            {
                Label { name: label.name.clone(), value: UNKNOWN.into() }
            }
            _ => Label { name: label.name.clone(), value: OVERFLOW.into() },
        };
        labels.iter().map(instead).collect()
    }

    /// To be called at regular intervals. When the series are nearly used up, those that nobody holds and that
    /// have not changed for `idle` intervals are forgotten.
    pub fn sweep(&self, idle: u32) {
        for all in [&self.reported, &self.page] {
            self.sweep_all(&mut lock(all), idle);
        }
    }

    fn sweep_all(&self, all: &mut All, idle: u32) {
        for series in all.series.values_mut() {
            let now = series.value.total();
            series.idle = if now == series.seen { series.idle.saturating_add(1) } else { 0 };
            series.seen = now;
        }
        let before = all.series.len();
        if all.places >= self.limit - self.limit / 4 {
            all.series.retain(|_, series| series.idle < idle || series.value.is_held());
            all.places = all.series.values().map(|series| series.places).sum();
        }
        self.evicted.fetch_add((before - all.series.len()) as u64, Ordering::Relaxed);
    }

    pub fn len(&self) -> usize {
        [&self.reported, &self.page].iter().map(|all| lock(all).series.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All series, by metric, and how full the registry is.
    pub fn write(&self, out: &mut Exposition) {
        self.unwritten().write(out, usize::MAX);
        self.totals(out);
    }

    /// The series that a page shows.
    pub fn unwritten(&self) -> Unwritten {
        // Copied, so that nobody who counts waits for a page to be written.
        let mut all = Vec::new();
        for own in [&self.reported, &self.page] {
            let own = lock(own);
            let seen = own.series.iter().filter(|((_, _, view), _)| *view != View::Report);
            all.extend(seen.map(|((metric, labels, _), series)| unwritten::One {
                metric: *metric,
                hash: series.hash,
                labels: labels.clone(),
                value: series.value.clone(),
            }));
        }
        Unwritten::new(all)
    }

    /// How full the registry is.
    pub fn totals(&self, out: &mut Exposition) {
        let [reported, page] = [&self.reported, &self.page].map(|all| lock(all).places);
        let help = "Series of Istio's metrics: standard ones, or those with changed labels if they are more; one counts \
                    again for every 2 KiB of its labels";
        out.single("lateen_metrics_series", Kind::Gauge, help, reported.max(page));
        let help = "Series that there may be; what finds no room is counted under \"overflow\"";
        out.single("lateen_metrics_series_limit", Kind::Gauge, help, self.limit);
        let help = "Look-ups of series for which there was no room";
        let overflowed = self.overflowed.load(Ordering::Relaxed);
        out.single("lateen_metrics_overflow_total", Kind::Counter, help, overflowed);
        let help = "Series that were forgotten because nothing changed them for long";
        let evicted = self.evicted.load(Ordering::Relaxed);
        out.single("lateen_metrics_evicted_total", Kind::Counter, help, evicted);
    }

    /// What has come since the last call, of the series that have changed.
    pub fn changes(&self, out: &mut Exposition) {
        let mut open = None;
        for (metric, labels, change) in self.changed() {
            let about = metric.about();
            if open.replace(metric) != Some(metric) {
                out.family(about.name, about.kind, about.help);
            }
            let labels = pairs(&labels);
            match change {
                Reading::Count(count) => out.sample(about.name, &labels, count),
                Reading::Distribution(all) => out.distribution(about.name, &labels, &all),
            }
        }
    }

    /// By metric. Nobody who counts waits for more than one pass over the series.
    fn changed(&self) -> Vec<(Metric, Labels, Reading)> {
        let mut changed = Vec::new();
        for ((metric, labels, _), series) in lock(&self.reported).series.iter_mut() {
            let now = series.value.reading();
            let Some(change) = now.since(&series.reported) else { continue };
            series.reported = now;
            changed.push((*metric, labels.clone(), change));
        }
        changed.sort_by_key(|(metric, ..)| *metric);
        changed
    }

    /// Connections that are open by what [`Registry::changes`] has told so far, under the labels that they began with.
    pub fn standing(&self) -> HashMap<Labels, u64> {
        let mut open: HashMap<Labels, i64> = HashMap::new();
        for ((metric, labels, _), series) in lock(&self.reported).series.iter() {
            let Reading::Count(count) = &series.reported else { continue };
            let count = i64::try_from(*count).unwrap_or(i64::MAX);
            let more = match metric {
                Metric::TcpOpened => count,
                Metric::TcpClosed => -count,
                _ => continue,
            };
            let own = open.entry(at_the_beginning(labels)).or_default();
            *own = own.saturating_add(more);
        }
        let counts =
            open.into_iter().filter_map(|(way, count)| Some((way, count.try_into().ok()?)));
        counts.filter(|(_, count)| *count > 0).collect()
    }
}

fn lock(all: &Mutex<All>) -> MutexGuard<'_, All> {
    all.lock().expect("nothing panics while holding it")
}

/// How the labels of the proxy's own end begin.
fn own_side(labels: &Labels) -> Option<&'static str> {
    let reporter = labels.iter().find(|label| label.name == "reporter")?;
    match &*reporter.value {
        "source" => Some("source_"),
        "destination" => Some("destination_"),
        _ => None,
    }
}

/// That a series with these labels takes.
fn places(labels: &Labels) -> usize {
    let bytes: usize = labels.iter().map(|label| label.name.len() + label.value.len()).sum();
    1 + bytes / PLACE
}

fn hash(labels: &Labels) -> u64 {
    let mut hasher = DefaultHasher::new();
    labels.hash(&mut hasher);
    hasher.finish()
}

impl Series {
    fn new(value: Value, hash: u64, places: usize) -> Self {
        let reported = match value {
            Value::Counter(_) => Reading::Count(0),
            Value::Histogram(_) => Reading::Distribution(Distribution::default()),
        };
        Self { value, hash, places, seen: 0, idle: 0, reported }
    }
}

/// The labels of a connection that has not ended, and so has no flags.
fn at_the_beginning(labels: &Labels) -> Labels {
    let own = |label: &Label| match &*label.name {
        "response_flags" => Label { name: label.name.clone(), value: "-".into() },
        _ => label.clone(),
    };
    labels.iter().map(own).collect()
}

fn pairs(labels: &Labels) -> Vec<(&str, &str)> {
    labels.iter().map(|label| (&*label.name, &*label.value)).collect()
}

impl Reading {
    /// What has come since an earlier one, if anything has.
    fn since(&self, earlier: &Self) -> Option<Self> {
        match (self, earlier) {
            (Self::Count(now), Self::Count(before)) => {
                (now > before).then(|| Self::Count(now - before))
            }
            (Self::Distribution(now), Self::Distribution(before)) => {
                (now.count > before.count).then(|| Self::Distribution(now.since(before)))
            }
            _ => None,
        }
    }
}

impl Value {
    fn reading(&self) -> Reading {
        match self {
            Self::Counter(counter) => Reading::Count(counter.get()),
            Self::Histogram(histogram) => Reading::Distribution(histogram.read()),
        }
    }

    fn total(&self) -> u64 {
        match self {
            Self::Counter(counter) => counter.get(),
            Self::Histogram(histogram) => histogram.count(),
        }
    }

    fn is_held(&self) -> bool {
        match self {
            Self::Counter(counter) => Arc::strong_count(counter) > 1,
            Self::Histogram(histogram) => Arc::strong_count(histogram) > 1,
        }
    }
}
