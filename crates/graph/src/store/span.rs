//! What a stream's reports are of. In: the seconds that the first of them is over. Out: the steps that each of them is
//! spread over, and since when everything is told.

use super::{STEP, Store};

/// Seconds that a report may be over.
const LONGEST: u64 = 30;

/// What is known by a stream of reports.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first step since which it tells everything.
    pub(super) since: u32,
    /// Steps that its present report is over.
    pub(super) steps: u32,
}

impl Span {
    /// That of the stream's later reports, of which each is over one step.
    pub fn later(self) -> Self {
        Self { steps: 1, ..self }
    }
}

impl Store {
    /// A stream of reports begins with one over so many seconds, some of which may be from before this store was made:
    /// proxies keep what they count for that long while nobody takes it. `is_first` if there was nothing before.
    pub fn begin(&mut self, seconds: u64, is_first: bool) -> Span {
        let steps = ((seconds.min(LONGEST) + STEP / 2) / STEP) as u32;
        let first = self.now + 1 - steps;
        if !self.is_short {
            self.oldest = self.oldest.min(first);
        }
        // What is before one that begins late another stream has told.
        let is_late = self.now >= self.begun + (LONGEST / STEP) as u32;
        let since = if is_first || is_late { first.min(self.begun) } else { first };
        Span { since, steps: steps.max(1) }
    }

    /// The step that it was made in.
    pub fn begun(&self) -> u32 {
        self.begun
    }

    /// What is told step by step since the store is there.
    pub(super) fn always(&self) -> Span {
        Span { since: self.begun, steps: 1 }
    }
}
