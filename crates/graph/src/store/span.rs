//! What a stream's reports are of. In: the time that the first of them is over. Out: the time that each of them is spread
//! over, and since when everything is told.

use rustc_hash::FxHashMap;

use super::{STEP_MS, Store};

/// Milliseconds that a report may tell of: what it says of a time before is left out.
pub(super) const LONGEST: u64 = 30_000;
/// By so many milliseconds reports miss their steps. Nobody reads that off a rate.
const SLACK: u64 = 250;
/// Proxies that are told apart.
pub(super) const PROXIES: usize = 20_000;
/// What no report is over: a peer may say any number.
const NEVER: u64 = 1 << 30;

/// What is known by a stream of reports.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The first step since which it tells everything.
    pub(super) since: u32,
    /// Milliseconds that its present report is over.
    pub(super) over: u64,
    /// Steps ago that it was made.
    pub(super) ago: u32,
}

/// What a proxy has told, on whichever stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// The first step since which nothing is missing, and the one in which the stream ended, if it did.
    since: u32,
    until: u32,
}

impl Span {
    /// That of the stream's later reports, of which each is over one step.
    pub fn later(self) -> Self {
        Self { over: STEP_MS, ago: 0, ..self }
    }

    /// That of a report which was made so many steps ago.
    pub fn made(self, ago: u32) -> Self {
        Self { ago, ..self }
    }

    /// Whether it is over less than a step, of which others tell the rest.
    pub(super) fn is_short(self) -> bool {
        (1..STEP_MS).contains(&self.over)
    }

    /// That of a later report that is over so many milliseconds.
    pub fn lasting(self, over: u64) -> Self {
        Self { over: settled(over), ..self }
    }
}

impl Store {
    /// A stream of reports begins with one over so many milliseconds, some of which may be from before this store was
    /// made: proxies keep what they count for that long while nobody takes it. `is_first` if there was nothing before.
    pub fn begin(&mut self, over: u64, is_first: bool) -> Span {
        let over = settled(over);
        // What is before one that begins late another stream has told.
        let is_told = is_first || !self.is_young();
        let told = over.min(LONGEST);
        // Of the step that it began in only a part is known, else.
        let steps = if is_told { told.div_ceil(STEP_MS) } else { told / STEP_MS };
        let first = self.now + 1 - steps as u32;
        if !self.is_short {
            self.oldest = self.oldest.min(first);
        }
        Span { since: if is_told { first.min(self.begun) } else { first }, over, ago: 0 }
    }

    /// A report of a proxy, which may have told of the time before it on another stream, as it does when it changes to
    /// another replica: what it told there is known.
    pub fn goes_on(&mut self, proxy: Option<u64>, mut span: Span) -> Span {
        // The clock was ahead when the stream began.
        if span.since > self.now + 1 {
            span.since = self.begun;
        }
        if !self.is_young() {
            self.told = FxHashMap::default();
            return span;
        }
        let Some(proxy) = proxy else { return span };
        let first = self.now + 1 - span.over.min(LONGEST).div_ceil(STEP_MS) as u32;
        let known = self.told.get(&proxy);
        let is_gapless = known.is_none_or(|told| told.until >= first.saturating_sub(1));
        if let Some(told) = known.filter(|_| is_gapless) {
            span.since = span.since.min(told.since);
        }
        // One that is over no time leaves open how the stream goes on.
        let is_kept = known.is_some() || self.told.len() < PROXIES;
        if is_kept && (is_gapless || span.over > 0) {
            self.told.insert(proxy, Told { since: span.since, until: u32::MAX });
        }
        span
    }

    /// A proxy's stream is over.
    pub fn ends(&mut self, proxy: Option<u64>) {
        if let Some(told) = proxy.and_then(|proxy| self.told.get_mut(&proxy)) {
            told.until = self.now;
        }
    }

    /// Whether a report may be of more time than the store has been there for.
    pub fn is_young(&self) -> bool {
        self.now < self.begun + (LONGEST / STEP_MS) as u32
    }

    /// The step that it was made in.
    pub fn begun(&self) -> u32 {
        self.begun
    }

    /// What is told step by step since the store is there.
    pub(super) fn always(&self) -> Span {
        Span { since: self.begun, over: STEP_MS, ago: 0 }
    }
}

/// A report's time in whole steps, if it is nearly of so many.
fn settled(over: u64) -> u64 {
    let over = over.min(NEVER);
    let whole = (over + SLACK) / STEP_MS * STEP_MS;
    if over.abs_diff(whole) <= SLACK { whole } else { over }
}
