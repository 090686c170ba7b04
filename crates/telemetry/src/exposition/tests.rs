//! The pages as their readers want them.

use envoy_types::pb::io::prometheus::client::MetricFamily;
use prost::Message;

use super::{Exposition, Format, Kind};
use crate::histogram::Histogram;

fn written(format: Format) -> String {
    let mut out = Exposition::new(format);
    out.family("requests_total", Kind::Counter, "Requests.\nAll.");
    out.sample("requests_total", &[("path", "a\"b\\c\n"), ("code", "200")], 7_u64);
    out.single("up", Kind::Gauge, "Whether it runs.", 1_u64);
    String::from_utf8(out.into_bytes()).unwrap()
}

#[test]
fn text_names_families_as_their_samples() {
    let expected = "# HELP requests_total Requests.\\nAll.\n# TYPE requests_total counter\n\
                    requests_total{path=\"a\\\"b\\\\c\\n\",code=\"200\"} 7\n\
                    # HELP up Whether it runs.\n# TYPE up gauge\nup 1\n";
    assert_eq!(written(Format::Text), expected);
}

#[test]
fn openmetrics_names_a_counters_family_without_its_ending() {
    let text = written(Format::OpenMetrics);
    assert!(text.contains("# TYPE requests counter\nrequests_total{"), "{text}");
    assert!(!text.contains("# EOF"), "{text}");
}

#[test]
fn a_counter_of_another_name_is_no_counter_of_openmetrics() {
    let typed = |format| {
        let mut out = Exposition::new(format);
        out.single("pilot_xds_pushes", Kind::Counter, "Pushes.", 1_u64);
        String::from_utf8(out.into_bytes()).unwrap()
    };
    assert!(typed(Format::OpenMetrics).contains("# TYPE pilot_xds_pushes unknown\n"));
    assert!(typed(Format::Text).contains("# TYPE pilot_xds_pushes counter\n"));
}

#[test]
fn a_whole_page_of_openmetrics_has_its_end_mark() {
    let end = |format| Exposition::new(format).finish();
    assert_eq!(end(Format::OpenMetrics), b"# EOF\n");
    assert_eq!(end(Format::Text), b"");
}

#[test]
fn a_histogram_is_its_buckets_its_sum_and_its_count() {
    let histogram = Histogram::default();
    histogram.record(3.0);
    histogram.record(7.5);
    let mut out = Exposition::new(Format::Text);
    out.family("took", Kind::Histogram, "How long.");
    out.distribution("took", &[("a", "b")], &histogram.read());
    let text = String::from_utf8(out.finish()).unwrap();
    for line in [
        "# TYPE took histogram",
        "took_bucket{a=\"b\",le=\"1\"} 0",
        "took_bucket{a=\"b\",le=\"5\"} 1",
        "took_bucket{a=\"b\",le=\"10\"} 2",
        "took_bucket{a=\"b\",le=\"+Inf\"} 2",
        "took_sum{a=\"b\"} 10.5",
        "took_count{a=\"b\"} 2",
    ] {
        assert!(text.lines().any(|have| have == line), "no {line} in {text}");
    }
}

#[test]
fn protobuf_carries_native_histograms_as_spans_and_differences() {
    let histogram = Histogram::default();
    for value in [0.0, 1.0, 1.0, 1.09, 4.0] {
        histogram.record(value);
    }
    let mut out = Exposition::new(Format::Protobuf);
    out.family("took", Kind::Histogram, "How long.");
    out.distribution("took", &[("a", "b")], &histogram.read());
    out.family("empty", Kind::Counter, "Nothing.");
    let bytes = out.finish();
    let family = MetricFamily::decode_length_delimited(bytes.as_slice()).unwrap();
    assert_eq!(family.encoded_len() + 2, bytes.len(), "a family without samples is left out");
    let native = family.metric[0].histogram.as_ref().unwrap();
    assert_eq!((native.sample_count, native.zero_count), (Some(5), Some(1)));
    let spans: Vec<_> =
        native.positive_span.iter().map(|span| (span.offset, span.length)).collect();
    // 1 is the upper bound of bucket 0; 1.09 is within bucket 1; 4 is the upper bound of bucket 16.
    assert_eq!(spans, [(Some(0), Some(2)), (Some(14), Some(1))]);
    assert_eq!(native.positive_delta, [2, -1, 0]);
}

#[test]
fn a_scrape_gets_the_format_that_it_asks_for_first() {
    let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
                    encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,\
                    text/plain;version=0.0.4;q=0.4,*/*;q=0.3";
    for (accept, format) in [
        (Some(protobuf), Format::Protobuf),
        (Some("application/openmetrics-text;q=0.5,*/*;q=0.1"), Format::OpenMetrics),
        (Some("application/vnd.google.protobuf;encoding=text,text/plain;q=0.1"), Format::Text),
        (Some("application/openmetrics-text;q=nonsense"), Format::Text),
        (Some("*/*"), Format::Text),
        (None, Format::Text),
    ] {
        assert_eq!(Format::negotiate(accept), format, "{accept:?}");
    }
}
