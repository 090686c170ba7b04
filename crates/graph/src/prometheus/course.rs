//! What one key counted in each step. In: rises of its series, and the time that they are of. Out: points.

use std::collections::{BTreeMap, HashMap};

use lateen_telemetry::histogram::BOUNDS;
use lateen_telemetry::standard::Metric;

use super::series::Labels;
use super::targets::Interval;
use crate::point::Point;
use crate::report::count;
use crate::store::Scraped;

/// Bounds are whole numbers of microseconds in this unit, so that they have an order.
const UNIT: f64 = 1000.0;

/// What a series is of.
#[derive(Clone, Copy)]
pub enum Meaning {
    Count(Metric),
    /// Requests that did not take longer than this.
    NotAbove(u64),
}

#[derive(Default)]
pub struct Course {
    points: BTreeMap<u32, Point>,
    /// Cumulative counts by the bound.
    latencies: HashMap<Interval, BTreeMap<u64, u64>>,
    /// What those that tell it now have told everything of.
    pub scraped: Option<Scraped>,
}

impl Meaning {
    pub fn of(metric: &Labels) -> Option<Self> {
        let name = metric.get("__name__")?;
        if name == "istio_request_duration_milliseconds_bucket" {
            let bound = metric.get("le")?.parse::<f64>().ok().filter(|bound| *bound >= 0.0)?;
            // As a number that is too large becomes the largest there is, so does infinity.
            return Some(Self::NotAbove((bound * UNIT) as u64));
        }
        let name = name.strip_suffix("_sum").unwrap_or(name);
        let about = Metric::ALL.iter().find(|about| about.name == name);
        about.map(|about| Self::Count(about.metric))
    }

    /// Whether connections begin by it, or end.
    pub fn opens(self) -> Option<i64> {
        match self {
            Self::Count(Metric::TcpOpened) => Some(1),
            Self::Count(Metric::TcpClosed) => Some(-1),
            Self::Count(_) | Self::NotAbove(_) => None,
        }
    }
}

impl Course {
    pub fn add(&mut self, meaning: Meaning, interval: Interval, rise: u64) {
        match meaning {
            Meaning::Count(metric) => {
                for (step, part) in interval.parts(rise) {
                    count(metric, part, self.points.entry(step).or_default());
                }
            }
            Meaning::NotAbove(bound) => {
                let below = self.latencies.entry(interval).or_default().entry(bound).or_default();
                *below = below.saturating_add(rise);
            }
        }
    }

    pub fn knows(&mut self, scraped: Scraped) {
        self.scraped = Some(self.scraped.map_or(scraped, |own| own.and(scraped)));
    }

    /// By their steps.
    pub fn into_points(mut self) -> BTreeMap<u32, Point> {
        for (interval, buckets) in self.latencies {
            let mut below = 0;
            for (bound, count) in buckets {
                for (step, part) in interval.parts(count.saturating_sub(below)) {
                    self.points.entry(step).or_default().latency.add(middle(bound), part);
                }
                below = below.max(count);
            }
        }
        self.points
    }
}

/// A value for all of a bucket, whose lower bound is one of Envoy's.
fn middle(bound: u64) -> f64 {
    let upper = bound as f64 / UNIT;
    let lower = BOUNDS.iter().rev().find(|lower| **lower < upper).copied().unwrap_or(0.0);
    if bound == u64::MAX { lower } else { (lower + upper) / 2.0 }
}
