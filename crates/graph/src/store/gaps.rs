//! What nobody was told. In: the numbers of proxies' reports, as they come. Out: the steps of which reports are missing,
//! by what their proxies tell of, and of how many proxies.

use std::ops::Range;
use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::line::Line;
use super::span::{LONGEST, PROXIES, Span};
use super::{STEP_MS, Store};
use crate::key::Key;

/// Times of which nothing is known that are told apart.
const MOST: usize = 16;
/// Proxies that have not told everything of one key.
const TELLERS: usize = 64;
/// By so many steps two reports of one life of their proxy may disagree on when that began.
const APART: u32 = 3;

/// Steps of which not everything is known, in their order and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps(Vec<Range<u32>>);

/// The place of a report among those of its proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// So many were made before it, or given up.
    pub number: u64,
    /// Nobody has been told any of them.
    pub is_first: bool,
    /// Milliseconds since its proxy began to report.
    pub age: u64,
}

/// The newest report of a proxy, and what is missing before it.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// The number of the report after it.
    next: u64,
    /// The steps that it was made in, and the one before those that it is of; the one in which its proxy began to report.
    step: u32,
    before: u32,
    born: u32,
    /// It is of a part of its step, of which later ones tell the rest.
    is_short: bool,
    gaps: Gaps,
    last: Missing,
}

/// The last reports that are missing, of which some may come late.
#[derive(Clone, Debug, Default)]
struct Missing {
    numbers: Range<u64>,
    came: u64,
    steps: Range<u32>,
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
        if self.0.len() == MOST {
            if gap.start < self.0[0].start {
                return;
            }
            self.0.remove(0);
        }
        let at = self.0.partition_point(|own| own.start < gap.start);
        self.0.insert(at, gap);
    }

    pub fn add_all(&mut self, other: &Self) {
        other.0.iter().for_each(|gap| self.add(gap.clone()));
    }

    /// These are known after all.
    fn remove(&mut self, steps: Range<u32>) {
        if self.of(steps.clone()).next().is_some() {
            let before = std::mem::take(self);
            for rest in [0..steps.start, steps.end..u32::MAX] {
                before.of(rest).for_each(|gap| self.add(gap));
            }
        }
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
}

impl Heard {
    /// About what one costs, with its place and with as many gaps as there may be.
    pub const BYTES: usize = 128 + MOST * size_of::<Range<u32>>();

    fn lacks(&self, steps: Range<u32>) -> bool {
        self.gaps.of(steps).next().is_some()
    }

    /// A report is there after later ones: its steps are known, and with the last one all that was missing.
    fn late(&mut self, number: u64, steps: Range<u32>) {
        self.gaps.remove(steps);
        if self.last.numbers.contains(&number) {
            self.last.came += 1;
            if self.last.came == self.last.numbers.end - self.last.numbers.start {
                self.gaps.remove(std::mem::take(&mut self.last).steps);
            }
        }
    }
}

impl Store {
    /// A proxy's report is there, or the first part of one: where others before it are not, nobody knows what they would
    /// have told. Whether that is so.
    pub fn hears(&mut self, proxy: u64, place: Place, span: Span) -> bool {
        let Place { number, is_first, age } = place;
        let step = self.now.saturating_sub(span.ago).max(self.oldest);
        let born = step.saturating_sub(u32::try_from(age / STEP_MS).unwrap_or(u32::MAX));
        // The steps that it is of as a whole.
        let whole = (span.over.min(LONGEST) / STEP_MS) as u32;
        let end = (step + 1).saturating_sub(whole).max(1);
        let has_room = self.heard.len() < PROXIES;
        let known = self.heard.get_mut(&proxy);
        let is_same = |known: &Heard| !is_first && born <= known.born.saturating_add(APART);
        let gap = match &known {
            Some(known) if is_same(known) && number > known.next => {
                // Of the step of which it told a part the rest is missing.
                known.step + u32::from(!known.is_short)..end
            }
            Some(known) if is_same(known) => 0..0,
            // What it gave up is missing since it began, or since somebody else may have told of it.
            _ if is_first && number > 0 => born.max(self.begun)..end,
            None if number > 0 && span.over == 0 => self.begun..end,
            _ => 0..0,
        };
        let lacks = !gap.is_empty();
        let (next, is_short) = (number.saturating_add(1), span.is_short());
        match known {
            Some(known) if is_same(known) && number < known.next => {
                known.late(number, end..step + 1)
            }
            Some(known) => {
                if lacks {
                    let numbers = if is_same(known) { known.next..number } else { 0..0 };
                    known.last = Missing { numbers, came: 0, steps: gap.clone() };
                    known.gaps.add(gap);
                }
                (known.next, known.step, known.before, known.born) = (next, step, end - 1, born);
                known.is_short = is_short;
            }
            None if has_room => {
                let mut gaps = Gaps::default();
                gaps.add(gap);
                let (before, last) = (end - 1, Missing::default());
                let heard = Heard { next, step, before, born, is_short, gaps, last };
                self.heard.insert(proxy, heard);
            }
            None => {}
        }
        lacks
    }

