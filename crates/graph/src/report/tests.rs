//! Messages of proxies that mean well, and of others.

use envoy_types::pb::io::prometheus::client::{BucketSpan, Gauge, LabelPair};
use proptest::prelude::*;

use super::{
    HIGHEST, Histogram, LABELS, LOWEST, MetricFamily, OPEN, Report, SAMPLES, Sample, native,
};

fn pair(name: &str, value: &str) -> LabelPair {
    LabelPair { name: Some(name.to_owned()), value: Some(value.to_owned()) }
}

fn labels() -> Vec<LabelPair> {
    vec![pair("reporter", "source"), pair("request_protocol", "tcp"), pair("source_workload", "a")]
}

fn family(name: &str, metric: Vec<Sample>) -> MetricFamily {
    MetricFamily { name: Some(name.to_owned()), metric, ..MetricFamily::default() }
}

fn durations(spans: Vec<(i32, u32)>, deltas: Vec<i64>) -> Histogram {
    let span = |(offset, length)| BucketSpan { offset: Some(offset), length: Some(length) };
    Histogram {
        schema: Some(3),
        positive_span: spans.into_iter().map(span).collect(),
        positive_delta: deltas,
        ..Histogram::default()
    }
}

#[test]
fn a_histogram_of_a_million_spans_has_no_more_buckets_than_there_are() {
    let deltas = (0..1_000_000).map(|at| i64::from(at == 0)).collect();
    let read = native(&durations(vec![(-2, 1); 1_000_000], deltas));
    assert_eq!(read.buckets.len(), 79, "{:?}", read.buckets);
    assert!(read.buckets.iter().all(|(index, _)| (LOWEST..=HIGHEST).contains(index)));
}

#[test]
fn places_that_come_twice_are_one_bucket_and_those_of_no_request_are_left_out() {
    let read = native(&durations(vec![(8, 2), (-2, 1), (i32::MAX, 3)], vec![5, 2, -4, 9, 0, 0]));
    assert_eq!(read.buckets, [(8, 8), (9, 7)]);
    assert!(native(&durations(vec![(i32::MIN, u32::MAX)], vec![1; 9])).buckets.is_empty());
}

#[test]
fn samples_and_labels_beyond_their_limits_are_left_out() {
    let sample = Sample { label: labels(), ..Sample::default() };
    let mut odd = sample.clone();
    odd.label.extend(vec![pair("x", "y"); LABELS]);
    let opened = |metric| family("istio_tcp_connections_opened_total", metric);
    assert!(Report::read(&[opened(vec![odd])]).points.is_empty());
    let nothing = family("up", vec![Sample::default(); SAMPLES]);
    assert!(Report::read(&[nothing, opened(vec![sample.clone()])]).points.is_empty());
    assert_eq!(Report::read(&[opened(vec![sample])]).points.len(), 1);
}

#[test]
fn what_stands_is_a_number_of_connections() {
    let standing = |value: f64| {
        let gauge = Some(Gauge { value: Some(value) });
        let sample = Sample { label: labels(), gauge, ..Sample::default() };
        Report::read(&[family(OPEN, vec![sample])]).standing
    };
    assert_eq!(standing(3.0)[0].1, 3);
    assert_eq!(standing(f64::MAX)[0].1, i64::MAX);
    for nothing in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
        assert!(standing(nothing).is_empty());
    }
}

proptest! {
    #[test]
    fn any_histogram_is_a_few_buckets_in_their_order(
        spans in prop::collection::vec((prop_oneof![-3..300_i32, any::<i32>()], prop_oneof![0..4_u32, any::<u32>()]), 0..400),
        deltas in prop::collection::vec(prop_oneof![-3..9_i64, any::<i64>()], 0..800),
        schema in prop_oneof![Just(3), any::<i32>()],
    ) {
        let read = native(&Histogram { schema: Some(schema), ..durations(spans, deltas) });
        prop_assert!(read.buckets.is_sorted_by(|one, next| one.0 < next.0));
        prop_assert!(read.buckets.iter().all(|(index, count)| (LOWEST..=HIGHEST).contains(index) && *count > 0));
        let mut twice = read.clone();
        twice.merge(&read);
        prop_assert_eq!(twice.buckets.len(), read.buckets.len());
    }
}
