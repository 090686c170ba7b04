//! What nobody was told. In: the numbers of proxies' reports, as they come. Out: the steps of which reports are missing,
//! by what their proxies tell of, and of how many proxies.

use std::ops::Range;
use std::sync::Arc;

use super::span::{LONGEST, PROXIES, Span};
use super::{STEP_MS, Store};
use crate::key::Key;

/// Times of which nothing is known that are told apart.
const MOST: usize = 16;
/// A report that is so much older than the newest is one of another life of its proxy, and not one that comes late.
const LATE: u64 = 8;

/// Steps of which not everything is known, in their order and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps(Vec<Range<u32>>);

/// The place of a report among those of its proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// So many were made before it.
    pub number: u64,
    /// Nobody has been told any of them.
    pub is_first: bool,
    /// Milliseconds since its proxy began to count.
    pub age: u64,
}

/// The newest report of a proxy.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    number: u64,
    step: u32,
    gaps: Gaps,
}

impl Gaps {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn add(&mut self, mut gap: Range<u32>) {
        if gap.is_empty() {
            return;
        }
        self.0.retain(|own| {
            let touches = own.start <= gap.end && gap.start <= own.end;
            if touches {
                gap = own.start.min(gap.start)..own.end.max(gap.end);
            }
            !touches
        });
        let at = self.0.partition_point(|own| own.start < gap.start);
        self.0.insert(at, gap);
        if self.0.len() > MOST {
            self.0.remove(0);
        }
    }

    pub fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|gap| self.add(gap.clone()));
    }

    /// The parts of these steps that are in gaps.
    pub fn of(&self, steps: Range<u32>) -> impl Iterator<Item = Range<u32>> {
        let parts =
            self.0.iter().map(move |gap| gap.start.max(steps.start)..gap.end.min(steps.end));
        parts.filter(|part| !part.is_empty())
    }

    /// The parts of these steps that are in none.
    pub fn between(&self, steps: Range<u32>) -> impl Iterator<Item = Range<u32>> {
        let starts = std::iter::once(steps.start).chain(self.of(steps.clone()).map(|gap| gap.end));
        let ends = self.of(steps.clone()).map(|gap| gap.start).chain([steps.end]);
        starts.zip(ends).map(|(start, end)| start..end).filter(|part| !part.is_empty())
    }

    /// What is over before a step.
    pub fn forget(&mut self, oldest: u32) {
        self.0.retain(|gap| gap.end > oldest);
    }

    pub fn cost(&self) -> usize {
        self.0.capacity() * size_of::<Range<u32>>()
    }
}

impl Heard {
    /// About what one costs, with its place.
    pub const BYTES: usize = 64;
}

impl Store {
    /// A proxy's report is there, or the first part of one: where others before it are not, nobody knows what they would
    /// have told. What was before the first report that is heard of another one that tells of it may know.
    pub fn hears(&mut self, proxy: u64, place: Place, span: Span) {
        let made = self.now.saturating_sub(span.ago);
        let Place { number, is_first, age } = place;
        let before = self.heard.get(&proxy);
        let known = before.filter(|known| !is_first && number + LATE > known.number);
        let gaps = before.map(|known| known.gaps.clone()).unwrap_or_default();
        let mut heard = Heard { number, step: made, gaps };
        // It tells of these steps itself.
        let own = span.over.min(LONGEST).div_ceil(STEP_MS) as u32;
        let end = (made + 1).saturating_sub(own);
        match known {
            Some(known) if number <= known.number => return,
            Some(known) if number > known.number + 1 => heard.gaps.add(known.step + 1..end),
            None if is_first && number > 0 => {
                let since = made.saturating_sub((age / STEP_MS) as u32).max(self.begun);
                heard.gaps.add(since..end);
            }
            _ => {}
        }
        if self.heard.len() < PROXIES || self.heard.contains_key(&proxy) {
            self.heard.insert(proxy, heard);
        }
    }

    /// The steps of which a proxy's reports are missing.
    pub fn gaps(&self, proxy: u64) -> Gaps {
        self.heard.get(&proxy).map(|heard| heard.gaps.clone()).unwrap_or_default()
    }

    /// One that tells of a key has not told everything.
    pub fn lacks(&mut self, key: &Arc<Key>, gaps: &Gaps) {
        if let Some(line) = self.lines.get_mut(key) {
            let before = line.cost();
            line.gaps.add_all(gaps);
            self.bytes = (self.bytes + line.cost()).saturating_sub(before);
        }
    }

    /// Proxies of which reports of these steps are missing.
    pub fn lacking(&self, first: u32, last: u32) -> usize {
        let steps = first..last.saturating_add(1);
        self.heard.values().filter(|heard| heard.gaps.of(steps.clone()).next().is_some()).count()
    }

