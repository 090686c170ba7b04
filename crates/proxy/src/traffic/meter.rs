//! The bytes of one connection that are not counted yet. In: how far its relay has come. Out: tallies, at every
//! tick of those that moved, and at the end. A connection that moves nothing costs nothing, and one that is over is
//! not remembered.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use super::{Key, Tally, lock};

const NOWHERE: usize = usize::MAX;

/// Belongs to a connection; its clones are the same meter.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Live>);

#[derive(Debug)]
struct Live {
    key: Key,
    received: AtomicU64,
    sent: AtomicU64,
    /// Where it is among those that moved; changed by who holds those.
    place: AtomicUsize,
    moved: Arc<Moved>,
}

/// The connections of one worker that moved bytes since the last tick.
#[derive(Debug, Default)]
pub struct Moved(Mutex<Vec<Arc<Live>>>);

impl Meter {
    pub fn new(key: Key, moved: Arc<Moved>) -> Self {
        let (received, sent) = Default::default();
        Self(Arc::new(Live { key, received, sent, place: AtomicUsize::new(NOWHERE), moved }))
    }

    /// What the connection is counted by.
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// More bytes have moved.
    pub fn add(&self, received: u64, sent: u64) {
        let live = &self.0;
        live.received.fetch_add(received, SeqCst);
        live.sent.fetch_add(sent, SeqCst);
        if live.place.load(SeqCst) == NOWHERE {
            live.list();
        }
    }

    /// What was not counted yet when the connection is over.
    pub fn end(&self) -> Tally {
        self.0.unlist();
        self.0.take()
    }
}

impl Live {
    fn list(self: &Arc<Self>) {
        let mut all = lock(&self.moved.0);
        if self.place.load(SeqCst) == NOWHERE {
            self.place.store(all.len(), SeqCst);
            all.push(self.clone());
        }
    }

    fn unlist(&self) {
        if self.place.load(SeqCst) == NOWHERE {
            return;
        }
        let mut all = lock(&self.moved.0);
        // A tick may have come before.
        let place = self.place.swap(NOWHERE, SeqCst);
        if place != NOWHERE {
            all.swap_remove(place);
            if let Some(other) = all.get(place) {
                other.place.store(place, SeqCst);
            }
        }
    }

    fn take(&self) -> Tally {
        let take = |count: &AtomicU64| count.swap(0, SeqCst);
        Tally { received: take(&self.received), sent: take(&self.sent), ..Tally::default() }
    }
}

impl Moved {
    /// What moved since the last time, by key.
    pub fn take(&self) -> Vec<(Key, Tally)> {
        let all = {
            let mut all = lock(&self.0);
            // Before the bytes are taken: what moves from here on lists it anew.
            all.iter().for_each(|live| live.place.store(NOWHERE, SeqCst));
            std::mem::take(&mut *all)
        };
        let tally = |live: Arc<Live>| (live.key.clone(), live.take());
        all.into_iter().map(tally).filter(|(_, tally)| *tally != Tally::default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use lateen_telemetry::labels::Reporter;

    use super::{Key, Meter, Moved, lock};
    use crate::traffic::{Asked, End};

    #[test]
    fn those_that_are_over_are_not_remembered() {
        let moved = Arc::new(Moved::default());
        let key = Key {
            reporter: Reporter::Source,
            source: End::Own,
            destination: End::Unknown,
            asked: Asked::Nothing,
            flags: &[],
            untaken: false,
            shown: None,
        };
        let meters: Vec<Meter> = (0..4).map(|_| Meter::new(key.clone(), moved.clone())).collect();
        let listed = || lock(&moved.0).len();
        for (bytes, meter) in (1..).zip(&meters) {
            meter.add(bytes, 0);
        }
        assert_eq!(listed(), 4);
        assert_eq!((meters[1].end().received, listed()), (2, 3));
        assert_eq!((meters[1].end().received, listed()), (0, 3), "it is over only once");
        // The last one has taken its place.
        meters[3].add(10, 0);
        assert_eq!((meters[3].end().received, listed()), (14, 2));
        let taken: u64 = moved.take().iter().map(|(_, tally)| tally.received).sum();
        assert_eq!((taken, listed()), (1 + 3, 0));
        assert_eq!(meters[0].end().received, 0);
        meters[2].add(7, 0);
        assert_eq!((listed(), meters[2].end().received, listed()), (1, 7, 0));
    }
}
