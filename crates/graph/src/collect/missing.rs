//! What is known of a proxy whose reports did not all come, or came after others.

use envoy_types::pb::io::prometheus::client::Gauge;
use lateen_telemetry::parts::more;
use lateen_telemetry::standard::{COVERED, FIRST, LASTED, MADE, Metric, NUMBER};

use super::limits::{at, family, standing};
use super::{Collector, Duration, Instant, MetricFamily, Sample, Stream, Traffic};
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

/// Time goes on to a step, and the report with this number is there.
fn report(stream: &Stream, step: u64, number: u64, more: &[MetricFamily]) {
    stream.traffic.now().advance(START + 5 * step);
    let made = gauge(MADE, 1000.0 + 5.0 * step as f64);
    stream.metrics([&[gauge(NUMBER, number as f64), made], more].concat());
}

#[test]
fn steps_whose_reports_did_not_come_are_unknown_and_not_quiet() {
    // As connections that are over, and as some that go on.
    for closed in [10.0, 0.0] {
        let traffic = at(START, 1 << 20);
        let stream = Stream::new(traffic.clone(), "a");
        let counted = [opened(0, 10.0), family(Metric::TcpClosed, 0..1, closed)];
        for step in 0..4 {
            report(&stream, step, step, &counted);
        }
        // Three reports went with the stream, two steps in which nothing happened had none.
        drop(stream);
        let stream = Stream::new(traffic.clone(), "a");
        report(&stream, 9, 7, &[[gauge(COVERED, 5.0)].as_slice(), &counted].concat());
        let expected = [[Some(2.0); 4].as_slice(), &[None; 5], &[Some(2.0)]].concat();
        assert_eq!(course(&traffic, START + 45, 10), expected);
        assert_eq!(rate(&traffic, START + 45, 10), 2.0, "over what is known");
        let steps = step_of(START)..step_of(START + 50);
        let lacking = |name: &str| {
            traffic.now().lacking_of(steps.clone(), |key| *key.source.workload == *name)
        };
        assert_eq!([lacking("w0"), lacking("w1")], [1, 0]);
        assert_eq!(traffic.now().lacking(steps.clone()), 1);
        // What begins later and comes from the same proxy was not told then either.
        report(&stream, 10, 8, &[opened(0, 10.0), opened(1, 5.0)]);
        let later = graph(&traffic.now(), &query(START + 50, 11));
        let rates: Vec<_> =
            later.edges.iter().map(|edge| edge.traffic.tcp.as_ref().unwrap().opened).collect();
        assert_eq!(rates, [2.0, 1.0 / 6.0]);
    }
}

#[test]
fn another_proxy_of_the_same_workload_does_not_make_up_for_one_that_is_missing() {
    let traffic = at(START, 1 << 20);
    let [one, other] = ["a", "b"].map(|id| Stream::new(traffic.clone(), id));
    for step in 0..10 {
        report(&other, step, step, &[opened(0, 10.0)]);
        if !(4..8).contains(&step) {
            report(&one, step, step, &[opened(0, 10.0)]);
        }
    }
    assert_eq!(rate(&traffic, START + 45, 10), 4.0);
    let course = course(&traffic, START + 45, 10);
    assert_eq!((course[3], &course[4..8], course[8]), (Some(4.0), [None; 4].as_slice(), Some(4.0)));
}

#[test]
fn the_mesh_goes_on_without_few_that_are_missing() {
    for (others, meanwhile) in [(10, Some(20.0)), (8, None)] {
        let traffic = at(START, 1 << 20);
        let [one, other] = ["a", "b"].map(|id| Stream::new(traffic.clone(), id));
        let ended = [Metric::TcpOpened, Metric::TcpClosed].map(|m| family(m, 1..1 + others, 10.0));
        for step in 0..10 {
            if !(4..8).contains(&step) {
                report(&one, step, step, &[opened(0, 10.0)]);
            }
            report(&other, step, step, &ended);
        }
        let course = &series(&traffic.now(), "mesh", &query(START + 45, 10)).outbound["tcp.opened"];
        let all = Some(2.0 * (others + 1) as f64);
        let expected = [[all; 4].as_slice(), &[meanwhile; 4], &[all; 2]].concat();
        assert_eq!(*course, expected);
    }
}

