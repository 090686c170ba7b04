//! Families as Prometheus' protobuf messages, which alone carry native histograms. In: families and samples.
//! Out: messages, each before its length.

use envoy_types::pb::io::prometheus::client::{
    Bucket, BucketSpan, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use prost::Message;

use super::{Exposition, Format, Kind, Number, Page};
use crate::histogram::{Distribution, Native};

#[derive(Debug, Default)]
pub struct Families(Vec<MetricFamily>);

/// The messages of a page that was written in [`Format::Protobuf`].
pub fn families(write: impl FnOnce(&mut Exposition)) -> Vec<MetricFamily> {
    let mut out = Exposition::new(Format::Protobuf);
    write(&mut out);
    match out.page {
        Page::Protobuf(families) => families.0,
        Page::Text(_) => Vec::new(),
    }
}

impl Families {
    pub fn open(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        self.0.push(MetricFamily {
            name: Some(name.to_owned()),
            help: Some(help.to_owned()),
            r#type: Some(kind.into()),
            ..MetricFamily::default()
        });
    }

    pub fn sample(&mut self, labels: &[(&str, &str)], value: Number) {
        let Some(family) = self.0.last_mut() else { return };
        let value = Some(value.as_f64());
        let mut metric = Metric { label: pairs(labels), ..Metric::default() };
        if family.r#type == Some(MetricType::Counter.into()) {
            metric.counter = Some(Counter { value, ..Counter::default() });
        } else {
            metric.gauge = Some(Gauge { value });
        }
        family.metric.push(metric);
    }

    pub fn distribution(&mut self, labels: &[(&str, &str)], value: &Distribution) {
        let Some(family) = self.0.last_mut() else { return };
        let bucket = |(bound, below): &(f64, u64)| Bucket {
            cumulative_count: Some(*below),
            upper_bound: Some(*bound),
            ..Bucket::default()
        };
        let mut histogram = Histogram {
            sample_count: Some(value.count),
            sample_sum: Some(value.sum),
            bucket: value.buckets.iter().map(bucket).collect(),
            ..Histogram::default()
        };
        native(&value.native, &mut histogram);
        let histogram = Some(histogram);
        family.metric.push(Metric { label: pairs(labels), histogram, ..Metric::default() });
    }

    pub fn delimited(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Some readers refuse a family without samples.
        for family in self.0.iter().filter(|family| !family.metric.is_empty()) {
            family.encode_length_delimited(&mut bytes).expect("a vector grows as it must");
        }
        bytes
    }
}

fn pairs(labels: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| LabelPair {
        name: Some((*name).to_owned()),
        value: Some((*value).to_owned()),
    };
    labels.iter().map(pair).collect()
}

/// Spans of buckets that follow each other, and the differences of their counts.
fn native(from: &Native, to: &mut Histogram) {
    to.schema = Some(Native::SCHEMA);
    to.zero_threshold = Some(Native::ZERO);
    to.zero_count = Some(from.zeros);
    let (mut next, mut before) = (0, 0);
    for (index, count) in &from.buckets {
        match to.positive_span.last_mut() {
            Some(span) if *index == next => span.length = span.length.map(|length| length + 1),
            _ => to.positive_span.push(BucketSpan { offset: Some(index - next), length: Some(1) }),
        }
        let count = *count as i64;
        to.positive_delta.push(count - before);
        (next, before) = (index + 1, count);
    }
    if from.buckets.is_empty() {
        // What tells a native histogram without observations from a classic one.
        to.positive_span.push(BucketSpan { offset: Some(0), length: Some(0) });
    }
}
