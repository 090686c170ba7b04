//! The traffic of the last hour in steps of five seconds, within a budget of memory. In: points with their
//! keys, in the order of time. Out: the points of a range. When the budget is used up, the oldest steps of all
//! edges make room, and then connections that are open and were quiet for longer than that. Only where the last five
//! minutes alone are too much, what comes then is counted and left out.

mod chunk;
mod gaps;
mod line;
mod numbers;
mod scraped;
mod span;
mod standstill;

use std::ops::Range;
use std::sync::Arc;

use lateen_telemetry::labels::Reporter;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::key::Key;
use crate::missed::Missed;
use crate::point::Point;
use crate::texts::Texts;
use chunk::CHUNK;
use gaps::Heard;
pub use gaps::{Gaps, Place};
use line::Line;
use numbers::Numbers;
pub use numbers::Route;
pub use scraped::{LAG, Scraped};
pub use span::Span;
use span::Told;
use standstill::Standstill;

/// Seconds of a step.
pub const STEP: u64 = 5;
/// Milliseconds of a step.
pub const STEP_MS: u64 = STEP * 1000;
/// Steps that are kept besides the present one, which is not over: an hour.
pub const KEPT: u32 = 720;
/// Keys of which something is kept.
const KEYS: usize = 40_000;
/// About what a key costs besides its points and the numbers of its ends.
const KEY_BYTES: usize = 768;

/// The traffic of all edges. Steps are counted from 1970.
#[derive(Debug)]
pub struct Store {
    limit: usize,
    lines: FxHashMap<Arc<Key>, Line>,
    texts: Texts,
    numbers: Numbers,
    /// The newest step, the first that is kept, and the one in which the store was made.
    now: u32,
    oldest: u32,
    begun: u32,
    /// What proxies have told, by what they are known by, while the store is young.
    told: FxHashMap<u64, Told>,
    /// Steps that are kept besides the newest.
    kept: u32,
    bytes: usize,
    /// Lines of which nothing is kept but that connections are open.
    quiet: usize,
    dropped: u64,
    /// Those of the last minutes, and the step of the last one.
    lately: (u64, u32),
    /// The first step was forgotten before it was an hour old.
    is_short: bool,
    /// Targets of scrapes without which no rate is known.
    awaited: usize,
    /// Seconds since the newest scrape.
    age: u64,
    /// Targets whose scrapes fail.
    missed: Missed,
    /// The newest report of each proxy, by what it is known by.
    heard: FxHashMap<u64, Heard>,
    /// The last time that this process stood still.
    standstill: Option<Standstill>,
}

/// What a key has in a range of steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The way of the key.
    pub route: Route,
    pub points: Point,
    /// Steps that they are of: fewer than were asked for where the others are not known.
    pub steps: u32,
    /// Those between them that are not known, and others.
    pub gaps: Gaps,
    /// Some of those are told in a moment.
    pub is_awaited: bool,
    /// The first step that is known.
    pub since: u32,
    /// Connections that were open at the end of them, less those that ended under another key.
    pub open: i64,
    /// What is known of the key, if scrapes tell it.
    pub scraped: Option<Scraped>,
}

impl Sum {
    /// Whether reports of some of these steps are missing.
    pub fn lacks(&self, steps: Range<u32>) -> bool {
        self.gaps.of(steps).next().is_some()
    }

    /// Whether nothing is known of what was asked for, as scrapes fail or reports did not come.
    pub fn is_lost(&self) -> bool {
        let is_lost = self.scraped.is_some_and(|scraped| scraped.is_lost);
        self.steps == 0 && (is_lost || (!self.gaps.is_empty() && !self.is_awaited))
    }
}

/// How full the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    pub bytes: usize,
    pub limit: usize,
    pub edges: usize,
    /// Points that found no room, and those without five minutes in which there were none.
    pub dropped: u64,
    pub lately: u64,
    /// Whether less than an hour is kept, for want of room.
    pub is_short: bool,
}

impl Store {
    /// `limit` in bytes. The first step is the one of `seconds` since 1970.
    pub fn new(limit: usize, seconds: u64) -> Self {
        let now = step_of(seconds);
        Self {
            limit,
            lines: FxHashMap::default(),
            texts: Texts::default(),
            numbers: Numbers::default(),
            now,
            oldest: now,
            begun: now,
            told: FxHashMap::default(),
            kept: KEPT,
            bytes: 0,
            quiet: 0,
            dropped: 0,
            lately: (0, now),
            is_short: false,
            awaited: 0,
            age: 0,
            missed: Missed::default(),
            heard: FxHashMap::default(),
            standstill: None,
        }
    }

    /// There is room for so many more bytes.
    pub fn grow(&mut self, bytes: usize) {
        self.limit += bytes;
    }

    /// Adds a point to the step of this time; a time before the newest counts as that. `None` if there is no room,
    /// or else the key as it is kept.
    pub fn add(&mut self, seconds: u64, key: Key, point: &Point) -> Option<Arc<Key>> {
        self.advance(seconds);
        self.tell(key, point, self.always())
    }

