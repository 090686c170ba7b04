//! The points of one key. In: what is added to the step that is not over. Out: the points of a range, or their sum; what
//! it costs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use lateen_telemetry::labels::Reporter;

use super::chunk::{CHUNK, Chunk};
use super::span::LONGEST;
use super::{Route, STEP_MS, Scraped};
use crate::key::Key;
use crate::point::{Point, skip};

/// Steps of a range in which there is hardly a whole chunk.
const SHORT: u32 = 2 * CHUNK;

/// One key's points, and the way of the key.
#[derive(Debug)]
pub struct Line {
    pub key: Arc<Key>,
    pub route: Route,
    chunks: VecDeque<Chunk>,
    /// What the chunks before the newest one sum up to, one after the other, and what the newest one does: so that
    /// nobody who asks for all of a chunk reads its points.
    sums: Vec<u8>,
    sum: Point,
    /// The first step since which all that report it have told everything.
    pub since: u32,
    /// Proxies that report it and have not told everything.
    pub lacking: Vec<u64>,
    /// Its newest report is of a part of its step.
    pub is_partial: bool,
    /// What scrapes have told everything of, if they tell it.
    pub scraped: Option<Scraped>,
    /// The step that is not over, and what it has so far.
    pub step: u32,
    pub current: Point,
    /// Connections opened less those closed, since the key is known. An end with other flags than the
    /// beginning is another key's.
    pub open: i64,
}

impl Line {
    pub fn new(key: Arc<Key>, route: Route) -> Self {
        let (chunks, sums, sum, current) = Default::default();
        let (since, lacking, is_partial, scraped, step, open) = Default::default();
        Self {
            key,
            route,
            chunks,
            sums,
            sum,
            since,
            lacking,
            is_partial,
            scraped,
            step,
            current,
            open,
        }
    }

