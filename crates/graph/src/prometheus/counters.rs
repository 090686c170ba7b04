//! From the values of counters to what they counted. In: series over a range of steps, and when their targets were
//! scraped. Out: points in the store.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::RangeInclusive;

use super::course::{Course, Meaning};
use super::series::Series;
use super::targets::{Interval, Targets, id};
use crate::collect::Found;
use crate::key::Key;
use crate::point::signed;
use crate::store::{KEPT, LAG, STEP, Store};
use crate::texts::Texts;

/// Series that are followed; more are left out.
pub const MOST: usize = 200_000;

/// The counters at the last step.
#[derive(Debug)]
pub struct Counters {
    /// Series that are followed at most.
    most: usize,
    last: HashMap<u64, Last>,
    targets: Targets,
    left_out: u64,
    /// Connections that are open, by their ways without flags, as the store has them.
    open: HashMap<Key, i64>,
    told: Told,
}

/// What targets told when they were scraped last, be it long ago while their scrapes fail: keys, with what these have
/// opened, less what they have closed.
type Told = HashMap<u64, HashMap<Key, i64>>;

#[derive(Debug)]
struct Last {
    value: f64,
    step: u32,
}

impl Counters {
    /// For so many series.
    pub fn new(most: usize) -> Self {
        let (last, targets, open, told) = Default::default();
        Self { most, last, targets, left_out: 0, open, told }
    }

    /// What there was at the last step.
    pub fn found(&self) -> Found {
        let doubled = self.targets.doubled();
        Found { proxies: self.targets.count() - doubled, left_out: self.left_out, doubled }
    }

    /// Proxies whose scrapes failed before the first step, with the times of their last ones.
    pub fn missed(&mut self, before: &[Series]) {
        self.targets.missed_before(before);
    }

    /// Counts what series rose by in these steps, which are over; `times` are those of the targets' samples.
    pub fn take(
        &mut self,
        store: &mut Store,
        all: &[Series],
        times: &[Series],
        steps: RangeInclusive<u32>,
    ) {
        let last = *steps.end();
        // The next step is the one that is not over.
        store.advance((u64::from(last) + 1) * STEP);
        self.left_out = 0;
        self.targets.see(all, times, steps);
        if let Some(step) = self.targets.since() {
            store.known_since(step);
        }
        store.awaits(self.targets.awaited(), self.targets.age());
        store.misses(self.targets.all_missed());
        let (mut courses, mut texts) = (HashMap::<Key, Course>::new(), Texts::default());
        let mut open: HashMap<Key, i64> = HashMap::new();
        let mut told = Told::new();
        for one in all {
            let Some(meaning) = Meaning::of(&one.metric) else { continue };
            let Some(key) = Key::read(|name| one.metric.get(name), &mut texts) else { continue };
            let rises = self.rises(one);
            let sign = meaning.opens().unwrap_or_default();
            if sign != 0 {
                let counted = rises.iter().fold(0_u64, |all, (_, rise)| all.saturating_add(*rise));
                add(&mut self.open, way(&key), sign * signed(counted));
            }
            let course = courses.entry(key.clone()).or_default();
            rises.into_iter().for_each(|(interval, rise)| course.add(meaning, interval, rise));
            let id = id(one);
            let Some(now) = self.targets.told(id).and_then(|step| one.at(step)) else { continue };
            add(told.entry(id).or_default(), key, sign * signed(now));
            if let Some(scraped) = self.targets.scraped(id) {
                course.knows(scraped);
            }
        }
        for (id, keys) in std::mem::take(&mut self.told) {
            let is_silent = self.targets.is_missed(id) && !told.contains_key(&id);
            let Some(scraped) = self.targets.scraped(id).filter(|_| is_silent) else { continue };
            keys.keys().for_each(|key| courses.entry(key.clone()).or_default().knows(scraped));
            told.insert(id, keys);
        }
        for (key, count) in told.values().flatten().filter(|(_, count)| **count != 0) {
            add(&mut open, way(key), *count);
        }
        self.told = told;
        put(store, courses);
        self.stand(store, open);
        let kept = KEPT + LAG;
        self.last.retain(|_, value| value.step + kept >= last);
        self.targets.forget(kept);
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

    /// By how much a series rose in which times. One that begins at a target that was there before begins at zero:
    /// a proxy makes a series when there is something to count.
    fn rises(&mut self, series: &Series) -> Vec<(Interval, u64)> {
        let id = series.metric.id;
        if self.last.len() >= self.most && !self.last.contains_key(&id) {
            self.left_out += 1;
            return Vec::new();
        }
        let Some(target) = self.targets.of(series) else { return Vec::new() };
        let mut before = self.last.get(&id).map(|last| last.value);
        let mut rises = Vec::new();
        for sample in series.values.iter().filter(|sample| !sample.value.is_nan()) {
            let (step, value) = (step_at(sample.time), sample.value);
            let Some(interval) = self.targets.interval(target, step) else { continue };
            let rise = match before {
                // A counter that fell has begun anew.
                Some(before) if value >= before => value - before,
                None if step <= target.first() => 0.0,
                Some(_) | None => value,
            };
            if rise.round() >= 1.0 {
                rises.push((interval, rise.round() as u64));
            }
            before = Some(value);
            self.last.insert(id, Last { value, step });
        }
        rises
    }
}

impl Series {
    /// The count at the end of a step; none of a series that has ended.
    pub fn at(&self, step: u32) -> Option<u64> {
        let sample = self.values.last()?;
        let is_there = step_at(sample.time) == step && !sample.value.is_nan();
        is_there.then(|| sample.value.round() as u64)
    }
}

/// The way of connections, however they ended.
fn way(key: &Key) -> Key {
    Key { flags: "".into(), ..key.clone() }
}

fn put(store: &mut Store, mut courses: HashMap<Key, Course>) {
    let told: HashMap<Key, _> =
        courses.iter().filter_map(|(key, course)| Some((key.clone(), course.scraped?))).collect();
    for (key, course) in courses.drain() {
        let points = course.into_points();
        if !points.is_empty() {
            store.put(key, points);
        }
    }
    store.scraped(|key| told.get(key).copied());
}

fn add(open: &mut HashMap<Key, i64>, way: Key, more: i64) {
    let count = open.entry(way).or_default();
    *count = count.saturating_add(more);
}

/// The step that ends at this time.
pub fn step_at(seconds: f64) -> u32 {
    ((seconds / STEP as f64).round() as u32).saturating_sub(1)
}

pub fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
