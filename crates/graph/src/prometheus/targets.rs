//! When targets were scraped. In: the steps at which their series have values, and the times of the samples that those
//! are. Out: the time that a value's rise is of, and the steps that a target has told everything of.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;

use super::counters::{hash, step_at};
use super::series::{Sample, Series};
use crate::missed::Missed;
use crate::store::{LAG, STEP_MS, Scraped};

/// The longest time that a rise is spread over.
const LONGEST: u64 = LAG as u64 * STEP_MS;

/// Intervals that a target is waited for whose scrapes fail; then what others tell is shown without it.
const PATIENCE: u64 = 3;

/// The ports of a proxy's pages of metrics: merged with the application's, and its own.
const PAGES: [&str; 2] = ["15020", "15090"];

/// The longest interval that is taken for usual before one is known, in milliseconds.
const USUAL: u64 = 60_000;

/// The time from one scrape to the next, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Interval {
    after: u64,
    until: u64,
}

#[derive(Debug, Default)]
pub struct Targets {
    all: HashMap<u64, Target>,
    /// Those whose last scrape failed, also those that have not been seen for too long.
    missed: HashMap<u64, Away>,
    /// The first scrape of all.
    begun: Option<u64>,
    /// The steps that were taken last.
    first: u32,
    now: u32,
}

/// A target whose scrapes fail.
#[derive(Debug)]
struct Away {
    instance: String,
    /// Since when, in milliseconds since 1970.
    since: u64,
}

#[derive(Debug)]
pub struct Target {
    instance: Box<str>,
    /// The first and the last step at which it had values.
    seen: (u32, u32),
    /// Its first scrape, and the time before its last one.
    begun: u64,
    last: Interval,
    /// The last one at each of the steps that were taken last.
    intervals: Vec<Interval>,
    /// How long the last one was that no failed scrape was in.
    usual: u64,
    /// Whether the last scrape that was tried failed.
    is_missed: bool,
    /// Whether scrapes failed before the first one, of what had been scraped before them.
    is_back: bool,
}

impl Targets {
    /// Takes steps with their series, and the times of the samples of each target.
    pub fn see(&mut self, all: &[Series], times: &[Series], steps: RangeInclusive<u32>) {
        (self.first, self.now) = (*steps.start(), *steps.end());
        for series in all.iter().filter(|series| is_of_proxy(series)) {
            let own = series.values.iter().map(|sample| step_at(sample.time));
            let own = own.filter(|step| steps.contains(step));
            let (Some(first), Some(last)) = (own.clone().min(), own.max()) else { continue };
            let id = id(series);
            let new = || Target::new(series, first, self.missed.contains_key(&id));
            let target = self.all.entry(id).or_insert_with(new);
            target.seen.1 = target.seen.1.max(last);
        }
        self.miss(times);
        let times: HashMap<u64, BTreeMap<u32, u64>> =
            times.iter().map(|series| (id(series), milliseconds(series))).collect();
        for (id, target) in &mut self.all {
            target.intervals.clear();
            target.take(times.get(id), steps.clone());
        }
        let begun =
            || self.all.values().map(|target| target.begun).filter(|begun| *begun > 0).min();
        self.begun = self.begun.or_else(begun);
    }

    /// Takes proxies whose scrapes have failed for long, with the times of their last ones.
    pub fn missed_before(&mut self, all: &[Series]) {
        for series in all {
            let Some(sample) = series.values.last() else { continue };
            let away = Away::new(series, (sample.value * 1000.0) as u64);
            self.missed.insert(id(series), away);
        }
    }

    /// Notes whose last scrape failed, if it is a proxy's: others that Prometheus scrapes are none of ours.
    fn miss(&mut self, times: &[Series]) {
        let mut before = std::mem::take(&mut self.missed);
        for series in times.iter().filter(|series| series.at(self.now) == Some(0)) {
            let id = id(series);
            let seen =
                |target: &Target| Away::new(series, (u64::from(target.seen.1) + 1) * STEP_MS);
            let away = self.all.get(&id).map(seen).or_else(|| before.remove(&id));
            self.missed.extend(away.map(|away| (id, away)));
        }
    }

