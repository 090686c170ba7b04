//! One message of metrics, a report or a part of one. In: families as a proxy sends them, with whatever numbers and
//! labels. Out: what they add to the store, which need not be held for that.

use std::collections::HashMap;

use envoy_types::pb::io::prometheus::client::{Histogram, Metric as Sample, MetricFamily};
use lateen_telemetry::exposition::Kind;
use lateen_telemetry::histogram::Native;
use lateen_telemetry::standard::{COVERED, FIRST, LASTED, MADE, MORE, Metric, NUMBER, OPEN};

use crate::key::Key;
use crate::point::Point;
use crate::texts::Texts;

/// Samples of one message that are looked at: a proxy has fewer series.
const SAMPLES: usize = 1 << 16;
/// Labels of a sample; one with more is not of Istio's standard metrics.
const LABELS: usize = 64;
/// The first and the last bucket that is kept: of 1 µs and of 10 h, in milliseconds.
const LOWEST: i32 = -80;
const HIGHEST: i32 = 201;

/// What a message says.
#[derive(Debug, Default)]
pub struct Report {
    pub points: HashMap<Key, Point>,
    /// If there are any, all connections that are open after these points.
    pub standing: Vec<(Key, i64)>,
    /// Milliseconds before it that it is of, if it says so.
    pub covered: Option<u64>,
    /// The same of one that is not the first of its stream: those that do not say it are of a step.
    pub lasted: Option<u64>,
    /// When it was made, in milliseconds by its proxy's clock, if it says so.
    pub made: Option<f64>,
    /// The reports that its proxy has made before it, or given up.
    pub number: Option<u64>,
    /// Nobody has been told anything of what was before.
    pub is_first: bool,
    /// The next message is of the same report.
    pub goes_on: bool,
}

impl Report {
    pub fn read(families: &[MetricFamily]) -> Self {
        let (mut report, mut texts) = (Self::default(), Texts::default());
        let samples = families
            .iter()
            .flat_map(|family| family.metric.iter().map(move |sample| (family.name(), sample)))
            .take(SAMPLES)
            .filter(|(_, sample)| sample.label.len() <= LABELS);
        for (name, sample) in samples {
            let gauge = sample.gauge.as_ref().map_or(0.0, |gauge| gauge.value());
            match name {
                COVERED => report.covered = Some((gauge * 1000.0) as u64),
                LASTED => report.lasted = Some((gauge * 1000.0) as u64),
                MADE => report.made = Some(gauge * 1000.0).filter(|made| made.is_finite()),
                NUMBER => report.number = Some(gauge as u64),
                FIRST => report.is_first = true,
                MORE => report.goes_on = true,
                OPEN => report.stand(sample, gauge as i64, &mut texts),
                _ => report.count(name, sample, &mut texts),
            }
        }
        report
    }

    fn stand(&mut self, sample: &Sample, count: i64, texts: &mut Texts) {
        let key = Key::of(&sample.label, texts).filter(|_| count > 0);
        self.standing.extend(key.map(|key| (key, count)));
    }

    fn count(&mut self, name: &str, sample: &Sample, texts: &mut Texts) {
        let Some(about) = Metric::ALL.iter().find(|about| about.name == name) else { return };
        if let Some(key) = Key::of(&sample.label, texts) {
            put(about.metric, about.kind, sample, self.points.entry(key).or_default());
        }
    }
}

fn put(metric: Metric, kind: Kind, sample: &Sample, point: &mut Point) {
    if kind == Kind::Histogram {
        let Some(histogram) = &sample.histogram else { return };
        match metric {
            Metric::RequestDuration => point.latency.merge(&native(histogram)),
            _ => count(metric, histogram.sample_sum() as u64, point),
        }
        return;
    }
    count(metric, sample.counter.as_ref().map_or(0.0, |counter| counter.value()) as u64, point);
}

/// Adds to what a metric counts; of sizes, to their sum.
pub(crate) fn count(metric: Metric, count: u64, point: &mut Point) {
    let own = match metric {
        Metric::TcpOpened => &mut point.opened,
        Metric::TcpClosed => &mut point.closed,
        Metric::TcpReceived => &mut point.sent,
        Metric::TcpSent => &mut point.received,
        Metric::Requests => &mut point.requests,
        Metric::RequestSize => &mut point.request_bytes,
        Metric::ResponseSize => &mut point.response_bytes,
        Metric::GrpcRequestMessages => &mut point.request_messages,
        Metric::GrpcResponseMessages => &mut point.response_messages,
        Metric::RequestDuration => return,
    };
    // A peer may say any number.
    *own = own.saturating_add(count);
}

/// The buckets of a native histogram in the schema that is kept; those of another one are left out, and values
/// that no request takes.
fn native(histogram: &Histogram) -> Native {
    let mut native = Native { zeros: histogram.zero_count(), buckets: Vec::new() };
    if histogram.schema() != Native::SCHEMA {
        return native;
    }
    let mut counts = [0_u64; (HIGHEST - LOWEST + 1) as usize];
    let mut deltas = histogram.positive_delta.iter();
    let (mut index, mut count) = (0_i32, 0_i64);
    // As many deltas as the message has; whatever the spans say, a place may come more than once.
    'all: for span in &histogram.positive_span {
        index = index.saturating_add(span.offset());
        for _ in 0..span.length() {
            let Some(delta) = deltas.next() else { break 'all };
            count = count.saturating_add(*delta);
            let place = usize::try_from(i64::from(index) - i64::from(LOWEST));
            if let Some(own) = place.ok().and_then(|place| counts.get_mut(place)) {
                *own = own.saturating_add(count.max(0) as u64);
            }
            index = index.saturating_add(1);
        }
    }
    let filled = (LOWEST..).zip(counts).filter(|(_, count)| *count > 0);
    native.buckets.extend(filled);
    native
}

#[cfg(test)]
mod tests;
