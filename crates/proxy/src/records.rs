//! The newest access records of each worker. In: records of ended connections. Out: the newest of
//! all, oldest first.

use std::collections::VecDeque;
use std::sync::Mutex;

use lateen_telemetry::AccessRecord;

const KEPT: usize = 256;

#[derive(Debug)]
pub struct Records(Vec<Mutex<VecDeque<AccessRecord>>>);

impl Records {
    pub fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Mutex::default()).collect())
    }

    pub fn push(&self, worker: usize, record: AccessRecord) {
        let mut ring = self.0[worker].lock().expect("nothing panics while holding it");
        if ring.len() == KEPT {
            ring.pop_front();
        }
        ring.push_back(record);
    }

    pub fn newest(&self) -> Vec<AccessRecord> {
        let rings = self.0.iter();
        let mut all: Vec<AccessRecord> = rings
            .flat_map(|ring| ring.lock().expect("nothing panics while holding it").clone())
            .collect();
        all.sort_by_key(|record| record.start + record.duration);
        let surplus = all.len().saturating_sub(KEPT);
        all.split_off(surplus)
    }
}
