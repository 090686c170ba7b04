//! Families as Prometheus' protobuf messages, which alone carry native histograms. In: families and samples. Out:
//! the bytes of the messages, each before its length. Labels are most of a page: they are written without a message
//! of their own in between.

use envoy_types::pb::io::prometheus::client::{
    Bucket, BucketSpan, Histogram, MetricFamily, MetricType,
};
use prost::Message;
use prost::encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint};

use super::{Exposition, Format, Kind, Number};
use crate::histogram::{Distribution, Native};

/// Field numbers of `MetricFamily`, `Metric`, `LabelPair` and of the value in `Counter` and `Gauge`.
mod field {
    pub const NAME: u32 = 1;
    pub const HELP: u32 = 2;
    pub const TYPE: u32 = 3;
    pub const METRIC: u32 = 4;
    pub const LABEL: u32 = 1;
    pub const GAUGE: u32 = 2;
    pub const COUNTER: u32 = 3;
    pub const HISTOGRAM: u32 = 7;
    pub const LABEL_NAME: u32 = 1;
    pub const LABEL_VALUE: u32 = 2;
    pub const VALUE: u32 = 1;
}

#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    /// The one that is open.
    family: Vec<u8>,
    has_samples: bool,
    is_counter: bool,
    metric: Vec<u8>,
}

/// What is written, as messages.
pub fn families(write: impl FnOnce(&mut Exposition)) -> Vec<MetricFamily> {
    let mut out = Exposition::new(Format::Protobuf);
    write(&mut out);
    let bytes = out.into_bytes();
    let mut rest = bytes.as_slice();
    let mut families = Vec::new();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest);
        families.push(family.expect("invariant: they were written just now"));
    }
    families
}

impl Messages {
    pub fn open(&mut self, name: &str, kind: Kind, help: &str) {
        self.close();
        let number = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        self.is_counter = kind == Kind::Counter;
        text(field::NAME, name, &mut self.family);
        text(field::HELP, help, &mut self.family);
        encoding::int32::encode(field::TYPE, &number.into(), &mut self.family);
    }

    pub fn sample(&mut self, labels: &[(&str, &str)], value: Number) {
        self.labels(labels);
        let field = if self.is_counter { field::COUNTER } else { field::GAUGE };
        let value = value.as_f64();
        head(field, encoding::double::encoded_len(field::VALUE, &value), &mut self.metric);
        encoding::double::encode(field::VALUE, &value, &mut self.metric);
        self.add();
    }

    pub fn distribution(&mut self, labels: &[(&str, &str)], value: &Distribution) {
        self.labels(labels);
        encoding::message::encode(field::HISTOGRAM, &histogram(value), &mut self.metric);
        self.add();
    }

    fn labels(&mut self, labels: &[(&str, &str)]) {
        for (name, value) in labels {
            head(field::LABEL, length(name) + length(value), &mut self.metric);
            text(field::LABEL_NAME, name, &mut self.metric);
            text(field::LABEL_VALUE, value, &mut self.metric);
        }
    }

    fn add(&mut self) {
        head(field::METRIC, self.metric.len(), &mut self.family);
        self.family.append(&mut self.metric);
        self.has_samples = true;
    }

    /// Some readers refuse a family without samples.
    fn close(&mut self) {
        if std::mem::take(&mut self.has_samples) {
            encode_varint(self.family.len() as u64, &mut self.bytes);
            self.bytes.append(&mut self.family);
        }
        self.family.clear();
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    pub fn into_bytes(mut self) -> Vec<u8> {
        self.close();
        self.bytes
    }
}

fn head(field: u32, length: usize, out: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(length as u64, out);
}

fn text(field: u32, text: &str, out: &mut Vec<u8>) {
    head(field, text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Of a text with its head; the field numbers here take one byte.
fn length(text: &str) -> usize {
    1 + encoded_len_varint(text.len() as u64) + text.len()
}

/// Classic and native buckets.
fn histogram(value: &Distribution) -> Histogram {
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
    histogram
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