    /// The same of a stream's report that is there now, and may have been held up.
    pub fn tell(&mut self, key: Key, point: &Point, span: Span) -> Option<Arc<Key>> {
        let made = self.now.saturating_sub(span.ago).max(self.oldest);
        let line = self.line(key, Some(made))?;
        line.since = line.since.max(span.since);
        line.open = line.open.saturating_add(point.net());
        line.is_partial = span.is_short();
        let key = line.key.clone();
        let is_long = span.over > STEP_MS;
        let (before, after);
        if point.is_empty() || (!is_long && line.step <= made) {
            before = line.current.heap();
            line.current.add(point);
            after = line.current.heap();
        } else {
            before = line.cost();
            match is_long {
                true => line.spread(point, span.over, made),
                false => line.insert(made, std::iter::once((made, point.clone()))),
            }
            after = line.cost();
        }
        self.bytes = (self.bytes + after).saturating_sub(before);
        Some(key)
    }

    /// Counts so many more connections as open, which is no traffic. `None` if there is no room.
    pub fn stand(&mut self, key: Key, count: i64) -> Option<Arc<Key>> {
        let line = self.line(key, Some(self.now))?;
        line.open = line.open.saturating_add(count);
        Some(line.key.clone())
    }

    /// The key's line, if there is room for it: at a step or a later one, when those before are over, or as it is.
    fn line(&mut self, key: Key, step: Option<u32>) -> Option<&mut Line> {
        let has_room = self.has_room();
        let is_new = !self.lines.contains_key(&key);
        while is_new && self.lines.len() >= KEYS && self.makes_room() {}
        if !has_room || (is_new && self.lines.len() >= KEYS) {
            self.dropped += 1;
            self.lately = (self.dropped_lately() + 1, self.now);
            return None;
        }
        if is_new {
            let key = Arc::new(key.kept(&mut self.texts));
            let line = Line::new(key.clone(), self.numbers.route(&key));
            self.bytes += KEY_BYTES;
            self.lines.insert(key, line);
        }
        let line = self.lines.get_mut(&key)?;
        if let Some(step) = step.filter(|step| *step > line.step) {
            let before = line.growing();
            self.bytes = (self.bytes + line.close()).saturating_sub(before);
            line.step = step;
        }
        Some(line)
    }

    /// Counts so many more connections as open, or fewer, which is no traffic, if the key is kept.
    pub fn reopen(&mut self, key: &Arc<Key>, count: i64) {
        if let Some(line) = self.lines.get_mut(key).filter(|line| Arc::ptr_eq(&line.key, key)) {
            line.open = line.open.saturating_add(count);
        }
    }

    /// Whether a key has been kept since it was told.
    pub fn keeps(&self, key: &Arc<Key>) -> bool {
        self.lines.get(key).is_some_and(|line| Arc::ptr_eq(&line.key, key))
    }

    /// Time goes on, whether there is traffic or not.
    pub fn advance(&mut self, seconds: u64) {
        let step = step_of(seconds);
        if step + CHUNK <= self.now {
            self.go_back(step);
        }
        if step <= self.now {
            return;
        }
        let crossed = step / CHUNK != self.now / CHUNK;
        self.now = step;
        self.oldest = self.oldest.max(step.saturating_sub(self.kept));
        if step - self.oldest >= KEPT {
            self.is_short = false;
        }
        if crossed {
            self.forget();
        }
        self.has_room();
    }

    /// Makes room for more, if need be by forgetting the oldest; false if there is none.
    fn has_room(&mut self) -> bool {
        while self.size() > self.limit && self.makes_room() {}
        self.size() <= self.limit
    }

    /// Forgets the oldest steps of all before their time, and then what is only open; false if the present is left.
    fn makes_room(&mut self) -> bool {
        if self.oldest + CHUNK >= self.now {
            return self.lets_go();
        }
        self.oldest += CHUNK;
        self.is_short = true;
        self.forget();
        true
    }

    fn size(&self) -> usize {
        let heard = self.heard.len() * Heard::BYTES;
        self.bytes + self.texts.bytes() + self.numbers.cost() + heard
    }

    /// The clock was ahead: what was counted at times that are to come is forgotten.
    fn go_back(&mut self, step: u32) {
        self.now = step;
        self.oldest = self.oldest.min(step);
        self.begun = self.begun.min(step);
        self.told.clear();
        self.unhear(step);
        self.standstill = None;
        self.bytes = 0;
        for line in self.lines.values_mut() {
            line.go_back(step);
            self.bytes += line.cost() + KEY_BYTES;
        }
        self.forget();
    }

    /// Forgets what is older than the oldest step, but not that connections are open.
    fn forget(&mut self) {
        let oldest = self.oldest;
        self.bytes -= self.lines.values_mut().map(|line| line.forget(oldest)).sum::<usize>();
        self.forget_heard();
        self.settle();
        self.retain(|line| !line.is_over(oldest) || line.is_open());
        self.quiet = self.lines.values().filter(|line| line.is_over(oldest)).count();
    }

