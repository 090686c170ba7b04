//! Counting for the load tool. In: finished operations and bytes. Out: one JSON object. `total`
//! counts all of the run, as the proxy's CPU time does; rates and latencies leave out the warm-up.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub struct Stats {
    warm_until: Instant,
    total: Cell<u64>,
    total_bytes: Cell<u64>,
    timed_bytes: Cell<u64>,
    /// Nanoseconds of each timed operation.
    latencies: RefCell<Vec<u64>>,
}

impl Stats {
    pub fn new(warm_until: Instant) -> Stats {
        Stats {
            warm_until,
            total: Cell::new(0),
            total_bytes: Cell::new(0),
            timed_bytes: Cell::new(0),
            latencies: RefCell::new(Vec::with_capacity(1 << 20)),
        }
    }

    pub fn operation(&self, took: Duration) {
        self.total.set(self.total.get() + 1);
        if Instant::now() >= self.warm_until {
            let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            self.latencies.borrow_mut().push(nanos);
        }
    }

    pub fn bytes(&self, count: usize) {
        let count = count as u64;
        self.total_bytes.set(self.total_bytes.get() + count);
        if Instant::now() >= self.warm_until {
            self.timed_bytes.set(self.timed_bytes.get() + count);
        }
    }

    pub fn report(&self, length: Duration) -> Value {
        let mut latencies = self.latencies.take();
        latencies.sort_unstable();
        let micros = |share: f64| quantile(&latencies, share) as f64 / 1e3;
        let seconds = length.as_secs_f64();
        json!({
            "total": self.total.get(),
            "total_bytes": self.total_bytes.get(),
            "rate": latencies.len() as f64 / seconds,
            "gbit_s": self.timed_bytes.get() as f64 * 8.0 / 1e9 / seconds,
            "p50_us": micros(0.5),
            "p99_us": micros(0.99),
        })
    }
}

fn quantile(sorted: &[u64], share: f64) -> u64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at).or(sorted.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Stats, quantile};
    use std::time::{Duration, Instant};

    #[test]
    fn the_warm_up_counts_in_the_total_only() {
        let stats = Stats::new(Instant::now() + Duration::from_secs(3600));
        stats.operation(Duration::from_micros(5));
        let report = stats.report(Duration::from_secs(1));
        assert_eq!((report["total"].as_u64(), report["rate"].as_f64()), (Some(1), Some(0.0)));
    }

    #[test]
    fn quantiles_of_few_and_none() {
        assert_eq!(quantile(&[], 0.5), 0);
        assert_eq!(quantile(&[1, 2, 3, 4], 0.5), 3);
        assert_eq!(quantile(&[1, 2], 0.999), 2);
    }
}
