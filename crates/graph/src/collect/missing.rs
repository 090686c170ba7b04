//! What is known of a proxy whose reports did not all come, or came after others.

use envoy_types::pb::io::prometheus::client::Gauge;
use lateen_telemetry::standard::{COVERED, FIRST, Metric, NUMBER};

use super::limits::{at, family, standing};
use super::{Arc, Collector, MetricFamily, Sample, Stream, Traffic};
use crate::graph::{Query, graph};
use crate::series::series;
use crate::store::step_of;
use crate::view::GraphType;

const START: u64 = 1_800_000_000;

fn gauge(name: &str, value: f64) -> MetricFamily {
    let sample = Sample { gauge: Some(Gauge { value: Some(value) }), ..Sample::default() };
    let name = Some(name.to_owned());
    MetricFamily { name, metric: vec![sample], ..MetricFamily::default() }
}

/// Connections of one client that began in a step.
fn opened(client: usize, count: f64) -> MetricFamily {
    family(Metric::TcpOpened, client..client + 1, count)
}

/// What began in each of so many steps before a time.
fn course(traffic: &Traffic, at: u64, steps: u64) -> Vec<Option<f64>> {
    let store = traffic.now();
    let query = query(at, steps);
    let shown = graph(&store, &query);
    let edge = &shown.edges[0];
    let mut series = series(&store, &edge.id, &query);
    series.outbound.remove("tcp.opened").unwrap()
}

fn query(at: u64, steps: u64) -> Query {
    Query {
        r#type: GraphType::Workload,
        namespaces: None,
        confined_to: None,
        duration: 5 * steps,
        at: step_of(at),
        services: true,
        idle: false,
    }
}

fn rate(traffic: &Traffic, at: u64, steps: u64) -> f64 {
    let shown = graph(&traffic.now(), &query(at, steps));
    shown.edges[0].traffic.tcp.as_ref().unwrap().opened
}

/// Time goes on to a step, and the stream's next report is there.
fn report(traffic: &Arc<Traffic>, stream: &Stream, step: u64, said: Vec<MetricFamily>) {
    traffic.now().advance(START + 5 * step);
    stream.metrics(said);
}

#[test]
fn steps_whose_reports_did_not_come_are_unknown_and_not_quiet() {
    let traffic = at(START, 1 << 20);
    let stream = Stream::new(traffic.clone(), "a");
    for step in 0..4 {
        let number = gauge(NUMBER, step as f64);
        report(&traffic, &stream, step, vec![number, opened(0, 10.0)]);
    }
    // Three reports went with the stream, two steps in which nothing happened had none.
    drop(stream);
    let stream = Stream::new(traffic.clone(), "a");
    let again = [gauge(COVERED, 5.0), gauge(NUMBER, 7.0), opened(0, 10.0)];
    report(&traffic, &stream, 9, again.into());
    let (known, unknown) = (Some(2.0), None);
    let mut expected = vec![known; 4];
    expected.extend([unknown; 5]);
    expected.push(known);
    assert_eq!(course(&traffic, START + 45, 10), expected);
    assert_eq!(rate(&traffic, START + 45, 10), 2.0, "over what is known");
    assert_eq!(traffic.now().lacking(step_of(START), step_of(START + 45)), 1);
    // What begins later and comes from the same proxy was not told then either.
    report(&traffic, &stream, 10, vec![gauge(NUMBER, 8.0), opened(0, 10.0), opened(1, 5.0)]);
    let later = graph(&traffic.now(), &query(START + 50, 11));
    let rates: Vec<_> =
        later.edges.iter().map(|edge| edge.traffic.tcp.as_ref().unwrap().opened).collect();
    assert_eq!(rates, [2.0, 1.0 / 6.0]);
}

#[test]
fn another_proxy_of_the_same_workload_does_not_make_up_for_one_that_is_missing() {
    let traffic = at(START, 1 << 20);
    let [one, other] = ["a", "b"].map(|id| Stream::new(traffic.clone(), id));
    for step in 0..10 {
        let number = gauge(NUMBER, step as f64);
        report(&traffic, &other, step, vec![number.clone(), opened(0, 10.0)]);
        if !(4..8).contains(&step) {
            one.metrics(vec![number, opened(0, 10.0)]);
        }
    }
    assert_eq!(rate(&traffic, START + 45, 10), 4.0);
    let course = course(&traffic, START + 45, 10);
    assert_eq!((course[3], &course[4..8], course[8]), (Some(4.0), [None; 4].as_slice(), Some(4.0)));
}

#[test]
fn what_was_given_up_before_the_first_report_is_missing_since_the_proxy_began() {
    let traffic = at(START, 1 << 20);
    let other = Stream::new(traffic.clone(), "b");
    for step in 0..20 {
        report(&traffic, &other, step, vec![gauge(NUMBER, step as f64), opened(1, 1.0)]);
    }
    let stream = Stream::new(traffic.clone(), "a");
    let made = gauge(lateen_telemetry::standard::MADE, 40.0);
    let first = [gauge(COVERED, 0.0), gauge(FIRST, 1.0), gauge(NUMBER, 1.0), made];
    report(&traffic, &stream, 20, [first.as_slice(), &[standing("w0", 3.0)]].concat());
    report(&traffic, &stream, 21, vec![gauge(NUMBER, 2.0), opened(0, 10.0)]);
    let (store, query) = (traffic.now(), query(START + 105, 15));
    let shown = graph(&store, &query);
    let id = &shown.edges.iter().find(|edge| edge.id.contains("w0")).unwrap().id;
    let course = &series(&store, id, &query).outbound["tcp.opened"];
    let known: Vec<_> = course.iter().map(Option::is_some).collect();
    let before = 5;
    assert_eq!(known[..before], [true; 5], "there was no such proxy");
    assert_eq!((&known[before..14], known[14]), ([false; 9].as_slice(), true));
}

/// As another replica is told of a stream that goes on: what is open first, and then its reports.
#[test]
fn a_first_report_after_what_is_open_tells_of_its_time() {
    for is_told_before in [false, true] {
        let traffic = at(START, 1 << 20);
        let stream = Stream::new(traffic.clone(), "a");
        traffic.now().advance(START + 5);
        if is_told_before {
            stream.metrics(vec![standing("w0", 2.0)]);
        }
        let first = [gauge(COVERED, 15.0), gauge(FIRST, 1.0), gauge(NUMBER, 0.0)];
        stream.metrics([first.as_slice(), &[opened(0, 30.0)]].concat());
        report(&traffic, &stream, 2, vec![gauge(NUMBER, 1.0), opened(0, 10.0)]);
        assert_eq!(course(&traffic, START + 10, 4), [Some(2.0); 4], "{is_told_before}");
        assert_eq!(rate(&traffic, START + 10, 4), 2.0);
    }
}
