//! That this process stood still, as one that was stopped or had no processor for long. In: since when. Out: for a moment
//! after it, what has not been told again of the time since then is not known, whatever the steps look like.

use std::ops::Range;

use super::line::Line;
use super::{STEP, Store};

/// Steps after it in which all proxies have told what waited, or are connected again.
const PATIENCE: u32 = 3;

#[derive(Clone, Copy, Debug)]
pub(super) struct Standstill {
    /// The step in which it began, and the one that it ended in.
    began: u32,
    ended: u32,
}

impl Store {
    /// It stood still from this step on until now.
    pub fn stood_still(&mut self, began: u32) {
        let before = self.lately().map_or(began, |before| before.began);
        self.standstill = Some(Standstill { began: began.min(before), ended: self.now });
    }

    /// The seconds for which it stood still a moment ago, before a step.
    pub fn standstill(&self, before: u32) -> Option<u64> {
        let Standstill { began, ended } = self.lately().filter(|one| one.began < before)?;
        Some(u64::from(ended.saturating_sub(began)) * STEP)
    }

    /// The steps of a line that are awaited.
    pub(super) fn awaited_of(&self, line: &Line) -> Range<u32> {
        match self.lately() {
            Some(Standstill { began, ended }) if line.step < ended => {
                // Of the step of which it told a part the rest is awaited, too.
                began.max(line.step + u32::from(!line.is_partial))..self.now + 1
            }
            _ => 0..0,
        }
    }

    fn lately(&self) -> Option<Standstill> {
        self.standstill.filter(|one| (one.ended..one.ended + PATIENCE).contains(&self.now))
    }
}

#[cfg(test)]
mod tests {
    use super::{PATIENCE, Store};
    use crate::key::tests::tcp;
    use crate::key::{Party, Service};
    use crate::point::Point;
    use crate::store::step_of;

    const START: u64 = 1_800_000_000;

    #[test]
    fn what_is_not_told_again_yet_is_not_known_for_a_moment() {
        let mut store = Store::new(1 << 20, START);
        let point = Point { opened: 10, closed: 10, ..Point::default() };
        let key = |client: &str| {
            let source = Party { workload: client.into(), ..Party::default() };
            tcp(source, Service::default(), Party::default())
        };
        for step in 0..10 {
            for client in ["told", "awaited"] {
                store.add(START + 5 * step, key(client), &point);
            }
        }
        store.advance(START + 75);
        assert_eq!(store.standstill(u32::MAX), None);
        store.stood_still(step_of(START + 50));
        store.add(START + 75, key("told"), &point);
        // What was told in it says nothing of what came later.
        let span = store.always().made(3);
        store.tell(key("awaited"), &point, span);
        let rates = |store: &Store, at: u64| {
            let sums = store.sums(step_of(at) - 11, step_of(at));
            let mut all: Vec<_> = sums
                .map(|(key, sum)| (key.source.workload.to_string(), sum.points.opened, sum.steps))
                .collect();
            all.sort_unstable();
            all
        };
        let of = |client: &str, opened, steps| (client.to_owned(), opened, steps);
        assert_eq!(store.standstill(u32::MAX), Some(25));
        assert_eq!(rates(&store, START + 75), [of("awaited", 80, 10), of("told", 70, 12)]);
        // Nor does one of a part of a step say anything of the rest of that.
        let span = store.always().lasting(1000).made(1);
        store.tell(key("awaited"), &point, span);
        assert_eq!(rates(&store, START + 75)[0], of("awaited", 80, 11));
        let after = START + 75 + u64::from(PATIENCE) * 5;
        store.advance(after);
        assert_eq!(store.standstill(u32::MAX), None);
        assert_eq!(rates(&store, after)[0], of("awaited", 60, 12), "it was quiet");
    }
}
