//! The newest access records of each worker. In: records of ended connections. Out: the newest of
//! all, oldest first; what has come since the last time. Those that failed have room of their own, so that
//! a busy proxy's failures are still there when somebody asks why.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use lateen_telemetry::AccessRecord;

use crate::traffic::Key;

/// Of each worker.
const KEPT: usize = 256;
const KEPT_FAILED: usize = 64;

#[derive(Debug)]
pub struct Records(Vec<Mutex<Rings>>);

/// An ended connection, and by what it was counted in Istio's metrics.
#[derive(Clone, Debug)]
pub struct Ended {
    pub record: AccessRecord,
    pub key: Option<Key>,
}

/// How far a reader has come with each worker.
#[derive(Debug, Default)]
pub struct Place(Vec<u64>);

#[derive(Debug, Default)]
struct Rings {
    well: VecDeque<(u64, Ended)>,
    failed: VecDeque<(u64, Ended)>,
    /// Connections so far.
    count: u64,
}

impl Records {
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    pub fn push(&self, worker: usize, ended: Ended) {
        let mut rings = lock(&self.0[worker]);
        rings.count += 1;
        let count = rings.count;
        let (ring, kept) = match ended.record.flags.is_empty() {
            true => (&mut rings.well, KEPT),
            false => (&mut rings.failed, KEPT_FAILED),
        };
        if ring.len() == kept {
            ring.pop_front();
        }
        ring.push_back((count, ended));
    }

    pub fn newest(&self) -> Vec<AccessRecord> {
        let mut all = Vec::new();
        for rings in &self.0 {
            let rings = lock(rings);
            let both = rings.well.iter().chain(&rings.failed);
            all.extend(both.map(|(_, ended)| ended.record.clone()));
        }
        all.sort_by_key(|record| record.start + record.duration);
        let surplus = all.len().saturating_sub(KEPT);
        all.split_off(surplus)
    }

    /// Of each worker, the newest since `place`: so many that failed, and so many that did not.
    pub fn since(&self, place: &mut Place, failed: usize, well: usize) -> Vec<Ended> {
        place.0.resize(self.0.len(), 0);
        let mut news = Vec::new();
        for (rings, seen) in self.0.iter().zip(&mut place.0) {
            let rings = lock(rings);
            for (ring, most) in [(&rings.failed, failed), (&rings.well, well)] {
                let fresh = ring.iter().rev().take(most).take_while(|(count, _)| count > seen);
                news.extend(fresh.map(|(_, ended)| ended.clone()));
            }
            *seen = rings.count;
        }
        news
    }
}

fn lock(rings: &Mutex<Rings>) -> MutexGuard<'_, Rings> {
    rings.lock().expect("nothing panics while holding it")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use lateen_telemetry::{AccessRecord, Flag};

    use super::{Ended, KEPT, Place, Records};
    use crate::sample;

    fn ended(second: u64, flags: &'static [Flag]) -> Ended {
        let record = AccessRecord {
            start: SystemTime::UNIX_EPOCH + Duration::from_secs(second),
            duration: Duration::ZERO,
            bytes_received: second,
            flags,
            ..sample::record()
        };
        Ended { record, key: None }
    }

    fn seconds(news: &[Ended]) -> Vec<u64> {
        news.iter().map(|ended| ended.record.bytes_received).collect()
    }

    #[test]
    fn a_failure_outlives_many_that_went_well() {
        let records = Records::new(1);
        records.push(0, ended(0, &[Flag::NoRouteFound]));
        for second in 1..=2 * KEPT as u64 {
            records.push(0, ended(second, &[]));
        }
        let newest = records.newest();
        assert_eq!((newest.len(), newest[0].bytes_received), (KEPT, KEPT as u64 + 1));
        assert_eq!(seconds(&records.since(&mut Place::default(), 5, 2)), [0, 512, 511]);
    }

    #[test]
    fn each_is_told_once() {
        let (records, mut place) = (Records::new(2), Place::default());
        records.push(0, ended(1, &[]));
        records.push(1, ended(2, &[Flag::NoRouteFound]));
        assert_eq!(seconds(&records.since(&mut place, 9, 9)), [1, 2]);
        records.push(1, ended(3, &[]));
        assert_eq!(seconds(&records.since(&mut place, 9, 9)), [3]);
        assert!(records.since(&mut place, 9, 9).is_empty());
    }
}
