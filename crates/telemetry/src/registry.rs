//! The series of Istio's metrics that one proxy has. In: a metric and labels. Out: counters and histograms
//! that are shared with whoever counts, and their exposition.
//!
//! A series may be for the page alone, or for reports alone: where labels are changed by a user's wish, reports
//! keep the standard ones. What the page alone sees takes no place of what is reported; of either there are at most as
//! many series as was said. When they are used up, those that nobody holds and that have not changed for long make
//! room; else what is new is counted in series that stand for all of one end, whose labels say so, and for which
//! places are kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::exposition::{Exposition, Kind};
use crate::histogram::{Distribution, Histogram};
use crate::labels::{Label, Labels};
use crate::peer::UNKNOWN;
use crate::standard::{About, Metric};

/// The name of whatever found no room.
pub const OVERFLOW: &str = "overflow";
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

type All = HashMap<Name, Series>;

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
        match self.find(view, metric, labels, || Value::Counter(Arc::default())) {
            Value::Counter(counter) => counter,
            // Counted, and never shown: the table of metrics says which is which.
            Value::Histogram(_) => Arc::default(),
        }
    }

    /// The histogram of a metric of that kind.
    pub fn histogram(&self, metric: Metric, labels: &Labels) -> Arc<Histogram> {
        match self.find(View::All, metric, labels, || Value::Histogram(Arc::default())) {
            Value::Histogram(histogram) => histogram,
            Value::Counter(_) => Arc::default(),
        }
    }

    fn find(
        &self,
        view: View,
        metric: Metric,
        labels: &Labels,
        new: impl FnOnce() -> Value,
    ) -> Value {
        let mut all = match view {
            View::All | View::Report => lock(&self.reported),
            View::Page => lock(&self.page),
        };
        if let Some(found) = all.get(&(metric, labels.clone(), view)) {
            return found.value.clone();
        }
        let is_short = all.len() >= self.limit - SPARE.min(self.limit / 4);
        let labels = if is_short { self.overflow(view, labels) } else { labels.clone() };
        let is_full = all.len() >= self.limit;
        match all.entry((metric, labels, view)) {
            Slot::Occupied(found) => found.get().value.clone(),
            // Other ends, again and again: what they count is in no series.
            Slot::Vacant(_) if is_full => new(),
            Slot::Vacant(place) => place.insert(Series::new(new())).value.clone(),
        }
    }

    fn overflow(&self, view: View, labels: &Labels) -> Labels {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        let own = own_side(labels).filter(|_| view != View::Page);
        let instead = |label: &Label| match own {
            Some(own) if FEW.contains(&&*label.name) || label.name.starts_with(own) => {
                label.clone()
            }
            // The graph has one node for them all, in no namespace.
            Some(_) if !NAMES.iter().any(|name| label.name.ends_with(name)) => {
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
        for series in all.values_mut() {
            let now = series.value.total();
            series.idle = if now == series.seen { series.idle.saturating_add(1) } else { 0 };
            series.seen = now;
        }
        let before = all.len();
        if before >= self.limit - self.limit / 4 {
            all.retain(|_, series| series.idle < idle || series.value.is_held());
        }
        self.evicted.fetch_add((before - all.len()) as u64, Ordering::Relaxed);
    }

    pub fn len(&self) -> usize {
        let [reported, page] = self.lens();
        reported + page
    }

    fn lens(&self) -> [usize; 2] {
        [&self.reported, &self.page].map(|all| lock(all).len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All series, by metric, and how full the registry is.
    pub fn write(&self, out: &mut Exposition) {
        for about in &Metric::ALL {
            self.family(about, out);
        }
        let ([reported, page], limit) = (self.lens(), self.limit);
        let series = reported.max(page);
        let help = "Series of Istio's metrics: standard ones, or those with changed labels if they are more";
        out.single("lateen_metrics_series", Kind::Gauge, help, series);
        let help = "Series that there may be; what finds no room is counted under \"overflow\"";
        out.single("lateen_metrics_series_limit", Kind::Gauge, help, limit);
        let help = "Look-ups of series for which there was no room";
        let overflowed = self.overflowed.load(Ordering::Relaxed);
        out.single("lateen_metrics_overflow_total", Kind::Counter, help, overflowed);
        let help = "Series that were forgotten because nothing changed them for long";
        let evicted = self.evicted.load(Ordering::Relaxed);
        out.single("lateen_metrics_evicted_total", Kind::Counter, help, evicted);
    }

    /// What has come since the last call, of the series that have changed.
    pub fn changes(&self, out: &mut Exposition) {
        let mut all = lock(&self.reported);
        for about in &Metric::ALL {
            let mut opened = false;
            for ((metric, labels, _), series) in all.iter_mut() {
                if *metric != about.metric {
                    continue;
                }
                let now = series.value.reading();
                let Some(change) = now.since(&series.reported) else { continue };
                series.reported = now;
                if !std::mem::replace(&mut opened, true) {
                    out.family(about.name, about.kind, about.help);
                }
                let labels = pairs(labels);
                match change {
                    Reading::Count(count) => out.sample(about.name, &labels, count),
                    Reading::Distribution(all) => out.distribution(about.name, &labels, &all),
                }
            }
        }
    }

    /// Connections that are open by what [`Registry::changes`] has told so far, under the labels that they began with.
    pub fn standing(&self) -> HashMap<Labels, u64> {
        let mut open: HashMap<Labels, i64> = HashMap::new();
        for ((metric, labels, _), series) in lock(&self.reported).iter() {
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

    fn family(&self, about: &About, out: &mut Exposition) {
        // Copied, so that nobody who counts waits for a page to be written.
        let mut all: Vec<(Labels, View, Value)> = Vec::new();
        for own in [&self.reported, &self.page] {
            let seen = |(metric, _, view): &Name| *metric == about.metric && *view != View::Report;
            all.extend(
                lock(own).iter().filter(|(name, _)| seen(name)).map(
                    |((_, labels, view), series)| (labels.clone(), *view, series.value.clone()),
                ),
            );
        }
        if all.is_empty() {
            return;
        }
        out.family(about.name, about.kind, about.help);
        // The labels of one view may be those of another: one sample of both, then.
        let mut page: HashMap<Labels, u64> = HashMap::new();
        let shared = all.iter().any(|(_, view, _)| *view == View::Page);
        for (labels, _, value) in all {
            match value {
                Value::Counter(counter) if shared => {
                    *page.entry(labels).or_default() += counter.get();
                }
                Value::Counter(counter) => out.sample(about.name, &pairs(&labels), counter.get()),
                Value::Histogram(all) => {
                    out.distribution(about.name, &pairs(&labels), &all.read());
                }
            }
        }
        for (labels, count) in page {
            out.sample(about.name, &pairs(&labels), count);
        }
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

impl Series {
    fn new(value: Value) -> Self {
        let reported = match value {
            Value::Counter(_) => Reading::Count(0),
            Value::Histogram(_) => Reading::Distribution(Distribution::default()),
        };
        Self { value, seen: 0, idle: 0, reported }
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

#[cfg(test)]
mod tests {
    use super::{Label, Labels, Metric, Registry, View};
    use crate::exposition::{Exposition, Format};

    fn labels(value: &str) -> Labels {
        [Label { name: "source_workload".into(), value: value.into() }].into()
    }

    fn page(registry: &Registry) -> String {
        let mut out = Exposition::new(Format::Text);
        registry.write(&mut out);
        String::from_utf8(out.finish()).unwrap()
    }

    #[test]
    fn equal_labels_are_one_series() {
        let registry = Registry::new(10);
        registry.counter(Metric::TcpOpened, &labels("a")).add(2);
        registry.counter(Metric::TcpOpened, &labels("a")).add(1);
        registry.histogram(Metric::RequestDuration, &labels("a")).record(3.0);
        let page = page(&registry);
        assert!(page.contains("\nistio_tcp_connections_opened_total{source_workload=\"a\"} 3\n"));
        assert!(
            page.contains("\nistio_request_duration_milliseconds_count{source_workload=\"a\"} 1\n")
        );
        assert!(page.contains("\nlateen_metrics_series 2\n"), "{page}");
    }

    #[test]
    fn what_finds_no_room_is_counted_and_said() {
        let registry = Registry::new(4);
        for name in ["a", "b", "c", "d", "e"] {
            registry.counter(Metric::TcpClosed, &labels(name)).add(1);
        }
        let page = page(&registry);
        assert!(page.contains("{source_workload=\"c\"} 1\n"));
        assert!(page.contains("{source_workload=\"overflow\"} 2\n"), "{page}");
        assert!(page.contains("\nlateen_metrics_overflow_total 2\n"), "{page}");
        assert_eq!(registry.len(), 4);
    }

    #[test]
    fn what_the_page_alone_sees_takes_no_place_of_reports_and_both_are_bounded() {
        let registry = Registry::new(100);
        for name in 0..200 {
            for metric in [Metric::TcpOpened, Metric::TcpClosed, Metric::TcpSent] {
                let own = Label { name: format!("tag-{name}").into(), value: "a".into() };
                registry.counter_for(View::Page, metric, &[own].into()).add(1);
            }
        }
        assert_eq!(registry.len(), 100);
        registry.counter_for(View::Report, Metric::TcpOpened, &labels("late")).add(1);
        registry.counter(Metric::TcpOpened, &labels("later")).add(1);
        let mut out = Exposition::new(Format::Text);
        registry.changes(&mut out);
        let told = String::from_utf8(out.finish()).unwrap();
        for name in ["late", "later"] {
            assert!(told.contains(&format!("{{source_workload=\"{name}\"}} 1\n")), "{told}");
        }
        for name in 0..200 {
            registry.counter(Metric::TcpClosed, &labels(&name.to_string())).add(1);
        }
        assert_eq!(registry.len(), 100 + 75 + 1, "one stands for all that found no room");
    }

    #[test]
    fn what_finds_no_room_keeps_the_end_that_reports_it_and_its_flags() {
        let registry = Registry::new(4);
        let pairs = [
            ("reporter", "source"),
            ("source_workload", "client"),
            ("source_workload_namespace", "shop"),
            ("destination_workload", ""),
            ("destination_workload_namespace", "jobs"),
            ("destination_service", "job.jobs.svc.cluster.local"),
            ("response_flags", "UF"),
        ];
        for job in ["a", "b", "c", "d", "e"] {
            let value = |value: &'static str| if value.is_empty() { job } else { value };
            let labels =
                pairs.map(|(name, of)| Label { name: name.into(), value: value(of).into() });
            registry.counter(Metric::TcpOpened, &labels.into()).add(1);
        }
        let own =
            "reporter=\"source\",source_workload=\"client\",source_workload_namespace=\"shop\"";
        let other = "destination_workload=\"overflow\",destination_workload_namespace=\"unknown\"";
        let rest = "destination_service=\"unknown\",response_flags=\"UF\"} 2\n";
        let page = page(&registry);
        assert!(page.contains(&format!("{{{own},{other},{rest}")), "{page}");
    }

    #[test]
    fn changes_are_what_came_since_they_were_asked_for() {
        let registry = Registry::new(10);
        let changes = || {
            let mut out = Exposition::new(Format::Text);
            registry.changes(&mut out);
            let page = String::from_utf8(out.finish()).unwrap();
            let samples =
                page.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket"));
            samples.map(str::to_owned).collect::<Vec<_>>()
        };
        registry.counter(Metric::TcpOpened, &labels("a")).add(2);
        let histogram = registry.histogram(Metric::RequestDuration, &labels("a"));
        histogram.record(4.0);
        assert_eq!(changes().len(), 3);
        assert_eq!(changes(), Vec::<String>::new());
        registry.counter(Metric::TcpOpened, &labels("a")).add(5);
        histogram.record(1.5);
        let name = "istio_request_duration_milliseconds";
        let expected = [
            format!("{name}_sum{{source_workload=\"a\"}} 1.5"),
            format!("{name}_count{{source_workload=\"a\"}} 1"),
            "istio_tcp_connections_opened_total{source_workload=\"a\"} 5".to_owned(),
        ];
        assert_eq!(changes(), expected);
    }

    #[test]
    fn connections_stand_that_were_told_as_opened_and_not_as_closed() {
        let registry = Registry::new(10);
        let with = |flags: &str| -> Labels {
            let label =
                |name: &'static str, value: &str| Label { name: name.into(), value: value.into() };
            [label("source_workload", "a"), label("response_flags", flags)].into()
        };
        let count =
            |view, metric, flags, more| registry.counter_for(view, metric, &with(flags)).add(more);
        let tell = || registry.changes(&mut Exposition::new(Format::Text));
        let standing = || registry.standing().get(&with("-")).copied();
        count(View::All, Metric::TcpOpened, "-", 5);
        count(View::Page, Metric::TcpOpened, "-", 100);
        assert_eq!(standing(), None, "nobody was told");
        tell();
        assert_eq!(standing(), Some(5));
        count(View::Report, Metric::TcpClosed, "UF", 2);
        count(View::All, Metric::TcpSent, "-", 9);
        assert_eq!(standing(), Some(5));
        tell();
        assert_eq!(standing(), Some(3));
        count(View::All, Metric::TcpClosed, "-", 3);
        tell();
        assert!(registry.standing().is_empty());
    }

    #[test]
    fn a_series_is_seen_by_those_whom_it_is_for() {
        let registry = Registry::new(10);
        registry.counter(Metric::TcpOpened, &labels("a")).add(2);
        registry.counter_for(View::Page, Metric::TcpOpened, &labels("a")).add(5);
        registry.counter_for(View::Report, Metric::TcpOpened, &labels("b")).add(7);
        let name = "istio_tcp_connections_opened_total{source_workload=";
        let page = page(&registry);
        assert!(page.contains(&format!("\n{name}\"a\"}} 7\n")), "{page}");
        assert!(!page.contains(&format!("{name}\"b\"")), "{page}");
        let mut out = Exposition::new(Format::Text);
        registry.changes(&mut out);
        let told = String::from_utf8(out.finish()).unwrap();
        assert!(told.contains(&format!("\n{name}\"a\"}} 2\n")), "{told}");
        assert!(told.contains(&format!("\n{name}\"b\"}} 7\n")), "{told}");
    }

    #[test]
    fn series_that_nobody_holds_make_room_when_it_is_needed() {
        let registry = Registry::new(4);
        let held = registry.counter(Metric::TcpOpened, &labels("held"));
        for name in ["a", "b"] {
            registry.counter(Metric::TcpOpened, &labels(name)).add(1);
        }
        registry.sweep(2);
        registry.counter(Metric::TcpOpened, &labels("a")).add(1);
        registry.sweep(2);
        registry.sweep(2);
        assert_eq!(registry.len(), 2, "b is forgotten: {}", page(&registry));
        registry.sweep(2);
        assert_eq!(registry.len(), 2, "there is room again");
        held.add(1);
    }
}
