//! Histograms, classic and native at once. In: values. Out: a [`Distribution`].
//! Sources: the default buckets of Envoy's Prometheus page; Prometheus' native histograms, schema 3.

use std::sync::Mutex;

/// The upper bounds of the classic buckets: milliseconds or bytes.
pub const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Grows with what is recorded: a value of about one magnitude costs some bytes.
#[derive(Debug, Default)]
pub struct Histogram(Mutex<Distinct>);

#[derive(Debug, Default)]
struct Distinct {
    sum: f64,
    classic: [u64; BOUNDS.len()],
    native: Native,
    count: u64,
}

/// What was recorded so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    pub count: u64,
    pub sum: f64,
    /// Upper bounds, and how many values are not above them.
    pub buckets: Vec<(f64, u64)>,
    pub native: Native,
}

/// Exponential buckets: the bucket `i` is above `2^((i-1)/8)` and not above `2^(i/8)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Native {
    pub zeros: u64,
    /// Those that are not empty, in order.
    pub buckets: Vec<(i32, u64)>,
}

impl Histogram {
    /// A value that is not a number counts as zero.
    pub fn record(&self, value: f64) {
        let value = if value.is_nan() { 0.0 } else { value };
        let mut all = self.0.lock().expect("nothing panics while holding it");
        all.count += 1;
        all.sum += value;
        if let Some(bucket) = BOUNDS.iter().position(|bound| value <= *bound) {
            all.classic[bucket] += 1;
        }
        all.native.add(value, 1);
    }

    pub fn count(&self) -> u64 {
        self.0.lock().expect("nothing panics while holding it").count
    }

    pub fn read(&self) -> Distribution {
        let all = self.0.lock().expect("nothing panics while holding it");
        let mut below = 0;
        let bucket = |(bound, count): (&f64, &u64)| {
            below += count;
            (*bound, below)
        };
        let buckets = BOUNDS.iter().zip(&all.classic).map(bucket).collect();
        Distribution { count: all.count, sum: all.sum, buckets, native: all.native.clone() }
    }
}

impl Distribution {
    /// What has come since an earlier reading of the same histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        let before: Vec<u64> = earlier.buckets.iter().map(|(_, below)| *below).collect();
        let bucket = |(at, (bound, below)): (usize, &(f64, u64))| {
            (*bound, below - before.get(at).copied().unwrap_or(0))
        };
        Self {
            count: self.count - earlier.count,
            sum: self.sum - earlier.sum,
            buckets: self.buckets.iter().enumerate().map(bucket).collect(),
            native: self.native.since(&earlier.native),
        }
    }
}

impl Native {
    pub const SCHEMA: i32 = 3;
    /// Values up to here are zeros.
    pub const ZERO: f64 = 1e-9;
    /// Buckets of one doubling.
    const STEPS: f64 = 8.0;