    /// The rest of a proxy's report does not come.
    pub fn unheard(&mut self, proxy: u64, number: u64) {
        let next = number.saturating_add(1);
        if let Some(heard) = self.heard.get_mut(&proxy).filter(|heard| heard.next == next) {
            (heard.next, heard.step) = (number, heard.before);
        }
    }

    /// Whether reports of a proxy are missing.
    pub fn has_gaps(&self, proxy: u64) -> bool {
        self.heard.get(&proxy).is_some_and(|heard| !heard.gaps.is_empty())
    }

    /// A proxy of which reports are missing tells of a key.
    pub fn lacks(&mut self, key: &Arc<Key>, proxy: u64) {
        if let Some(line) = self.lines.get_mut(key)
            && line.lacking.len() < TELLERS
            && !line.lacking.contains(&proxy)
        {
            let before = line.cost();
            line.lacking.push(proxy);
            self.bytes = (self.bytes + line.cost()).saturating_sub(before);
        }
    }

    /// The steps of which some that tell of a line have not told everything.
    pub(super) fn gaps(&self, line: &Line) -> Gaps {
        let mut gaps = Gaps::default();
        let tellers = line.lacking.iter().filter_map(|proxy| self.heard.get(proxy));
        tellers.for_each(|heard| gaps.add_all(&heard.gaps));
        gaps
    }

    /// Proxies of which reports of these steps are missing.
    pub fn lacking(&self, steps: Range<u32>) -> usize {
        self.heard.values().filter(|heard| heard.lacks(steps.clone())).count()
    }

    /// The same of those that tell of keys that are shown.
    pub fn lacking_of(&self, steps: Range<u32>, is_shown: impl Fn(&Key) -> bool) -> usize {
        let lines = self.lines.iter().filter(|(_, line)| !line.lacking.is_empty());
        let proxies = lines.filter(|(key, _)| is_shown(key)).flat_map(|(_, line)| &line.lacking);
        let proxies: FxHashSet<_> = proxies.collect();
        let heard = proxies.into_iter().filter_map(|proxy| self.heard.get(proxy));
        heard.filter(|heard| heard.lacks(steps.clone())).count()
    }

    /// Forgets what is too long ago.
    pub(super) fn forget_heard(&mut self) {
        let oldest = self.oldest;
        // Of one that is quiet for long something may be missing later.
        if self.heard.len() > PROXIES / 2 {
            self.heard.retain(|_, heard| heard.step >= oldest);
        }
        self.heard.values_mut().for_each(|heard| heard.gaps.remove(0..oldest));
        for line in self.lines.values_mut().filter(|line| !line.lacking.is_empty()) {
            let heard = &self.heard;
            let is_lacking = |proxy: &u64| heard.get(proxy).is_some_and(|one| !one.gaps.is_empty());
            line.lacking.retain(is_lacking);
        }
    }

