//! Destinations that connections asked about. In: addresses, and what has been answered. Out: which
//! are answered, and the names to let go of when there are too many.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;

use crate::config::{LastUse, listener_names, wildcard};

/// Destinations that are remembered.
const KEPT: usize = 4096;

/// Each is in one of the two.
#[derive(Debug, Default)]
pub struct Destinations {
    waiting: FxHashMap<SocketAddr, Arc<LastUse>>,
    answered: FxHashMap<SocketAddr, Arc<LastUse>>,
}

impl Destinations {
    /// Remembers an address. Out: listener names that nobody needs any more.
    pub fn add(&mut self, address: SocketAddr, now: u64) -> Vec<String> {
        if !self.answered.contains_key(&address) {
            let used = || Arc::new(LastUse(AtomicU64::new(now)));
            self.waiting.entry(address).or_insert_with(used);
        }
        if self.waiting.len() + self.answered.len() <= KEPT {
            return Vec::new();
        }
        let age = |(_, used): &(&SocketAddr, &Arc<LastUse>)| used.0.load(Ordering::Relaxed);
        let others = self.all().filter(|(other, _)| **other != address);
        let Some(oldest) = others.min_by_key(age).map(|(oldest, _)| *oldest) else {
            return Vec::new();
        };
        self.waiting.remove(&oldest);
        self.answered.remove(&oldest);
        let [exact, any] = listener_names(oldest);
        let shared = self.all().any(|(other, _)| wildcard(*other) == wildcard(oldest));
        if shared { vec![exact] } else { vec![exact, any] }
    }

    fn all(&self) -> impl Iterator<Item = (&SocketAddr, &Arc<LastUse>)> {
        self.waiting.iter().chain(&self.answered)
    }

    /// Those both of whose listeners have been answered do not wait any more. An answer holds for as long as the
    /// destination is remembered.
    pub fn settle(&mut self, is_answered: impl Fn(&str) -> bool) {
        let is_settled =
            |address: &SocketAddr| listener_names(*address).iter().all(|name| is_answered(name));
        self.answered.extend(self.waiting.extract_if(|address, _| is_settled(address)));
    }

    pub fn answered(&self) -> FxHashMap<SocketAddr, Arc<LastUse>> {
        self.answered.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::{Destinations, KEPT};

    #[test]
    fn the_longest_unused_destination_gives_way() {
        let mut destinations = Destinations::default();
        for port in 0..KEPT - 1 {
            assert!(destinations.add(([10, 0, 0, 1], port as u16).into(), 1).is_empty());
        }
        assert!(destinations.add(([10, 0, 0, 2], 7).into(), 0).is_empty());
        let dropped = destinations.add(([10, 0, 0, 3], 9).into(), 2);
        assert_eq!(dropped, ["10.0.0.2_7"], "the wildcard name is still needed by another");
    }

    #[test]
    fn a_scan_of_addresses_leaves_no_more_than_the_bound() {
        let mut destinations = Destinations::default();
        let mut dropped = Vec::new();
        for at in 0..3 * KEPT as u32 {
            let address = (std::net::Ipv4Addr::from(0x0a00_0000 + at), 80);
            dropped.extend(destinations.add(address.into(), u64::from(at)));
        }
        assert_eq!(destinations.all().count(), KEPT);
        assert_eq!(dropped.len(), 2 * KEPT, "every other name is let go of");
        assert_eq!(dropped[0], "10.0.0.0_80");
    }

    #[test]
    fn a_destination_is_settled_when_both_names_are_answered() {
        let mut destinations = Destinations::default();
        destinations.add(([10, 0, 0, 1], 80).into(), 0);
        destinations.settle(|name| name == "10.0.0.1_80");
        assert!(destinations.answered().is_empty());
        destinations.settle(|_| true);
        assert_eq!(destinations.answered().len(), 1);
        assert!(destinations.add(([10, 0, 0, 1], 80).into(), 1).is_empty());
        assert_eq!(destinations.all().count(), 1, "it does not wait again");
    }
}
