//! From the values of counters to what they counted. In: series over a range of steps. Out: points in the store.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use envoy_types::pb::io::prometheus::client::LabelPair;
use lateen_telemetry::histogram::BOUNDS;
use lateen_telemetry::standard::Metric;

use super::client::Series;
use crate::key::Key;
use crate::point::{Point, signed};
use crate::report::count;
use crate::store::{KEPT, STEP, Store};
use crate::texts::Texts;

/// Series that are followed; more are left out.
pub const MOST: usize = 200_000;
/// Bounds are whole numbers of microseconds in this unit, so that they have an order.
const UNIT: f64 = 1000.0;

/// The counters at the last step.
#[derive(Debug)]
pub struct Counters {
    /// Series that are followed at most.
    most: usize,
    last: HashMap<u64, Last>,
    /// The first and the last step at which each target was seen.
    targets: HashMap<u64, (u32, u32)>,
    now: u32,
    left_out: u64,
    /// Connections that are open, by their ways without flags, as the store has them.
    open: HashMap<Key, i64>,
}

#[derive(Debug)]
struct Last {
    value: f64,
    step: u32,
}

/// What a series is of.
#[derive(Clone, Copy)]
enum Meaning {
    Count(Metric),
    /// Requests that did not take longer than this.
    NotAbove(u64),
}

/// What came at each step.
#[derive(Default)]
struct Steps {
    points: BTreeMap<u32, HashMap<Key, Point>>,
    /// Cumulative counts by the bound.
    latencies: HashMap<(u32, Key), BTreeMap<u64, u64>>,
}

impl Counters {
    /// For so many series.
    pub fn new(most: usize) -> Self {
        let (last, targets, open) = Default::default();
        Self { most, last, targets, now: 0, left_out: 0, open }
    }

    /// Proxies that were scraped at the last step.
    pub fn proxies(&self) -> usize {
        self.targets.values().filter(|(_, last)| *last == self.now).count()
    }

    /// Series that found no room when counters were taken last.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Counts what series rose by in the steps from `first` to `last`.
    pub fn take(&mut self, store: &mut Store, all: &[Series], first: u32, last: u32) {
        (self.now, self.left_out) = (last, 0);
        for one in all {
            self.see(one);
        }
        let (mut steps, mut texts) = (Steps::default(), Texts::default());
        let mut open: HashMap<Key, i64> = HashMap::new();
        for one in all {
            let Some(meaning) = meaning(&one.metric) else { continue };
            let Some(key) = Key::of(&labels(&one.metric), &mut texts) else { continue };
            let rises = self.rises(one);
            if let Some(sign) = meaning.opens() {
                let way = Key { flags: texts.get(""), ..key.clone() };
                let counted = rises.iter().filter(|(step, _)| *step >= first);
                let counted = counted.fold(0_u64, |all, (_, rise)| all.saturating_add(*rise));
                add(&mut self.open, way.clone(), sign * signed(counted));
                add(&mut open, way, sign * signed(one.at(last)));
            }
            for (step, rise) in rises {
                steps.add(step, &key, meaning, rise);
            }
        }
        steps.put(store, first);
        self.stand(store, open);
        let kept = |step: u32| step + KEPT >= last;
        self.last.retain(|_, value| kept(value.step));
        self.targets.retain(|_, (_, last)| kept(*last));
    }

    /// So many connections are open by all that were ever opened and closed: those that began before the first step are,
    /// and those of a proxy that is gone are not.
    fn stand(&mut self, store: &mut Store, mut open: HashMap<Key, i64>) {
        open.values_mut().for_each(|count| *count = (*count).max(0));
        for (way, counted) in self.open.drain() {
            let count = open.get(&way).copied().unwrap_or(0);
            if count != counted {
                store.stand(way, count.saturating_sub(counted));
            }
        }
        open.retain(|_, count| *count > 0);
        self.open = open;
    }

    /// Notes when a series' target was scraped.
    fn see(&mut self, series: &Series) {
        let steps = series.values.iter().map(|(time, _)| step_at(*time));
        let (Some(first), Some(last)) = (steps.clone().min(), steps.max()) else { return };
        let seen = self.targets.entry(target(&series.metric)).or_insert((first, last));
        *seen = (seen.0.min(first), seen.1.max(last));
    }

