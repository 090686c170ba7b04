//! Small messages that would become large, and large ones that are what they seem.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::data::accesslog::v3::TcpAccessLogEntry;
use envoy_types::pb::envoy::service::accesslog::v3::StreamAccessLogsMessage;
use envoy_types::pb::envoy::service::accesslog::v3::stream_access_logs_message::{
    LogEntries, TcpAccessLogEntries,
};
use envoy_types::pb::envoy::service::metrics::v3::StreamMetricsMessage;
use envoy_types::pb::envoy::service::metrics::v3::stream_metrics_message::Identifier;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value};
use envoy_types::pb::io::prometheus::client::{
    Counter, Histogram, LabelPair, Metric, MetricFamily,
};
use proptest::prelude::{ProptestConfig, any, proptest};
use prost::Message;

use super::{LOGS, METRICS, Shape, fits};

const MOST: usize = 4 << 20;

fn metrics(metric: Vec<Metric>) -> StreamMetricsMessage {
    let family = MetricFamily { metric, ..MetricFamily::default() };
    StreamMetricsMessage { envoy_metrics: vec![family], ..StreamMetricsMessage::default() }
}

fn histogram(histogram: Histogram) -> Metric {
    Metric { histogram: Some(histogram), ..Metric::default() }
}

/// So many series of a proxy, each with 25 labels.
fn series(count: usize) -> StreamMetricsMessage {
    let label = |index: usize| LabelPair {
        name: Some(format!("destination_canonical_{index}")),
        value: Some("echo-server".to_owned()),
    };
    let counter = Some(Counter { value: Some(1.0), ..Counter::default() });
    let one = Metric { label: (0..25).map(label).collect(), counter, ..Metric::default() };
    metrics(vec![one; count])
}

#[track_caller]
fn check(message: &impl Message, shape: &Shape, expected: bool) {
    let bytes = message.encode_to_vec();
    assert!(bytes.len() < MOST, "{}", bytes.len());
    assert_eq!(fits(&bytes, shape, MOST), expected, "{} bytes", bytes.len());
}

#[test]
fn samples_of_two_bytes_are_counted_as_what_they_become() {
    let many = 100_000;
    check(&metrics(vec![Metric::default(); many]), &METRICS, false);
    check(&metrics(vec![Metric::default(); 1000]), &METRICS, true);
    let families = vec![MetricFamily::default(); many];
    let families =
        StreamMetricsMessage { envoy_metrics: families, ..StreamMetricsMessage::default() };
    check(&families, &METRICS, false);
    let labels = Metric { label: vec![LabelPair::default(); many], ..Metric::default() };
    check(&metrics(vec![labels]), &METRICS, false);
    for (one, expected) in [
        (Histogram { bucket: vec![Default::default(); many], ..Histogram::default() }, false),
        (
            Histogram { positive_span: vec![Default::default(); many * 3], ..Histogram::default() },
            false,
        ),
        (Histogram { exemplars: vec![Default::default(); many], ..Histogram::default() }, false),
        (Histogram { bucket: vec![Default::default(); 1000], ..Histogram::default() }, true),
    ] {
        check(&metrics(vec![histogram(one)]), &METRICS, expected);
    }
}

#[test]
fn numbers_in_a_row_are_counted() {
    // Field 13 of a histogram with a million zeros in a row, by hand: envoy-types writes them one by one.
    let zeros = vec![0; 1_000_000];
    let wrapped = |field: u8, inner: &[u8]| {
        let mut bytes = vec![field << 3 | 2];
        prost::encode_length_delimiter(inner.len(), &mut bytes).unwrap();
        bytes.extend(inner);
        bytes
    };
    let message = wrapped(2, &wrapped(4, &wrapped(7, &wrapped(13, &zeros))));
    let read = StreamMetricsMessage::decode(&*message).unwrap();
    let read = read.envoy_metrics[0].metric[0].histogram.as_ref().unwrap();
    assert_eq!(read.positive_delta.len(), zeros.len());
    assert!(!fits(&message, &METRICS, MOST));
    assert!(fits(&message, &METRICS, 3 * MOST));
}

#[test]
fn numbers_one_by_one_are_counted() {
    let many = 1_000_000;
    for (one, read) in [
        (Histogram { positive_delta: vec![0; many], ..Histogram::default() }, 2 * many),
        (Histogram { negative_delta: vec![0; many], ..Histogram::default() }, 2 * many),
        (Histogram { positive_count: vec![0.0; many / 3], ..Histogram::default() }, 3 * many),
        (Histogram { negative_count: vec![0.0; many / 3], ..Histogram::default() }, 3 * many),
    ] {
        let numbers = one.positive_delta.len().max(one.negative_delta.len());
        let numbers = numbers.max(one.positive_count.len()).max(one.negative_count.len());
        let bytes = metrics(vec![histogram(one)]).encode_to_vec();
        assert!((read..read + 100).contains(&bytes.len()), "{} bytes", bytes.len());
        assert!(!fits(&bytes, &METRICS, numbers * size_of::<u64>()), "{numbers} numbers");
        assert!(fits(&bytes, &METRICS, (numbers + 1000) * size_of::<u64>()), "{numbers} numbers");
    }
}

#[test]
fn entries_and_what_a_node_says_are_counted() {
    let log_entry = vec![TcpAccessLogEntry::default(); 10_000];
    let log_entries = Some(LogEntries::TcpLogs(TcpAccessLogEntries { log_entry }));
    let logs = StreamAccessLogsMessage { log_entries, ..StreamAccessLogsMessage::default() };
    check(&logs, &LOGS, false);
    let list = ListValue { values: vec![Value::default(); 100_000] };
    let list = Value { kind: Some(value::Kind::ListValue(list)) };
    let metadata = Some(Struct { fields: [("list".to_owned(), list)].into() });
    let node = Some(Node { metadata, ..Node::default() });
    let identifier = Some(Identifier { node });
    let said = StreamMetricsMessage { identifier, ..StreamMetricsMessage::default() };
    check(&said, &METRICS, false);
}

#[test]
fn what_a_proxy_tells_is_no_heavier_than_twice_its_bytes() {
    let message = series(1000);
    let bytes = message.encode_to_vec();
    assert!(fits(&bytes, &METRICS, 2 * bytes.len()), "{} bytes", bytes.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever is read is weighed, and what is none is none's harm.
    #[test]
    fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), most in 0_usize..4000) {
        fits(&bytes, &METRICS, most);
        let heavy = StreamMetricsMessage::decode(&*bytes).is_ok_and(|message| {
            message.envoy_metrics.len() * size_of::<MetricFamily>() > most
        });
        proptest::prop_assert!(!heavy || !fits(&bytes, &METRICS, most));
    }
}
