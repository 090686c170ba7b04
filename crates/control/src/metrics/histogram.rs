//! How long something took, in classic and native buckets. In: seconds. Out: counts by bucket.

use lateen_telemetry::histogram::{Distribution, Native};

/// Istio's buckets of `pilot_proxy_convergence_time` with finer ones below them, in seconds.
pub const LIMITS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];

/// Observations by the smallest bucket that holds them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    pub buckets: [u64; LIMITS.len()],
    pub count: u64,
    pub sum: f64,
    pub native: Native,
}

impl Histogram {
    pub fn observe(&mut self, seconds: f64) {
        if let Some(bucket) = LIMITS.iter().position(|limit| seconds <= *limit) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum += seconds;
        self.native.add(seconds, 1);
    }

    pub fn distribution(&self) -> Distribution {
        let mut below = 0;
        let bucket = |(limit, count): (&f64, &u64)| {
            below += count;
            (*limit, below)
        };
        let buckets = LIMITS.iter().zip(&self.buckets).map(bucket).collect();
        Distribution { count: self.count, sum: self.sum, buckets, native: self.native.clone() }
    }
}