    /// What its points cost.
    pub fn cost(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Chunk::cost).sum();
        chunks
            + self.sums.capacity()
            + self.current.heap()
            + self.lacking.capacity() * size_of::<u64>()
    }

    /// Whether nothing is there of a step or of later ones.
    pub fn is_over(&self, oldest: u32) -> bool {
        self.chunks.is_empty() && self.step < oldest
    }

    /// Whether connections are open: those who follow some of them hold the key, besides the line and its place in the
    /// store.
    pub fn is_open(&self) -> bool {
        self.open > 0 || Arc::strong_count(&self.key) > 2
    }

    /// What it tells of, however that ended.
    pub fn way(&self) -> (Route, Reporter) {
        (self.route, self.key.reporter)
    }

    /// What that costs which may still grow.
    pub fn growing(&self) -> usize {
        self.sums.capacity() + self.current.heap() + self.chunks.back().map_or(0, Chunk::cost)
    }

    /// Packs the step that is over. Out: what that costs now which could grow before, and a new chunk.
    pub fn close(&mut self) -> usize {
        let point = std::mem::take(&mut self.current);
        if point.is_empty() {
            return self.growing();
        }
        let step = self.step;
        let mut finished = 0;
        if self.chunks.back().is_none_or(|chunk| !chunk.takes(step)) {
            let sum = std::mem::take(&mut self.sum);
            if let Some(chunk) = self.chunks.back_mut() {
                chunk.finish();
                finished = chunk.cost();
                sum.encode(&mut self.sums);
            }
            self.chunks.push_back(Chunk::new(step));
        }
        let chunk = self.chunks.back_mut().expect("there is one now");
        chunk.push(step, &point);
        self.sum.add(&point);
        finished + self.growing()
    }

    /// Adds a point that is over so many milliseconds, of which a step has the last ones. What is older than a report may
    /// be is left out.
    pub fn spread(&mut self, point: &Point, over: u64, last: u32) {
        let steps = over.min(LONGEST).div_ceil(STEP_MS);
        let part = |ago: u64| {
            let end = over - ago * STEP_MS;
            (last - ago as u32, point.part(end.saturating_sub(STEP_MS)..end, over))
        };
        self.insert((last + 1).saturating_sub(steps as u32), (0..steps).map(part));
    }

    /// Adds points to steps from the first on, up to the present.
    pub fn insert(&mut self, first: u32, more: impl Iterator<Item = (u32, Point)>) {
        let mut points = self.take_since(first);
        for (step, point) in more {
            points.entry(step).or_default().add(&point);
        }
        for (step, point) in points {
            self.close();
            (self.step, self.current) = (step, point);
        }
    }

    /// Adds points to the step that is not over, and to later ones.
    pub fn append(&mut self, more: impl Iterator<Item = (u32, Point)>) {
        for (step, point) in more {
            if step != self.step {
                self.close();
                self.step = step;
            }
            self.current.add(&point);
        }
    }

    /// Takes the chunks that are not over before a step out, and what is not over yet.
    fn take_since(&mut self, first: u32) -> BTreeMap<u32, Point> {
        let mut points = BTreeMap::from([(self.step, std::mem::take(&mut self.current))]);
        let (mut rest, mut sums) = (self.sums.as_slice(), Vec::new());
        while let Some(sum) = Point::decode(&mut rest) {
            sums.push(sum);
        }
        sums.push(std::mem::take(&mut self.sum));
        while let Some(chunk) = self.chunks.pop_back_if(|chunk| chunk.last() >= first) {
            sums.pop();
            chunk.each(0, u32::MAX, |step, point| points.entry(step).or_default().add(point));
        }
        self.sum = sums.pop().unwrap_or_default();
        self.sums.clear();
        sums.iter().for_each(|sum| sum.encode(&mut self.sums));
        points
    }

    /// Forgets what is after a step.
    pub fn go_back(&mut self, last: u32) {
        let (open, since, scraped) = (self.open, self.since.min(last), self.scraped);
        let lacking = std::mem::take(&mut self.lacking);
        let mut rest =
            Self { open, since, lacking, scraped, ..Self::new(self.key.clone(), self.route) };
        self.each(0, last, |step, point| {
            rest.close();
            rest.step = step;
            rest.current.add(point);
        });
        *self = rest;
    }

    /// Forgets the points that are over before a step; what they cost.
    pub fn forget(&mut self, oldest: u32) -> usize {
        let mut freed = 0;
        while let Some(chunk) = self.chunks.pop_front_if(|chunk| chunk.last() < oldest) {
            freed += chunk.cost();
            let mut rest = self.sums.as_slice();
            if skip(&mut rest).is_some() {
                self.sums.drain(..self.sums.len() - rest.len());
            }
        }
        if self.chunks.is_empty() {
            freed += std::mem::take(&mut self.sums).capacity();
            self.sum = Point::default();
        }
        if self.step < oldest && self.chunks.is_empty() {
            freed += std::mem::take(&mut self.current).heap();
        }
        freed
    }

    /// The chunks that are not over before a step.
    fn since(&self, first: u32) -> impl Iterator<Item = &Chunk> {
        let late = self.chunks.iter().rev().take_while(|chunk| chunk.last() >= first).count();
        self.chunks.range(self.chunks.len() - late..)
    }

    /// The points from one step to another, each with its step.
    pub fn each(&self, first: u32, last: u32, mut take: impl FnMut(u32, &Point)) {
        self.since(first).for_each(|chunk| chunk.each(first, last, &mut take));
        if let Some(current) = self.current(first, last) {
            take(self.step, current);
        }
    }

    /// What `each` would give, added up.
    pub fn sum(&self, first: u32, last: u32) -> Point {
        let mut sum = Point::default();
        if last.saturating_sub(first) < SHORT {
            self.since(first).for_each(|chunk| chunk.add_to(&mut sum, first, last));
        } else {
            self.add_chunks(&mut sum, first, last);
        }
        if let Some(current) = self.current(first, last) {
            sum.add(current);
        }
        sum
    }

    /// Adds what the chunks have, by their sums where all of a chunk is asked for.
    fn add_chunks(&self, sum: &mut Point, first: u32, last: u32) {
        let mut sums = self.sums.as_slice();
        for chunk in &self.chunks {
            let is_newest = sums.is_empty();
            match chunk.is_within(first, last) {
                true if is_newest => sum.add(&self.sum),
                true => {
                    sum.add_encoded(&mut sums);
                }
                false => {
                    skip(&mut sums);
                    chunk.add_to(sum, first, last);
                }
            }
        }
    }

    /// Connections that were open at the end of a step: those of now, without what came later.
    pub fn open_at(&self, step: u32) -> i64 {
        if self.step.max(self.chunks.back().map_or(0, Chunk::last)) <= step {
            return self.open;
        }
        self.open.saturating_sub(self.sum(step + 1, u32::MAX).net())
    }

    /// The last step up to one that is asked for of which all is told; the one that is not over may still be awaited.
    pub fn told(&self, asked: u32, now: u32) -> u32 {
        match self.scraped {
            Some(Scraped { until, .. }) => asked.min(until).min(now.saturating_sub(1)),
            None => {
                let is_whole = self.step == now && !self.is_partial;
                asked.min(now) - u32::from(asked == now && !is_whole)
            }
        }
    }

    fn current(&self, first: u32, last: u32) -> Option<&Point> {
        let is_asked = (first..=last).contains(&self.step) && !self.current.is_empty();
        is_asked.then_some(&self.current)
    }
}