    /// Those whose last scrape failed.
    pub fn all_missed(&self) -> Missed {
        let end = (u64::from(self.now) + 1) * STEP_MS;
        let seconds = |away: &Away| end.saturating_sub(away.since) / 1000;
        Missed::of(self.missed.values().map(|away| (&*away.instance, seconds(away))))
    }

    /// Forgets those that were not seen for so many steps.
    pub fn forget(&mut self, steps: u32) {
        self.all.retain(|_, target| target.seen.1 + steps >= self.now);
    }

    /// Those that were scraped at the last step.
    pub fn count(&self) -> usize {
        self.all.values().filter(|target| target.seen.1 == self.now).count()
    }

    /// Proxies of which Prometheus scrapes more than one page with Istio's metrics.
    pub fn doubled(&self) -> usize {
        let scraped = self.all.values().filter(|target| target.seen.1 == self.now);
        let pages = scraped.filter_map(|target| target.instance.rsplit_once(':'));
        let mut hosts: HashMap<&str, usize> = HashMap::new();
        for (host, _) in pages.filter(|(_, port)| PAGES.contains(port)) {
            *hosts.entry(host).or_default() += 1;
        }
        hosts.values().filter(|pages| **pages > 1).count()
    }

    /// The first step that anything can be known of.
    pub fn since(&self) -> Option<u32> {
        self.begun.map(step_from)
    }

    /// Those that Prometheus began with and has scraped once: until the second scrape nobody knows what they count, and
    /// what the others tell is a part of all that went.
    pub fn awaited(&self) -> usize {
        let own =
            |target: &Target| target.last.until.saturating_sub(target.begun.max(target.last.after));
        let interval = self.all.values().map(own).max().unwrap_or(0).max(USUAL);
        let Some(begun) = self.begun else { return 0 };
        let is_awaited = |target: &&Target| {
            let is_first = target.begun > 0 && target.begun <= begun + interval;
            is_first && target.seen.1 == self.now && !target.is_known()
        };
        self.all.values().filter(is_awaited).count()
    }

    /// Seconds from the newest scrape to the end of the last step.
    pub fn age(&self) -> u64 {
        let newest =
            self.all.values().map(|target| target.last.until).max().filter(|until| *until > 0);
        let end = (u64::from(self.now) + 1) * STEP_MS;
        newest.map_or(0, |newest| end.saturating_sub(newest) / 1000)
    }

    /// Whom Prometheus has a series from.
    pub fn of(&self, series: &Series) -> Option<&Target> {
        self.all.get(&id(series))
    }

    /// The step at which a target told what is there of it now: of one whose scrapes fail, the last one before.
    pub fn told(&self, id: u64) -> Option<u32> {
        let target = self.all.get(&id)?;
        Some(if target.is_missed { target.seen.1 } else { self.now })
    }

    /// Whether a target's scrapes fail: it may be well, and carry what it did.
    pub fn is_missed(&self, id: u64) -> bool {
        self.all.get(&id).is_some_and(|target| target.is_missed)
    }

    /// The time that the value of a target at a step rose in; `None` if the step is not one of the last.
    pub fn interval(&self, target: &Target, step: u32) -> Option<Interval> {
        target.intervals.get(step.checked_sub(self.first)? as usize).copied()
    }

    /// What a target has told everything of, if it was scraped more than once. Where all that is known begins, it may
    /// have counted before, and before it is back; one that comes later has begun with what it counts.
    pub fn scraped(&self, id: u64) -> Option<Scraped> {
        let target = self.all.get(&id).filter(|target| target.is_known())?;
        let Interval { until, .. } = target.last;
        let is_late = !target.is_back && target.begun > self.begun? + LONGEST;
        let since = if is_late { 0 } else { step_from(target.begun) };
        let patience = (PATIENCE * target.usual).min(LONGEST);
        let is_lost = target.is_missed && (u64::from(self.now) + 1) * STEP_MS > until + patience;
        let until = ((until / STEP_MS) as u32).saturating_sub(1);
        Some(Scraped { since, until, whole: until, is_lost })
    }
}

