//! The traffic of the last hour in steps of five seconds, within a budget of memory. In: points with their
//! keys, in the order of time. Out: the points of a range. When the budget is used up, the oldest steps of all
//! edges make room, so that the present is always whole.

use std::collections::VecDeque;
use std::sync::Arc;

use envoy_types::pb::io::prometheus::client::LabelPair;
use rustc_hash::FxHashMap;

use crate::key::{Key, Texts};
use crate::point::{Point, read, skip, write};

/// Seconds of a step.
pub const STEP: u64 = 5;
/// Steps that are kept: an hour.
pub const KEPT: u32 = 720;
/// Steps of one chunk; whole chunks are forgotten.
const CHUNK: u32 = 60;
/// Keys of which something is kept.
const KEYS: usize = 40_000;
/// About what a key costs besides its points.
const KEY_BYTES: usize = 640;
const CHUNK_BYTES: usize = size_of::<Chunk>();

/// The traffic of all edges. Steps are counted from 1970.
#[derive(Debug)]
pub struct Store {
    limit: usize,
    lines: FxHashMap<Arc<Key>, Line>,
    texts: Texts,
    /// The newest step, and the first that is whole.
    now: u32,
    oldest: u32,
    bytes: usize,
    dropped: u64,
}

/// One key's points.
#[derive(Debug, Default)]
struct Line {
    chunks: VecDeque<Chunk>,
    /// The step that is not over, and what it has so far.
    step: u32,
    current: Point,
    /// Connections opened less those closed, since the key is known. An end with other flags than the
    /// beginning is another key's.
    open: i64,
}

/// Points of a range of steps, each after the difference of its step to the one before.
#[derive(Debug)]
struct Chunk {
    first: u32,
    last: u32,
    bytes: Vec<u8>,
    /// Connections opened in it less those closed.
    net: i64,
}

/// What a key has in a range of steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub points: Point,
    /// Connections that were open at the end of them, less those that ended under another key.
    pub open: i64,
}

/// How full the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fill {
    pub bytes: usize,
    pub limit: usize,
    pub edges: usize,
    /// Points that found no room.
    pub dropped: u64,
}

impl Store {
    /// `limit` in bytes. The first step is the one of `seconds` since 1970.
    pub fn new(limit: usize, seconds: u64) -> Self {
        let now = step_of(seconds);
        Self {
            limit,
            lines: FxHashMap::default(),
            texts: Texts::default(),
            now,
            oldest: now,
            bytes: 0,
            dropped: 0,
        }
    }

    /// The key of a series' labels.
    pub fn key(&mut self, labels: &[LabelPair]) -> Option<Key> {
        let value = |name: &str| labels.iter().find(|one| one.name() == name).map(LabelPair::value);
        Key::read(value, &mut self.texts)
    }

    /// Adds a point to the step of this time; a time before the newest counts as that.
    pub fn add(&mut self, seconds: u64, key: Key, point: &Point) {
        self.advance(seconds);
        let full = self.lines.len() >= KEYS;
        let now = self.now;
        let line = match self.lines.get_mut(&key) {
            Some(line) => line,
            None if full => {
                self.dropped += 1;
                return;
            }
            None => {
                self.bytes += KEY_BYTES;
                self.lines.entry(Arc::new(key)).or_default()
            }
        };
        if line.step != now {
            self.bytes += line.close();
            line.step = now;
        }
        line.current.add(point);
        line.open = line.open.saturating_add(net(point));
    }

    /// Counts so many more connections as open, or fewer, which is no traffic.
    pub fn reopen(&mut self, key: &Key, count: i64) {
        if let Some(line) = self.lines.get_mut(key) {
            line.open = line.open.saturating_add(count);
        }
    }

    /// Time goes on, whether there is traffic or not.
    pub fn advance(&mut self, seconds: u64) {
        let step = step_of(seconds);
        if step <= self.now {
            return;
        }
        let crossed = step / CHUNK != self.now / CHUNK;
        self.now = step;
        self.oldest = self.oldest.max(step.saturating_sub(KEPT - 1));
        if crossed {
            self.forget();
        }
        while self.bytes > self.limit && self.oldest + CHUNK < self.now {
            self.oldest += CHUNK;
            self.forget();
        }
    }

    /// Forgets what is older than the oldest step.
    fn forget(&mut self) {
        let (oldest, mut freed) = (self.oldest, 0);
        self.lines.retain(|_, line| {
            freed += line.forget(oldest);
            let kept = !line.chunks.is_empty() || line.step >= oldest;
            freed += if kept { 0 } else { KEY_BYTES };
            kept
        });
        self.bytes -= freed;
        self.texts.sweep();
    }