    /// Forgets what is too long ago.
    pub(super) fn forget_heard(&mut self) {
        let oldest = self.oldest;
        self.heard.retain(|_, heard| heard.step >= oldest);
        self.heard.values_mut().for_each(|heard| heard.gaps.forget(oldest));
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::{Gaps, Place, Span, Store};

    fn gaps(of: &[(u32, u32)]) -> Gaps {
        let mut gaps = Gaps::default();
        of.iter().for_each(|(start, end)| gaps.add(*start..*end));
        gaps
    }

    fn ends(ranges: impl IntoIterator<Item = Range<u32>>) -> Vec<(u32, u32)> {
        ranges.into_iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn what_touches_is_one_gap_and_the_oldest_of_too_many_is_forgotten() {
        assert_eq!(ends(gaps(&[(5, 7), (1, 2), (7, 9), (3, 3)]).0), [(1, 2), (5, 9)]);
        assert_eq!(ends(gaps(&[(1, 2), (5, 7), (9, 12), (2, 9)]).0), [(1, 12)]);
        let many: Vec<_> = (0..20).map(|at| (at * 4, at * 4 + 2)).collect();
        assert_eq!(ends(gaps(&many).0), many[4..]);
        let mut some = gaps(&[(1, 3), (5, 7)]);
        some.forget(3);
        assert_eq!(ends(some.0), [(5, 7)]);
    }

    #[test]
    fn a_range_is_what_is_in_gaps_and_what_is_between_them() {
        let some = gaps(&[(2, 4), (6, 9)]);
        assert_eq!(ends(some.of(3..8)), [(3, 4), (6, 8)]);
        assert_eq!(ends(some.between(3..8)), [(4, 6)]);
        assert_eq!(ends(some.between(0..20)), [(0, 2), (4, 6), (9, 20)]);
        assert_eq!(some.between(6..9).count(), 0);
        assert_eq!(ends(Gaps::default().between(6..9)), [(6, 9)]);
    }

    const BEGUN: u32 = 1000;
    const ONE: u64 = 7;
    const STEP: Span = Span { since: 0, over: 5000, ago: 0 };

    fn place(number: u64) -> Place {
        Place { number, is_first: false, age: 0 }
    }

    /// What a proxy has not told, from the store's first step.
    fn missing(store: &Store, proxy: u64) -> Vec<(u32, u32)> {
        let gaps = ends(store.gaps(proxy).0);
        gaps.into_iter().map(|(start, end)| (start - BEGUN, end - BEGUN)).collect()
    }

    /// A store after reports: steps after the first one, their numbers, and the milliseconds that they are over.
    fn after(reports: &[(u32, u64, u64)]) -> Store {
        let mut store = Store::new(1 << 20, u64::from(BEGUN) * 5);
        for &(step, number, over) in reports {
            store.advance(u64::from(BEGUN + step) * 5);
            store.hears(ONE, place(number), Span { over, ..STEP });
        }
        store
    }

    #[test]
    fn steps_between_the_reports_that_are_there_are_missing() {
        let missing = |reports: &[(u32, u64, u64)]| missing(&after(reports), ONE);
        let step = STEP.over;
        assert!(missing(&[(0, 3, step), (1, 4, step), (9, 5, step)]).is_empty(), "it was quiet");
        assert_eq!(missing(&[(0, 3, step), (1, 4, step), (9, 8, step)]), [(2, 9)]);
        assert_eq!(missing(&[(0, 3, step), (1, 4, step), (9, 8, 4 * step)]), [(2, 6)]);
        assert_eq!(missing(&[(0, 3, step), (9, 5, 0)]), [(1, 10)], "of the last step neither");
        assert_eq!(missing(&[(0, 3, step), (2, 5, step), (20, 8, step)]), [(1, 2), (3, 20)]);
        let store = after(&[(0, 3, step), (9, 5, step)]);
        let lacking = |first, last| store.lacking(BEGUN + first, BEGUN + last);
        assert_eq!((lacking(0, 0), lacking(0, 1), lacking(8, 30), lacking(9, 30)), (0, 1, 1, 0));
    }

    #[test]
    fn a_proxy_that_begins_anew_is_missed_since_then_alone() {
        let mut store = after(&[(0, 300, STEP.over)]);
        store.advance(u64::from(BEGUN + 50) * 5);
        store.hears(ONE, Place { number: 2, is_first: true, age: 40_000 }, STEP);
        assert_eq!(missing(&store, ONE), [(42, 50)]);
        // One that comes late, and one that was told elsewhere before.
        store.hears(ONE, place(1), STEP);
        store.hears(ONE, place(3), STEP);
        store.hears(ONE + 1, place(30), STEP);
        assert_eq!(missing(&store, ONE), [(42, 50)]);
        assert!(missing(&store, ONE + 1).is_empty());
        store.advance(u64::from(BEGUN + 900) * 5);
        assert!(missing(&store, ONE).is_empty());
        assert_eq!(store.lacking(0, u32::MAX), 0);
    }
}
