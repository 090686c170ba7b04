//! How long something took, or how large it was, in classic and native buckets. In: values. Out: counts by bucket.

use lateen_telemetry::histogram::{Distribution, Native};

/// Istio's buckets of `pilot_proxy_convergence_time` with finer ones below them, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Those of `pilot_xds_config_size_bytes` with others between them.
const BYTES: [f64; 12] = [1.0, 1e3, 1e4, 5e4, 1e5, 5e5, 1e6, 2e6, 4e6, 1e7, 2e7, 4e7];

/// Observations by the smallest bucket that holds them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Histogram {
    pub is_of_bytes: bool,
    pub buckets: [u64; SECONDS.len()],
    pub count: u64,
    pub sum: f64,
    pub native: Native,
}

impl Histogram {
    /// One of sizes; others are of seconds.
    pub fn of_bytes() -> Self {
        Self { is_of_bytes: true, ..Self::default() }
    }

    pub fn observe(&mut self, value: f64) {
        if let Some(bucket) = self.limits().iter().position(|limit| value <= *limit) {
            self.buckets[bucket] += 1;
        }
        self.count += 1;
        self.sum += value;
        self.native.add(value, 1);
    }

    pub fn distribution(&self) -> Distribution {
        let mut below = 0;
        let bucket = |(limit, count): (&f64, &u64)| {
            below += count;
            (*limit, below)
        };
        let buckets = self.limits().iter().zip(&self.buckets).map(bucket).collect();
        Distribution { count: self.count, sum: self.sum, buckets, native: self.native.clone() }
    }

    fn limits(&self) -> &'static [f64; SECONDS.len()] {
        if self.is_of_bytes { &BYTES } else { &SECONDS }
    }
}
