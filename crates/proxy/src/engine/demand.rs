//! Destinations that connections asked about. In: addresses, and what has been answered. Out: which
//! are settled, and the names to let go of when there are too many.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustc_hash::FxHashMap;

use crate::config::{LastUse, listener_names, wildcard};

/// Destinations that are remembered.
const KEPT: usize = 4096;

#[derive(Debug, Default)]
pub struct Destinations(FxHashMap<SocketAddr, Arc<LastUse>>);

impl Destinations {
    /// Remembers an address. Out: listener names that nobody needs any more.
    pub fn add(&mut self, address: SocketAddr, now: u64) -> Vec<String> {
        self.0.entry(address).or_insert_with(|| Arc::new(LastUse(AtomicU64::new(now))));
        if self.0.len() <= KEPT {
            return Vec::new();
        }
        let age = |(_, used): &(&SocketAddr, &Arc<LastUse>)| used.0.load(Ordering::Relaxed);
        let others = self.0.iter().filter(|(other, _)| **other != address);
        let Some(oldest) = others.min_by_key(age).map(|(oldest, _)| *oldest) else {
            return Vec::new();
        };
        self.0.remove(&oldest);
        let [exact, any] = listener_names(oldest);
        let shared = self.0.keys().any(|other| wildcard(*other) == wildcard(oldest));
        if shared { vec![exact] } else { vec![exact, any] }
    }

    /// The addresses whose own listener, or both of whose listeners, have been answered.
    pub fn answered(
        &self,
        is_answered: impl Fn(&str) -> bool,
    ) -> FxHashMap<SocketAddr, Arc<LastUse>> {
        let settled = self
            .0
            .iter()
            .filter(|(address, _)| listener_names(**address).iter().all(|name| is_answered(name)));
        settled.map(|(address, used)| (*address, used.clone())).collect()
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
        assert_eq!(destinations.0.len(), KEPT);
        assert_eq!(dropped.len(), 2 * KEPT, "every other name is let go of");
        assert_eq!(dropped[0], "10.0.0.0_80");
    }

    #[test]
    fn a_destination_is_settled_when_both_names_are_answered() {
        let mut destinations = Destinations::default();
        destinations.add(([10, 0, 0, 1], 80).into(), 0);
        assert!(destinations.answered(|name| name == "10.0.0.1_80").is_empty());
        assert_eq!(destinations.answered(|_| true).len(), 1);
    }
}