    /// Forgets connections that are open and of whose way nothing else is kept; false if there are none.
    fn lets_go(&mut self) -> bool {
        let oldest = self.oldest;
        if std::mem::take(&mut self.quiet) == 0 {
            return false;
        }
        let busy = self.lines.values().filter(|line| !line.is_over(oldest));
        let busy: FxHashSet<_> = busy.map(Line::way).collect();
        self.retain(|line| busy.contains(&line.way()));
        true
    }

    /// What ended under keys that are forgotten is not open under others of its way.
    fn settle(&mut self) {
        let mut ended: FxHashMap<(Route, Reporter), i64> = FxHashMap::default();
        let is_forgotten = |line: &&Line| line.is_over(self.oldest) && !line.is_open();
        for line in self.lines.values().filter(is_forgotten).filter(|line| line.open < 0) {
            let count = ended.entry(line.way()).or_default();
            *count = count.saturating_sub(line.open);
        }
        for line in self.lines.values_mut().filter(|line| line.open > 0) {
            if let Some(count) = ended.get_mut(&line.way()) {
                let own = line.open.min(*count);
                line.open -= own;
                *count -= own;
            }
        }
    }

    fn retain(&mut self, keeps: impl Fn(&Line) -> bool) {
        let (before, mut freed) = (self.lines.len(), 0);
        self.lines.retain(|_, line| {
            let kept = keeps(line);
            freed += if kept { 0 } else { KEY_BYTES + line.cost() };
            kept
        });
        self.bytes -= freed;
        if self.lines.len() < before {
            self.number();
        }
        self.texts.sweep();
    }

    /// Numbers the ways anew, when some are gone.
    fn number(&mut self) {
        self.numbers = Numbers::default();
        for (key, line) in &mut self.lines {
            line.route = self.numbers.route(key);
        }
    }

    /// The steps that can be asked for.
    pub fn range(&self) -> (u32, u32) {
        (self.oldest, self.now)
    }

    pub fn fill(&self) -> Fill {
        let Self { limit, dropped, is_short, .. } = *self;
        let (edges, lately) = (self.lines.len(), self.dropped_lately());
        Fill { bytes: self.size(), limit, edges, dropped, lately, is_short }
    }

    fn dropped_lately(&self) -> u64 {
        let (count, last) = self.lately;
        if self.now.saturating_sub(last) < CHUNK { count } else { 0 }
    }

    /// All that something is kept of.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.lines.keys().map(|key| &**key)
    }

    /// What each key has in the steps from `first` to `last`, as far as they are known, in no order; keys without any
    /// are empty. If the last is the step that is not over, a key that has nothing in it yet has as many steps before
    /// it: proxies tell once in a step, and until then the rates would be too low. So has a key that is scraped and
    /// whose next scrape is awaited; of one whose scrapes are lost there is what is known of the steps asked for.
    pub fn sums(&self, first: u32, last: u32) -> impl Iterator<Item = (&Arc<Key>, Sum)> {
        self.lines.iter().map(move |(key, line)| {
            let asked = last.min(self.now);
            let last = line.told(last, self.now);
            let is_lost = line.scraped.is_some_and(|scraped| scraped.is_lost);
            let early = if is_lost { 0 } else { asked.saturating_sub(last) };
            let since = line.since.max(self.oldest);
            let first = first.saturating_sub(early).max(since);
            let asked_for = first..last.saturating_add(1).max(first);
            let (mut gaps, awaited) = (self.gaps(line), self.awaited_of(line));
            let is_awaited = !awaited.is_empty();
            gaps.add(awaited);
            let unknown: u32 = gaps.of(asked_for.clone()).map(|gap| gap.end - gap.start).sum();
            let steps = asked_for.end - asked_for.start - unknown;
            let mut points = Point::default();
            for part in gaps.between(asked_for).filter(|_| self.awaited == 0) {
                points.add(&line.sum(part.start, part.end - 1));
            }
            // Nothing comes after the present, of which is asked most.
            let open = if asked == self.now { line.open } else { line.open_at(asked) };
            let (route, scraped) = (line.route, line.scraped);
            (key, Sum { route, points, steps, gaps, is_awaited, since, open, scraped })
        })
    }

    /// The points of the keys that are wanted, in the order of their steps, each with what `wanted` says of its key.
    pub fn points<'s, W>(
        &'s self,
        first: u32,
        last: u32,
        mut wanted: impl FnMut(&'s Key, Route) -> Option<W>,
        mut take: impl FnMut(&Key, &W, u32, &Point),
    ) {
        for (key, line) in &self.lines {
            if let Some(about) = wanted(key, line.route) {
                line.each(first, last, |step, point| take(key, &about, step, point));
            }
        }
    }
}

/// The step of a time in seconds since 1970.
pub fn step_of(seconds: u64) -> u32 {
    (seconds / STEP) as u32
}

#[cfg(test)]
mod tests;
