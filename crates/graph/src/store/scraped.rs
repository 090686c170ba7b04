//! What scrapes tell, which comes when they are made and is of the time since the ones before. In: points of steps that
//! are over, and which steps scrapes have told everything of. Out: the same points and rates as of proxies that tell at
//! every step.

use std::collections::BTreeMap;

use super::{KEPT, Store};
use crate::key::Key;
use crate::missed::Missed;
use crate::point::Point;

/// Steps that a scrape may be behind: for so long Prometheus takes a sample for the present.
pub const LAG: u32 = 60;

/// The steps of a key that scrapes have told everything of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scraped {
    pub since: u32,
    pub until: u32,
    /// The same with what those would have told that are lost.
    pub whole: u32,
    /// Scrapes have failed for so long that they are not waited for: what came then is not known.
    pub is_lost: bool,
}

impl Scraped {
    /// Those of several: what one of them does not know yet, they do not know together. They go on without one that is
    /// lost.
    pub fn and(self, other: Self) -> Self {
        let until = match (self.is_lost, other.is_lost) {
            (true, false) => other.until,
            (false, true) => self.until,
            _ => self.until.min(other.until),
        };
        Self {
            since: self.since.max(other.since),
            until,
            whole: self.whole.min(other.whole),
            is_lost: self.is_lost && other.is_lost,
        }
    }

    /// Nothing more comes, of which all is known.
    fn ended(self) -> Self {
        Self { until: u32::MAX, whole: u32::MAX, is_lost: false, ..self }
    }
}

impl Store {
    /// One that keeps as many steps more as scrapes may be behind, so that an hour is known.
    pub fn of_scrapes(limit: usize, seconds: u64) -> Self {
        Self { kept: KEPT + LAG, ..Self::new(limit, seconds) }
    }

    /// Nobody looked before this step.
    pub fn known_since(&mut self, step: u32) {
        let step = step.min(self.now);
        self.oldest = self.oldest.max(step);
        self.begun = self.begun.max(step);
    }

    /// So many of the first targets were scraped only once: until they tell what they count, no rate is known. The
    /// newest scrape is so many seconds old.
    pub fn awaits(&mut self, targets: usize, age: u64) {
        (self.awaited, self.age) = (targets, age);
    }

    /// These cannot be scraped.
    pub fn misses(&mut self, missed: Missed) {
        self.missed = missed;
    }

    pub fn missed(&self) -> &Missed {
        &self.missed
    }

    pub fn age(&self) -> u64 {
        self.age
    }

    pub fn awaited(&self) -> usize {
        self.awaited
    }

    /// Adds points to their steps. `None` if there is no room.
    pub fn put(&mut self, key: Key, mut points: BTreeMap<u32, Point>) -> Option<()> {
        let (oldest, now) = (self.oldest, self.now);
        let line = self.line(key, None)?;
        let net = points.values().fold(0_i64, |net, point| net.saturating_add(point.net()));
        line.open = line.open.saturating_add(net);
        let before = line.cost();
        // Nothing is of a time to come.
        points.split_off(&(now + 1));
        let kept = points.split_off(&oldest);
        match kept.keys().next().copied() {
            // It goes on in the step in which its last scrape was.
            Some(first) if first >= line.step => line.append(kept.into_iter()),
            Some(first) => line.insert(first, kept.into_iter()),
            None => {}
        }
        let after = line.cost();
        self.bytes = (self.bytes + after).saturating_sub(before);
        Some(())
    }

    /// Notes what scrapes have told everything of; a key of which they tell nothing any more has ended.
    pub fn scraped(&mut self, of: impl Fn(&Key) -> Option<Scraped>) {
        for (key, line) in &mut self.lines {
            match of(key) {
                Some(scraped) => {
                    (line.since, line.scraped) = (scraped.since, Some(scraped));
                }
                None => line.scraped = line.scraped.map(Scraped::ended),
            }
        }
    }
}