    pub fn add(&mut self, value: f64, count: u64) {
        if value <= Self::ZERO {
            self.zeros += count;
            return;
        }
        let index = (value.log2() * Self::STEPS).ceil() as i32;
        match self.buckets.binary_search_by_key(&index, |(index, _)| *index) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (index, count)),
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        let before = |index: &i32| {
            let found = earlier.buckets.binary_search_by_key(index, |(index, _)| *index);
            found.map_or(0, |at| earlier.buckets[at].1)
        };
        let rest = self.buckets.iter().map(|(index, count)| (*index, count - before(index)));
        Self {
            zeros: self.zeros - earlier.zeros,
            buckets: rest.filter(|(_, count)| *count > 0).collect(),
        }
    }

    /// Adds what another one has.
    pub fn merge(&mut self, other: &Self) {
        // What another process says it has may be any number.
        self.zeros = self.zeros.saturating_add(other.zeros);
        let own = self.buckets.len();
        for (index, count) in &other.buckets {
            match self.buckets[..own].binary_search_by_key(index, |(index, _)| *index) {
                Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(*count),
                Err(_) => self.buckets.push((*index, *count)),
            }
        }
        if self.buckets.len() > own {
            // Two lists in order, one after the other: sorting is a merge of them.
            self.buckets.sort_by_key(|(index, _)| *index);
        }
    }

    /// The value below which a share of all lies, exact to a bucket: 4.5 % to either side of its middle.
    /// `None` of nothing.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let counts = self.buckets.iter().map(|(_, count)| *count);
        let total = counts.fold(self.zeros, u64::saturating_add);
        if total == 0 {
            return None;
        }
        let rank = ((total as f64 * share).ceil() as u64).clamp(1, total);
        let mut seen = self.zeros;
        for (index, count) in &self.buckets {
            if seen >= rank {
                break;
            }
            seen = seen.saturating_add(*count);
            if seen >= rank {
                return Some(((f64::from(*index) - 0.5) / Self::STEPS).exp2());
            }
        }
        Some(0.0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{Histogram, Native};

    #[test]
    fn classic_buckets_count_what_is_not_above_them() {
        let histogram = Histogram::default();
        for value in [0.2, 1.0, 1.1, 4e9, f64::NAN] {
            histogram.record(value);
        }
        let read = histogram.read();
        assert_eq!((read.count, read.native.zeros), (5, 1));
        assert_eq!(&read.buckets[..3], [(0.5, 2), (1.0, 3), (5.0, 4)]);
        assert_eq!(read.buckets.last(), Some(&(3_600_000.0, 4)));
    }

    #[test]
    fn nothing_has_no_quantile_and_zeros_have_zero() {
        assert_eq!(Native::default().quantile(0.5), None);
        let zeros = Native { zeros: 3, buckets: vec![(8, 1)] };
        assert_eq!(zeros.quantile(0.5), Some(0.0));
    }

    #[test]
    fn merging_many_buckets_takes_a_moment() {
        let every = |first: i32| (0..300_000).map(|at| (first + 2 * at, 1)).collect();
        let mut even = Native { zeros: 0, buckets: every(0) };
        let begun = Instant::now();
        even.merge(&Native { zeros: 0, buckets: every(1) });
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert!(even.buckets.iter().enumerate().all(|(at, (index, _))| at as i32 == *index));
        assert_eq!(even.buckets.len(), 600_000);
    }

    proptest! {
        #[test]
        fn a_quantile_is_within_a_bucket_of_the_exact_one(
            mut values in prop::collection::vec(0.001f64..1e7, 1..200),
            share in 0.01f64..1.0,
        ) {
            let mut native = Native::default();
            values.iter().for_each(|value| native.add(*value, 1));
            values.sort_by(f64::total_cmp);
            let rank = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len());
            let (exact, found) = (values[rank - 1], native.quantile(share).unwrap());
            prop_assert!((found / exact - 1.0).abs() < 0.1, "{found} for {exact}");
        }

        #[test]
        fn the_difference_is_what_came_since(
            early in prop::collection::vec(0.0f64..1e5, 0..50),
            late in prop::collection::vec(0.0f64..1e5, 0..50),
        ) {
            let (whole, rest) = (Histogram::default(), Histogram::default());
            early.iter().for_each(|value| whole.record(*value));
            let before = whole.read();
            for value in &late {
                whole.record(*value);
                rest.record(*value);
            }
            let since = whole.read().since(&before);
            let rest = rest.read();
            prop_assert_eq!((since.count, &since.buckets), (rest.count, &rest.buckets));
            prop_assert_eq!(since.native, rest.native);
        }

        #[test]
        fn merged_is_as_if_recorded_together(
            left in prop::collection::vec(0.0f64..1e5, 0..50),
            right in prop::collection::vec(0.0f64..1e5, 0..50),
        ) {
            let of = |values: &[f64]| {
                let mut native = Native::default();
                values.iter().for_each(|value| native.add(*value, 1));
                native
            };
            let mut merged = of(&left);
            merged.merge(&of(&right));
            prop_assert_eq!(merged, of(&[left, right].concat()));
        }
    }
}