    /// Nothing was told of what is after a step.
    pub(super) fn unhear(&mut self, last: u32) {
        for heard in self.heard.values_mut() {
            heard.before = heard.before.min(last);
            (heard.step, heard.born) = (heard.step.min(last), heard.born.min(last));
            heard.gaps.remove(last + 1..u32::MAX);
        }
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
        let mut some = gaps(&[(1, 3), (5, 9)]);
        some.remove(0..4);
        some.remove(6..7);
        assert_eq!(ends(some.0), [(5, 6), (7, 9)]);
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

    /// What a proxy has not told, from the store's first step.
    fn missing(store: &Store, proxy: u64) -> Vec<(u32, u32)> {
        let gaps = store.heard.get(&proxy).map(|heard| heard.gaps.0.clone());
        let gaps = ends(gaps.unwrap_or_default());
        gaps.into_iter().map(|(start, end)| (start - BEGUN, end - BEGUN)).collect()
    }

    /// A report that was made in a step after the store's first one, by a proxy that is older.
    fn hear(store: &mut Store, step: u32, number: u64, over: u64) {
        store.advance(u64::from(BEGUN + step) * 5);
        let ago = store.range().1 - BEGUN - step;
        let place = Place { number, is_first: false, age: u64::from(BEGUN / 2 + step) * 5000 };
        store.hears(ONE, place, Span { over, ago, ..STEP });
    }

    fn after(reports: &[(u32, u64, u64)]) -> Store {
        let mut store = Store::new(1 << 20, u64::from(BEGUN) * 5);
        for &(step, number, over) in reports {
            hear(&mut store, step, number, over);
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
        assert_eq!(missing(&[(0, 3, step), (3, 5, 12_000)]), [(1, 2)], "it knows a part of one");
        assert_eq!(missing(&[(0, 3, step), (9, 5, 0)]), [(1, 10)], "of the last step neither");
        assert_eq!(missing(&[(0, 3, step), (2, 5, step), (20, 8, step)]), [(1, 2), (3, 20)]);
        assert_eq!(missing(&[(0, 3, 1000), (1, 8, 1000)]), [(0, 2)], "one is of a part of a step");
        assert_eq!(missing(&[(0, 3, 1000), (4, 8, 0)]), [(0, 5)], "also where it gave up the rest");
        let store = after(&[(0, 3, step), (9, 5, step)]);
        let lacking = |first, last| store.lacking(BEGUN + first..BEGUN + last + 1);
        assert_eq!((lacking(0, 0), lacking(0, 1), lacking(8, 30), lacking(9, 30)), (0, 1, 1, 0));
    }

    #[test]
    fn what_comes_late_is_missing_no_more() {
        let step = STEP.over;
        let mut store = after(&[(0, 100, step), (30, 130, step)]);
        assert_eq!(missing(&store, ONE), [(1, 30)]);
        for late in (1..30).filter(|late| *late != 7) {
            hear(&mut store, late, 100 + u64::from(late), step);
        }
        assert_eq!(missing(&store, ONE), [(7, 8)]);
        hear(&mut store, 31, 131, step);
        assert_eq!(missing(&store, ONE), [(7, 8)]);
        // All numbers that there are have come: it was quiet in between.
        let mut store = after(&[(0, 100, step), (30, 102, step)]);
        assert_eq!(missing(&store, ONE), [(1, 30)]);
        hear(&mut store, 10, 101, step);
        assert!(missing(&store, ONE).is_empty());
    }

    #[test]
    fn a_report_of_which_a_part_came_is_missing() {
        let mut store = after(&[(0, 3, STEP.over), (1, 4, STEP.over)]);
        store.unheard(ONE, 3);
        assert_eq!(store.heard[&ONE].next, 5, "another one has come since");
        hear(&mut store, 2, 5, STEP.over);
        assert!(!store.has_gaps(ONE));
        store.unheard(ONE, 5);
        hear(&mut store, 4, 6, STEP.over);
        assert_eq!(missing(&store, ONE), [(2, 4)]);
        // Its proxy's first one, which is over several steps.
        let mut store = after(&[(10, 0, 5 * STEP.over)]);
        store.unheard(ONE, 0);
        hear(&mut store, 11, 1, STEP.over);
        assert_eq!(missing(&store, ONE), [(6, 11)]);
    }

    #[test]
    fn a_proxy_that_begins_anew_is_missed_since_then_alone() {
        let mut store = after(&[(0, 300, STEP.over)]);
        store.advance(u64::from(BEGUN + 50) * 5);
        let place = |number, is_first, age| Place { number, is_first, age };
        assert!(store.hears(ONE, place(2, true, 40_000), STEP));
        assert_eq!(missing(&store, ONE), [(42, 50)]);
        assert!(!store.hears(ONE, place(3, false, 40_000), STEP));
        // Yet another one, whose first report did not come.
        assert!(!store.hears(ONE, place(9, false, 0), STEP));
        // One that was told elsewhere before, and one that gave up what it would have told.
        assert!(!store.hears(ONE + 1, place(30, false, 400_000), STEP));
        assert!(store.hears(ONE + 2, place(30, false, 400_000), Span { over: 0, ..STEP }));
        assert_eq!(missing(&store, ONE), [(42, 50)]);
        assert_eq!((missing(&store, ONE + 1), missing(&store, ONE + 2)), (vec![], vec![(0, 51)]));
        store.advance(u64::from(BEGUN + 900) * 5);
        assert_eq!(store.lacking(0..u32::MAX), 0);
    }

    #[test]
    fn no_number_harms() {
        let mut store = after(&[(0, u64::MAX, u64::MAX), (1, u64::MAX, 0), (2, 0, u64::MAX)]);
        let huge = Place { number: u64::MAX, is_first: true, age: u64::MAX };
        for ago in [0, u32::MAX] {
            store.hears(ONE, huge, Span { since: 0, over: u64::MAX, ago });
            store.unheard(ONE, u64::MAX);
            store.unheard(ONE, 0);
        }
        // The clock was ahead.
        store.advance(u64::from(BEGUN + 200) * 5);
        store.advance(u64::from(BEGUN + 20) * 5);
        assert!(missing(&store, ONE).iter().all(|(_, end)| *end <= 21));
        let place = |number| Place { number, is_first: false, age: 5000 };
        for number in [1, 2, u64::MAX] {
            store.hears(ONE + 1, place(number), STEP);
            store.advance(u64::from(BEGUN + 22) * 5);
        }
        assert!(missing(&store, ONE + 1).is_empty(), "they are of one step");
    }
}