#[test]
fn what_was_given_up_before_the_first_report_is_missing_since_the_proxy_began() {
    let traffic = at(START, 1 << 20);
    let other = Stream::new(traffic.clone(), "b");
    for step in 0..20 {
        report(&other, step, step, &[opened(1, 1.0)]);
    }
    let stream = Stream::new(traffic.clone(), "a");
    traffic.now().advance(START + 100);
    let made = |seconds| gauge(MADE, seconds);
    let first = [gauge(COVERED, 0.0), gauge(FIRST, 1.0), gauge(NUMBER, 1.0), made(40.0)];
    stream.metrics([first.as_slice(), &[standing("w0", 3.0)]].concat());
    traffic.now().advance(START + 105);
    stream.metrics(vec![gauge(NUMBER, 2.0), made(45.0), opened(0, 10.0)]);
    let (store, query) = (traffic.now(), query(START + 105, 15));
    let shown = graph(&store, &query);
    let id = &shown.edges.iter().find(|edge| edge.id.contains("w0")).unwrap().id;
    let course = &series(&store, id, &query).outbound["tcp.opened"];
    let known: Vec<_> = course.iter().map(Option::is_some).collect();
    assert_eq!(known[..5], [true; 5], "there was no such proxy");
    assert_eq!((&known[5..14], known[14]), ([false; 9].as_slice(), true));
}

#[test]
fn a_report_whose_last_part_did_not_come_is_missing() {
    let traffic = at(START, 1 << 20);
    let stream = Stream::new(traffic.clone(), "a");
    for step in 0..3 {
        report(&stream, step, step, &[opened(0, 10.0), more()]);
        stream.metrics(vec![opened(1, 10.0)]);
    }
    report(&stream, 3, 3, &[opened(0, 10.0), more()]);
    drop(stream);
    let stream = Stream::new(traffic.clone(), "a");
    report(&stream, 4, 4, &[gauge(COVERED, 5.0), opened(0, 10.0), opened(1, 10.0)]);
    let expected = [Some(2.0), Some(2.0), Some(2.0), None, Some(2.0)];
    assert_eq!(course(&traffic, START + 20, 5), expected);
}

#[test]
fn a_report_that_is_over_several_steps_fills_them() {
    let traffic = at(START, 1 << 20);
    let stream = Stream::new(traffic.clone(), "a");
    report(&stream, 0, 0, &[opened(0, 10.0)]);
    report(&stream, 3, 1, &[gauge(LASTED, 15.0), opened(0, 60.0)]);
    assert_eq!(course(&traffic, START + 15, 4), [2.0, 4.0, 4.0, 4.0].map(Some));
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
        report(&stream, 1, 0, &[gauge(COVERED, 15.0), gauge(FIRST, 1.0), opened(0, 30.0)]);
        report(&stream, 2, 1, &[opened(0, 10.0)]);
        assert_eq!(course(&traffic, START + 10, 4), [Some(2.0); 4], "{is_told_before}");
        assert_eq!(rate(&traffic, START + 10, 4), 2.0);
    }
}

#[test]
fn the_present_step_of_short_reports_counts_when_it_is_over() {
    let traffic = at(START, 1 << 20);
    let stream = Stream::new(traffic.clone(), "a");
    for second in 0..33 {
        traffic.now().advance(START + second);
        let said = [(NUMBER, second as f64), (MADE, 1000.0 + second as f64), (LASTED, 1.0)];
        let said = said.map(|(name, value)| gauge(name, value));
        stream.metrics([said.as_slice(), &[opened(0, 3.0)]].concat());
        if second > 15 {
            assert_eq!(rate(&traffic, START + second, 2), 3.0, "after {second} s");
        }
    }
}

#[test]
fn a_process_that_stood_still_knows_it_by_its_clock() {
    let traffic = Traffic::new(1 << 20);
    let beat = |ago| {
        *traffic.beat.lock().unwrap() = Instant::now().checked_sub(ago);
    };
    let standstill = || traffic.now().standstill(u32::MAX);
    assert_eq!(standstill(), None, "nobody notes that it runs");
    beat(Duration::from_secs(2));
    assert_eq!(standstill(), None);
    beat(Duration::from_secs(30));
    let seconds = standstill().unwrap();
    assert!((30..=35).contains(&seconds), "{seconds} s");
    assert_eq!(standstill(), Some(seconds), "it is found once");
    let now = traffic.now().range().1;
    assert_eq!(traffic.now().standstill(now - 20), None, "of a time before it");
}

#[test]
fn no_number_of_a_peer_s_harms() {
    let traffic = at(START, 1 << 20);
    for (seed, value) in [f64::NAN, -1.0, 1e300, f64::MAX, f64::INFINITY].into_iter().enumerate() {
        let stream = Stream::new(traffic.clone(), "a");
        for name in [COVERED, FIRST, LASTED, MADE, NUMBER] {
            for value in [value, 1.0, value] {
                stream.metrics(vec![gauge(name, value), opened(seed, 1.0)]);
            }
        }
        let all = [COVERED, LASTED, MADE, NUMBER].map(|name| gauge(name, value));
        stream.metrics([all.as_slice(), &[opened(seed, 1.0), more()]].concat());
    }
    let good = Stream::new(traffic.clone(), "b");
    report(&good, 1, 0, &[opened(9, 10.0)]);
    let shown = graph(&traffic.now(), &query(START + 5, 1));
    let edge = shown.edges.iter().find(|edge| edge.id.contains("w9")).unwrap();
    assert_eq!(edge.traffic.tcp.as_ref().unwrap().opened, 2.0);
}