    /// By how much a series rose at which steps. One that begins at a target that was there before begins at zero:
    /// a proxy makes a series when there is something to count.
    fn rises(&mut self, series: &Series) -> Vec<(u32, u64)> {
        let id = hash(&series.metric);
        if self.last.len() >= self.most && !self.last.contains_key(&id) {
            self.left_out += 1;
            return Vec::new();
        }
        let since = self.targets.get(&target(&series.metric)).map_or(0, |(first, _)| *first);
        let mut before = self.last.get(&id).map(|last| last.value);
        let mut rises = Vec::new();
        for (time, value) in &series.values {
            let (step, Ok(value)) = (step_at(*time), value.parse::<f64>()) else { continue };
            let rise = match before {
                // A counter that fell has begun anew.
                Some(before) if value >= before => value - before,
                None if step <= since => 0.0,
                Some(_) | None => value,
            };
            if rise.round() >= 1.0 {
                rises.push((step, rise.round() as u64));
            }
            before = Some(value);
            self.last.insert(id, Last { value, step });
        }
        rises
    }
}

impl Meaning {
    /// Whether connections begin by it, or end.
    fn opens(self) -> Option<i64> {
        match self {
            Self::Count(Metric::TcpOpened) => Some(1),
            Self::Count(Metric::TcpClosed) => Some(-1),
            Self::Count(_) | Self::NotAbove(_) => None,
        }
    }
}

impl Series {
    /// The count at the end of a step; none of a series that has ended.
    fn at(&self, step: u32) -> u64 {
        let own = self.values.last().filter(|(time, _)| step_at(*time) == step);
        own.and_then(|(_, value)| value.parse::<f64>().ok()).map_or(0, |value| value.round() as u64)
    }
}

impl Steps {
    fn add(&mut self, step: u32, key: &Key, meaning: Meaning, rise: u64) {
        match meaning {
            Meaning::Count(metric) => {
                let points = self.points.entry(step).or_default();
                count(metric, rise, points.entry(key.clone()).or_default());
            }
            Meaning::NotAbove(bound) => {
                let buckets = self.latencies.entry((step, key.clone())).or_default();
                let below = buckets.entry(bound).or_default();
                *below = below.saturating_add(rise);
            }
        }
    }

    /// In the order of time.
    fn put(mut self, store: &mut Store, first: u32) {
        for ((step, key), buckets) in std::mem::take(&mut self.latencies) {
            let point = self.points.entry(step).or_default().entry(key).or_default();
            let mut below = 0;
            for (bound, count) in buckets {
                point.latency.add(middle(bound), count.saturating_sub(below));
                below = below.max(count);
            }
        }
        for (step, points) in self.points.into_iter().filter(|(step, _)| *step >= first) {
            for (key, point) in points {
                store.add(u64::from(step) * STEP, key, &point);
            }
        }
    }
}

fn add(open: &mut HashMap<Key, i64>, way: Key, more: i64) {
    let count = open.entry(way).or_default();
    *count = count.saturating_add(more);
}

/// A value for all of a bucket, whose lower bound is one of Envoy's.
fn middle(bound: u64) -> f64 {
    let upper = bound as f64 / UNIT;
    let lower = BOUNDS.iter().rev().find(|lower| **lower < upper).copied().unwrap_or(0.0);
    if bound == u64::MAX { lower } else { (lower + upper) / 2.0 }
}

fn meaning(metric: &BTreeMap<String, String>) -> Option<Meaning> {
    let name = metric.get("__name__")?.as_str();
    if name == "istio_request_duration_milliseconds_bucket" {
        let bound = metric.get("le")?.parse::<f64>().ok().filter(|bound| *bound >= 0.0)?;
        // As a number that is too large becomes the largest there is, so does infinity.
        return Some(Meaning::NotAbove((bound * UNIT) as u64));
    }
    let name = name.strip_suffix("_sum").unwrap_or(name);
    Metric::ALL.iter().find(|about| about.name == name).map(|about| Meaning::Count(about.metric))
}

fn labels(metric: &BTreeMap<String, String>) -> Vec<LabelPair> {
    let pair = |(name, value): (&String, &String)| LabelPair {
        name: Some(name.clone()),
        value: Some(value.clone()),
    };
    metric.iter().map(pair).collect()
}

/// The step that ends at this time.
fn step_at(seconds: f64) -> u32 {
    ((seconds / STEP as f64).round() as u32).saturating_sub(1)
}

/// Whom Prometheus has a series from.
fn target(metric: &BTreeMap<String, String>) -> u64 {
    hash(&(metric.get("job"), metric.get("instance")))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