    /// The steps that can be asked for.
    pub fn range(&self) -> (u32, u32) {
        (self.oldest, self.now)
    }

    pub fn fill(&self) -> Fill {
        let Self { bytes, limit, dropped, .. } = *self;
        Fill { bytes, limit, edges: self.lines.len(), dropped }
    }

    /// What each key has in the steps from `first` to `last`, in no order; keys without any are empty. If the last is
    /// the step that is not over, a key that has nothing in it yet has as many steps before it: proxies tell once in
    /// a step, and until then the rates would be too low.
    pub fn sums(&self, first: u32, last: u32) -> impl Iterator<Item = (&Arc<Key>, Sum)> {
        self.lines.iter().map(move |(key, line)| {
            let early = u32::from(last == self.now && line.step != last);
            let mut points = Point::default();
            line.each(first.saturating_sub(early), last - early, |_, point| points.add(point));
            (key, Sum { points, open: line.open_at(last) })
        })
    }

    /// The points of the keys that are wanted, in the order of their steps, each with what `wanted` says of its key.
    pub fn points<'s, W>(
        &'s self,
        first: u32,
        last: u32,
        mut wanted: impl FnMut(&'s Key) -> Option<W>,
        mut take: impl FnMut(&Key, &W, u32, &Point),
    ) {
        for (key, line) in &self.lines {
            if let Some(about) = wanted(key) {
                line.each(first, last, |step, point| take(key, &about, step, point));
            }
        }
    }
}

impl Line {
    /// Packs the step that is over; the bytes that it takes.
    fn close(&mut self) -> usize {
        let point = std::mem::take(&mut self.current);
        if point.is_empty() {
            return 0;
        }
        let step = self.step;
        let mut grown = 0;
        if self.chunks.back().is_none_or(|chunk| chunk.first / CHUNK != step / CHUNK) {
            grown += CHUNK_BYTES;
            self.chunks.push_back(Chunk { first: step, last: step, bytes: Vec::new(), net: 0 });
        }
        let chunk = self.chunks.back_mut().expect("there is one now");
        let before = chunk.bytes.capacity();
        write(&mut chunk.bytes, u64::from(step - chunk.last));
        point.encode(&mut chunk.bytes);
        chunk.last = step;
        chunk.net = chunk.net.saturating_add(net(&point));
        grown + chunk.bytes.capacity() - before
    }

    fn forget(&mut self, oldest: u32) -> usize {
        let mut freed = 0;
        while let Some(chunk) = self.chunks.pop_front_if(|chunk| chunk.last < oldest) {
            freed += CHUNK_BYTES + chunk.bytes.capacity();
        }
        freed
    }

    fn each(&self, first: u32, last: u32, mut take: impl FnMut(u32, &Point)) {
        let meets = |chunk: &&Chunk| chunk.last >= first && chunk.first <= last;
        for chunk in self.chunks.iter().filter(meets) {
            chunk.each(first, last, &mut take);
        }
        if (first..=last).contains(&self.step) && !self.current.is_empty() {
            take(self.step, &self.current);
        }
    }

    /// Connections that were open at the end of a step: those of now, without what came later.
    fn open_at(&self, step: u32) -> i64 {
        let mut later = if self.step > step { net(&self.current) } else { 0 };
        for chunk in self.chunks.iter().rev().take_while(|chunk| chunk.last > step) {
            if chunk.first > step {
                later = later.saturating_add(chunk.net);
            } else {
                let mut add = |_, point: &Point| later = later.saturating_add(net(point));
                chunk.each(step + 1, chunk.last, &mut add);
            }
        }
        self.open.saturating_sub(later)
    }
}

impl Chunk {
    fn each(&self, first: u32, last: u32, take: &mut impl FnMut(u32, &Point)) {
        let (mut bytes, mut step) = (self.bytes.as_slice(), self.first);
        while let Some(gap) = read(&mut bytes) {
            step += gap as u32;
            if step > last {
                break;
            }
            if step < first {
                skip(&mut bytes);
                continue;
            }
            let Some(point) = Point::decode(&mut bytes) else { break };
            take(step, &point);
        }
    }
}

/// Connections opened less those closed.
fn net(point: &Point) -> i64 {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    signed(point.opened) - signed(point.closed)
}

/// The step of a time in seconds since 1970.
pub fn step_of(seconds: u64) -> u32 {
    (seconds / STEP) as u32
}

#[cfg(test)]
mod tests;
