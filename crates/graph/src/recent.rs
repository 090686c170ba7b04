//! The newest connections of each edge that have ended, within a budget. In: connections with their edges. Out:
//! those of a selection, the newest first.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::connection::Connection;
use crate::key::Key;
use crate::texts::Texts;

/// Of an edge, of those that went well and of those with the same flags each.
const OF_EDGE: usize = 50;
/// Of all edges.
const KEPT: usize = 4096;
/// Connections after which texts of nobody are forgotten.
const SWEEP: u64 = 512;
/// Milliseconds.
const AGE: u64 = 3_600_000;

/// A connection and its edge, to be looked at for as long as anybody likes.
pub type Row = (Arc<Key>, Arc<Connection>);

#[derive(Debug, Default)]
pub struct Recent {
    texts: Texts,
    edges: FxHashMap<Arc<Key>, VecDeque<(u64, Arc<Connection>)>>,
    /// Whose turn it is to be forgotten; some are forgotten already.
    order: VecDeque<(u64, Arc<Key>)>,
    kept: usize,
    count: u64,
}

impl Recent {
    /// `label` gives the value of a label of Istio's; what is of no edge is not kept.
    pub fn add<'l>(&mut self, label: impl Fn(&str) -> Option<&'l str>, connection: Connection) {
        let Some(key) = Key::read(label, &mut self.texts) else { return };
        let key = match self.edges.get_key_value(&key) {
            Some((known, _)) => known.clone(),
            None => Arc::new(key),
        };
        self.count += 1;
        let ring = self.edges.entry(key.clone()).or_default();
        ring.push_back((self.count, Arc::new(connection)));
        match ring.len() > OF_EDGE {
            true => drop(ring.pop_front()),
            false => self.kept += 1,
        }
        self.order.push_back((self.count, key));
        while self.kept > KEPT {
            self.forget_one();
        }
        if self.order.len() > 2 * KEPT {
            self.tidy();
        }
        if self.count.is_multiple_of(SWEEP) {
            self.texts.sweep();
        }
    }

    fn forget_one(&mut self) {
        let Some((count, key)) = self.order.pop_front() else { return };
        let Some(ring) = self.edges.get_mut(&key) else { return };
        if ring.front().is_some_and(|(first, _)| *first == count) {
            ring.pop_front();
            self.kept -= 1;
        }
        if ring.is_empty() {
            self.edges.remove(&key);
        }
    }

    /// Drops the turns of what is forgotten.
    fn tidy(&mut self) {
        let edges = &self.edges;
        self.order.retain(|(count, key)| {
            let first = edges.get(key).and_then(VecDeque::front);
            first.is_some_and(|(first, _)| first <= count)
        });
    }

    /// Those that are `wanted` of the edges of which `any` are, at most an hour before `at` in milliseconds.
    pub fn newest(
        &self,
        any: impl Fn(&Key) -> bool,
        wanted: impl Fn(&Key, &Connection) -> bool,
        at: u64,
        limit: usize,
    ) -> Vec<Row> {
        let edges = self.edges.iter().filter(|(key, _)| any(key));
        let mut all: Vec<_> = edges
            .flat_map(|(key, ring)| ring.iter().map(move |(count, one)| (*count, key, one)))
            .filter(|(_, key, one)| one.time <= at && at - one.time <= AGE && wanted(key, one))
            .collect();
        all.sort_by_key(|(count, _, one)| std::cmp::Reverse((one.time, *count)));
        all.truncate(limit);
        all.into_iter().map(|(_, key, one)| (key.clone(), one.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Connection, KEPT, OF_EDGE, Recent};

    fn add(recent: &mut Recent, workload: &str, time: u64) {
        let connection = Connection::read(Default::default(), "p", time);
        let label = |name: &str| match name {
            "reporter" => Some("source"),
            "request_protocol" => Some("tcp"),
            "source_workload" => Some(workload),
            _ => None,
        };
        recent.add(label, connection);
    }

    fn times(recent: &Recent, workload: &str, at: u64, limit: usize) -> Vec<u64> {
        let wanted = recent.newest(|key| *key.source.workload == *workload, |_, _| true, at, limit);
        wanted.into_iter().map(|(_, one)| one.time).collect()
    }

    #[test]
    fn a_busy_edge_does_not_push_a_quiet_one_out() {
        let mut recent = Recent::default();
        add(&mut recent, "quiet", 1);
        for time in 2..100_000 {
            add(&mut recent, "busy", time);
        }
        assert_eq!(times(&recent, "quiet", 100_000, 9), [1]);
        assert_eq!(times(&recent, "busy", 100_000, 1000).len(), OF_EDGE);
        assert_eq!(times(&recent, "busy", 100_000, 2), [99_999, 99_998]);
        assert!(recent.order.len() <= 2 * KEPT + 1);
    }

    #[test]
    fn many_edges_share_one_budget() {
        let mut recent = Recent::default();
        for index in 0..3 * KEPT as u64 {
            add(&mut recent, &format!("w{index}"), index);
        }
        assert_eq!((recent.kept, recent.edges.len()), (KEPT, KEPT));
        assert!(times(&recent, "w0", u64::MAX, 9).is_empty());
    }

    #[test]
    fn names_of_many_short_lived_workloads_are_forgotten_with_their_connections() {
        let mut recent = Recent::default();
        for index in 0..10 * KEPT as u64 {
            add(&mut recent, &format!("w{index}"), index);
        }
        let most = KEPT + super::SWEEP as usize + 8;
        assert!(recent.texts.count() <= most, "{} texts", recent.texts.count());
        assert!(recent.order.len() <= 2 * KEPT + 1);
    }

    #[test]
    fn what_is_an_hour_old_or_to_come_is_not_shown() {
        let mut recent = Recent::default();
        for time in [1000, 2_000_000, 4_000_000] {
            add(&mut recent, "w", time);
        }
        assert_eq!(times(&recent, "w", 3_601_001, 9), [2_000_000]);
        assert_eq!(times(&recent, "w", 3_601_000, 9), [2_000_000, 1000]);
    }

    #[test]
    fn what_is_of_no_edge_is_not_kept() {
        let mut recent = Recent::default();
        recent.add(|_| None, Connection::read(Default::default(), "p", 1));
        assert_eq!((recent.kept, recent.edges.len()), (0, 0));
    }
}
