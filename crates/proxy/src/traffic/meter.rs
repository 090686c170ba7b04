//! The bytes of one connection that are not counted yet. In: how far its relay has come. Out: tallies, at every
//! tick of those that moved, and at the end. A connection that moves nothing costs nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustc_hash::FxHashMap;

use super::{Key, Tally, lock};

/// Belongs to a connection; its clones are the same meter.
#[derive(Clone, Debug)]
pub struct Meter(Arc<Live>);

#[derive(Debug)]
struct Live {
    key: Key,
    received: AtomicU64,
    sent: AtomicU64,
    /// Whether it is among those that moved.
    listed: AtomicBool,
    moved: Arc<Moved>,
}

/// The connections of one worker.
#[derive(Debug, Default)]
pub struct Moved {
    /// Those that moved bytes since the last tick.
    list: Mutex<Vec<Arc<Live>>>,
    /// How many are open of each key.
    open: Mutex<FxHashMap<Key, u64>>,
}

impl Meter {
    pub fn new(key: Key, moved: Arc<Moved>) -> Self {
        moved.begun(&key);
        let (received, sent) = Default::default();
        Self(Arc::new(Live { key, received, sent, listed: AtomicBool::new(false), moved }))
    }

    /// What the connection is counted by.
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// More bytes have moved.
    pub fn add(&self, received: u64, sent: u64) {
        let live = &self.0;
        live.received.fetch_add(received, Ordering::Relaxed);
        live.sent.fetch_add(sent, Ordering::Relaxed);
        if !live.listed.swap(true, Ordering::AcqRel) {
            lock(&live.moved.list).push(live.clone());
        }
    }

    /// What was not counted yet.
    pub fn take(&self) -> Tally {
        self.0.take()
    }
}

impl Live {
    fn take(&self) -> Tally {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Tally { received: take(&self.received), sent: take(&self.sent), ..Tally::default() }
    }
}

impl Moved {
    /// What moved since the last time, by key.
    pub fn take(&self) -> Vec<(Key, Tally)> {
        let all = std::mem::take(&mut *lock(&self.list));
        let tally = |live: Arc<Live>| {
            // Before the bytes are taken: what moves from here on lists it anew.
            live.listed.store(false, Ordering::Release);
            (live.key.clone(), live.take())
        };
        all.into_iter().map(tally).filter(|(_, tally)| *tally != Tally::default()).collect()
    }

    fn begun(&self, key: &Key) {
        let mut open = lock(&self.open);
        match open.get_mut(key) {
            Some(count) => *count += 1,
            None => drop(open.insert(key.clone(), 1)),
        }
    }

    fn ended(&self, key: &Key) {
        let mut open = lock(&self.open);
        let Some(count) = open.get_mut(key) else { return };
        *count -= 1;
        if *count == 0 {
            open.remove(key);
        }
    }

    /// How many connections are open of each key.
    pub fn open(&self) -> Vec<(Key, u64)> {
        lock(&self.open).iter().map(|(key, count)| (key.clone(), *count)).collect()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.moved.ended(&self.key);
    }
}
