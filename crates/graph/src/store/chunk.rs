//! One key's points of five minutes in few bytes. In: points in the order of their steps. Out: those of a range, or what
//! they sum up to.

use crate::point::{Point, read, skip, write};

/// Steps of a chunk.
pub const CHUNK: u32 = 60;
/// Steps of a minute, at each of which reading may begin.
const MINUTE: u32 = 12;
const MARKS: usize = (CHUNK / MINUTE) as usize - 1;
/// What is not there yet is behind everything.
const NOT_YET: u32 = u32::MAX;

#[derive(Debug)]
pub struct Chunk {
    first: u32,
    last: u32,
    /// Points, each after its step's place in the chunk.
    bytes: Vec<u8>,
    /// Where the points of all minutes but the first begin.
    marks: [u32; MARKS],
}

impl Chunk {
    /// One that begins with this step.
    pub fn new(step: u32) -> Self {
        Self { first: step, last: step, bytes: Vec::new(), marks: [NOT_YET; MARKS] }
    }

    pub fn takes(&self, step: u32) -> bool {
        self.first / CHUNK == step / CHUNK
    }

    pub fn last(&self) -> u32 {
        self.last
    }

    /// About what it costs.
    pub fn cost(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }

    /// Appends the point of a step after the last one.
    pub fn push(&mut self, step: u32, point: &Point) {
        let place = step % CHUNK;
        let here = self.bytes.len() as u32;
        for mark in self.marks.iter_mut().take((place / MINUTE) as usize) {
            *mark = here.min(*mark);
        }
        write(&mut self.bytes, u64::from(place));
        point.encode(&mut self.bytes);
        self.last = step;
    }

    /// No more points come.
    pub fn finish(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// The points from one step to another, each with its step.
    pub fn each(&self, first: u32, last: u32, mut take: impl FnMut(u32, &Point)) {
        self.walk(first, last, |step, bytes| {
            let point = Point::decode(bytes)?;
            take(step, &point);
            Some(())
        });
    }

    /// Whether all of it is between these steps.
    pub fn is_within(&self, first: u32, last: u32) -> bool {
        first <= self.first && self.last <= last
    }

    /// Adds the points between these steps to a sum.
    pub fn add_to(&self, sum: &mut Point, first: u32, last: u32) {
        self.walk(first, last, |_, bytes| sum.add_encoded(bytes));
    }

    fn walk(&self, first: u32, last: u32, mut take: impl FnMut(u32, &mut &[u8]) -> Option<()>) {
        if last < self.first || self.last < first {
            return;
        }
        let start = self.first - self.first % CHUNK;
        let mut bytes = self.points(first.saturating_sub(start) / MINUTE);
        while let Some(place) = read(&mut bytes) {
            let step = start + place as u32;
            if step > last {
                break;
            }
            let read = if step < first { skip(&mut bytes) } else { take(step, &mut bytes) };
            if read.is_none() {
                break;
            }
        }
    }

    /// The points from this minute on.
    fn points(&self, minute: u32) -> &[u8] {
        let begin = match minute {
            0 => 0,
            minute => self.marks[minute as usize - 1] as usize,
        };
        self.bytes.get(begin..).unwrap_or_default()
    }
}