impl Away {
    fn new(series: &Series, since: u64) -> Self {
        Self { instance: instance(series).to_owned(), since }
    }
}

impl Target {
    fn new(series: &Series, first: u32, is_back: bool) -> Self {
        let (begun, last, intervals, is_missed) = Default::default();
        let (instance, seen, usual) = (instance(series).into(), (first, first), STEP_MS);
        Self { instance, seen, begun, last, intervals, usual, is_missed, is_back }
    }

    /// The first step at which it had values.
    pub fn first(&self) -> u32 {
        self.seen.0
    }

    /// Whether it was scraped more than once.
    fn is_known(&self) -> bool {
        self.last.until > self.begun
    }

    /// Without times each step is taken for a scrape.
    fn take(&mut self, times: Option<&BTreeMap<u32, u64>>, steps: RangeInclusive<u32>) {
        for step in steps {
            let end = (u64::from(step) + 1) * STEP_MS;
            let time = match times {
                Some(times) => times.get(&step).copied().filter(|time| *time > 0),
                None => Some(end).filter(|_| step <= self.seen.1),
            };
            if let Some(time) = time.filter(|_| step >= self.seen.0) {
                self.scraped(time.clamp(end.saturating_sub(LONGEST), end));
            }
            self.is_missed = times.and_then(|times| times.get(&step)) == Some(&0);
            let own = Interval { after: end - STEP_MS, until: end };
            self.intervals.push(if self.begun > 0 { self.last } else { own });
        }
    }

    fn scraped(&mut self, time: u64) {
        let before = self.last.until;
        if self.begun == 0 {
            self.begun = time;
            self.last = Interval { after: time.saturating_sub(STEP_MS), until: time };
        } else if time > before && self.is_missed {
            // It was there all the time, and so was what it counted.
            self.last = Interval { after: before, until: time };
        } else if time > before {
            self.last = Interval { after: before.max(time.saturating_sub(LONGEST)), until: time };
            self.usual = time - self.last.after;
        }
    }
}

impl Interval {
    /// A count in the parts that are of its steps: as large as what they have of it.
    pub fn parts(self, count: u64) -> impl Iterator<Item = (u32, u64)> {
        let Self { after, until } = self;
        let length = u128::from(until.saturating_sub(after)).max(1);
        let by = move |time: u64| {
            let time = u128::from(time.clamp(after, until) - after);
            (u128::from(count) * time / length) as u64
        };
        let part = move |step: u64| (step as u32, by((step + 1) * STEP_MS) - by(step * STEP_MS));
        let parts = (after / STEP_MS..until.div_ceil(STEP_MS)).map(part);
        parts.filter(|(_, count)| *count > 0)
    }
}

/// When the samples were taken that are the newest at each step; 0 where there is none because a scrape failed.
fn milliseconds(series: &Series) -> BTreeMap<u32, u64> {
    let at = |sample: &Sample| {
        let taken = Some(sample.value).filter(|taken| *taken >= 0.0)?;
        Some((step_at(sample.time), (taken * 1000.0).round() as u64))
    };
    series.values.iter().filter_map(at).collect()
}

/// The first step that is wholly after a time.
fn step_from(milliseconds: u64) -> u32 {
    milliseconds.div_ceil(STEP_MS) as u32
}

/// Control planes tell which version they are, too. Where targets have a label of that name, Prometheus puts the
/// sample's own under another one.
fn is_of_proxy(series: &Series) -> bool {
    let value = |name: &str| series.metric.get(name);
    let component = value("exported_component").or_else(|| value("component"));
    value("__name__") != Some("istio_build") || component == Some("proxy")
}

fn instance(series: &Series) -> &str {
    series.metric.get("instance").unwrap_or_default()
}

/// Which target a series is of.
pub fn id(series: &Series) -> u64 {
    hash(&(series.metric.get("job"), series.metric.get("instance")))
}
