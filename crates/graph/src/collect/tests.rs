//! What proxies send, and what is known of it afterwards.

use envoy_types::pb::io::prometheus::client::{Counter, Gauge};
use lateen_telemetry::exposition::protobuf_families;
use lateen_telemetry::labels::{Facts, Labels, Reporter, Security, Service};
use lateen_telemetry::peer::Peer;
use lateen_telemetry::registry::Registry;
use lateen_telemetry::standard::{COVERED, FIRST, Metric};

use crate::point::Point;

use super::{Arc, Collection, Inlet, MetricFamily, Node, Report, Sample, Traffic};

#[test]
fn what_began_and_ended_between_two_messages_is_not_open() {
    let registry = Registry::new(100);
    let source = Peer::from_compact("client;a;client;v1;c");
    let service = Service { host: "s.b".into(), name: "s".into(), namespace: "b".into() };
    for way in 0..30 {
        let destination = Peer::from_compact(&format!("server-{way};b;server;v2;c"));
        let count = |flags: &str, metric| {
            let facts = Facts {
                reporter: Reporter::Source,
                source: &source,
                destination: &destination,
                service: &service,
                protocol: "tcp",
                response: None,
                flags: flags.into(),
                security: Security::Unknown,
            };
            registry.counter(metric, &facts.labels()).add(2);
        };
        count("-", Metric::TcpOpened);
        count("UC", Metric::TcpClosed);
    }
    let traffic = Traffic::new(1 << 20);
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    let families = protobuf_families(|out| registry.changes(out));
    stream.metrics(families);
    let store = traffic.now();
    let sums: Vec<_> = store.sums(0, u32::MAX).collect();
    assert_eq!(sums.len(), 60);
    assert_eq!(sums.iter().map(|(_, sum)| sum.open).sum::<i64>(), 0);
}

#[test]
fn what_a_proxy_counts_arrives_as_it_was_counted() {
    let registry = Registry::new(100);
    let (source, destination) =
        (Peer::from_compact("client;a;client;v1;c"), Peer::from_compact("server;b;server;v2;c"));
    let service = Service { host: "s.b".into(), name: "s".into(), namespace: "b".into() };
    let facts = Facts {
        reporter: Reporter::Source,
        source: &source,
        destination: &destination,
        service: &service,
        protocol: "http",
        response: None,
        flags: "-".into(),
        security: Security::Unknown,
    };
    let labels = facts.labels();
    registry.counter(Metric::TcpOpened, &labels).add(3);
    registry.counter(Metric::TcpReceived, &labels).add(70);
    let durations = registry.histogram(Metric::RequestDuration, &labels);
    for value in [1.0, 2.0, 2.0, 300.0] {
        durations.record(value);
    }
    let traffic = Traffic::new(1 << 20);
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    assert_eq!(traffic.proxies(), 1);
    let send = || {
        let families = protobuf_families(|out| registry.changes(out));
        stream.metrics(families);
    };
    send();
    registry.counter(Metric::TcpOpened, &labels).add(1);
    send();
    {
        let store = traffic.now();
        let (key, sum) = store.sums(0, u32::MAX).next().unwrap();
        assert_eq!((&*key.source.workload, &*key.destination.version), ("client", "v2"));
        assert_eq!((sum.points.opened, sum.points.sent, sum.open), (4, 70, 4));
        assert_eq!(sum.points.latency, durations.read().native);
    }
    drop(stream);
    assert_eq!(traffic.proxies(), 0);
    let open = || traffic.now().sums(0, u32::MAX).map(|(_, sum)| sum.open).sum::<i64>();
    assert_eq!(open(), 0, "what a proxy that is gone had open");
    // It was only the stream: what began before it is not counted when it ends.
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    let send = || {
        let families = protobuf_families(|out| registry.changes(out));
        stream.metrics(families);
    };
    registry.counter(Metric::TcpClosed, &labels).add(3);
    send();
    assert_eq!(open(), 0);
    registry.counter(Metric::TcpOpened, &labels).add(2);
    send();
    assert_eq!(open(), 2);
}

fn labels(workload: &str) -> Labels {
    let (source, destination) = (
        Peer::from_compact(&format!("{workload};a;c;v1;c")),
        Peer::from_compact("server;b;s;v2;c"),
    );
    let service = Service { host: "s.b".into(), name: "s".into(), namespace: "b".into() };
    let facts = Facts {
        reporter: Reporter::Source,
        source: &source,
        destination: &destination,
        service: &service,
        protocol: "tcp",
        response: None,
        flags: "-".into(),
        security: Security::Unknown,
    };
    facts.labels()
}

fn changes(registry: &Registry) -> Vec<MetricFamily> {
    protobuf_families(|out| registry.changes(out))
}

/// Opened and closed connections, bytes from clients, and what is open.
fn total(traffic: &Traffic) -> (u64, u64, u64, i64) {
    let (store, mut all) = (traffic.now(), Point::default());
    store.points(0, u32::MAX, |_, _| Some(()), |_, (), _, point| all.add(point));
    let open = store.sums(0, u32::MAX).map(|(_, sum)| sum.open).sum();
    (all.opened, all.closed, all.sent, open)
}

#[test]
fn a_proxy_that_dies_between_reports_is_counted_once_and_its_successor_from_zero() {
    let traffic = Traffic::new(1 << 20);
    let labels = labels("client");
    let first = Registry::new(100);
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    first.counter(Metric::TcpOpened, &labels).add(5);
    first.counter(Metric::TcpReceived, &labels).add(70);
    stream.metrics(changes(&first));
    // This report is made, and never arrives.
    first.counter(Metric::TcpClosed, &labels).add(2);
    drop(changes(&first));
    drop(stream);
    assert_eq!(total(&traffic), (5, 0, 70, 0), "what it had open is gone with it");

    // It is there again with counters that begin anew, lower than they were.
    let second = Registry::new(100);
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    second.counter(Metric::TcpOpened, &labels).add(3);
    second.counter(Metric::TcpReceived, &labels).add(9);
    stream.metrics(changes(&second));
    assert_eq!(total(&traffic), (8, 0, 79, 3));
    second.counter(Metric::TcpClosed, &labels).add(3);
    // Another stream of the same proxy: the link broke, and what was told is not told again.
    drop(stream);
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    stream.metrics(changes(&second));
    assert_eq!(total(&traffic), (8, 3, 79, 0));
    stream.metrics(changes(&second));
    assert_eq!(total(&traffic), (8, 3, 79, 0));
}

#[test]
fn numbers_that_no_counter_has_and_times_of_wrong_clocks_do_no_harm() {
    let traffic = Traffic::new(1 << 20);
    let registry = Registry::new(100);
    registry.counter(Metric::TcpOpened, &labels("client")).add(2);
    let mut families = changes(&registry);
    let year = 365 * 24 * 3_600_000;
    let (before, now) = (traffic.now().range(), super::seconds() as i64 * 1000);
    let sample = families[0].metric[0].clone();
    for (value, time) in [(-5.0, now), (f64::NAN, now), (2.0, now + year), (2.0, now - year)] {
        let counter = Some(Counter { value: Some(value), ..Counter::default() });
        let sample = Sample { counter, timestamp_ms: Some(time), ..sample.clone() };
        families[0].metric.push(sample);
    }
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    stream.metrics(families);
    assert_eq!(total(&traffic), (6, 0, 0, 6));
    let after = traffic.now().range();
    assert!(after.0 == before.0 && after.1 - before.1 < 12, "time is the receiver's");
}

#[test]
fn connections_that_began_elsewhere_are_open_and_no_traffic() {
    let registry = Registry::new(100);
    let labels = labels("client");
    let count = |metric, count| registry.counter(metric, &labels).add(count);
    let changes = || protobuf_families(|out| registry.changes(out));
    let (here, there) = (Traffic::new(1 << 20), Traffic::new(1 << 20));
    let open = |traffic: &Arc<Traffic>| Inlet(traffic.clone()).stream(&Node::default());
    let sum = |traffic: &Traffic| {
        let store = traffic.now();
        let mut sums = store.sums(0, u32::MAX).map(|(key, sum)| (key.clone(), sum.open));
        let (key, open) = sums.next().unwrap();
        assert!(sums.next().is_none());
        drop(sums);
        drop(store);
        let (opened, closed, ..) = total(traffic);
        (key, opened, closed, open)
    };
    let near = open(&here).unwrap();
    assert!(near.standing().is_empty());
    count(Metric::TcpOpened, 3);
    count(Metric::TcpClosed, 1);
    near.metrics(changes());
    let far = open(&there).unwrap();
    far.metrics(near.standing());
    let (key, ..) = sum(&here);
    assert_eq!(sum(&there), (key.clone(), 0, 0, 2));
    count(Metric::TcpClosed, 1);
    let families = changes();
    near.metrics(families.clone());
    far.metrics(families);
    assert_eq!((sum(&here), sum(&there)), ((key.clone(), 3, 2, 1), (key.clone(), 0, 1, 1)));
    drop((near, far));
    assert_eq!((sum(&here).3, sum(&there).3), (0, 0));
}

#[test]
fn a_report_says_what_it_is_over_and_whether_there_was_anything_before() {
    let gauge = |name: &str, value| {
        let gauge = Some(Gauge { value: Some(value) });
        let metric = vec![Sample { gauge, ..Sample::default() }];
        MetricFamily { name: Some(name.to_owned()), metric, ..MetricFamily::default() }
    };
    let steps = |more: &[MetricFamily]| {
        let traffic = Traffic::new(1 << 20);
        let registry = Registry::new(100);
        registry.counter(Metric::TcpReceived, &labels("client")).add(60);
        let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
        stream.metrics(changes(&registry).into_iter().chain(more.iter().cloned()).collect());
        let store = traffic.now();
        let mut points = Vec::new();
        store.points(0, u32::MAX, |_, _| Some(()), |_, (), _, point| points.push(point.sent));
        points
    };
    assert_eq!(steps(&[]), [60]);
    assert_eq!(steps(&[gauge(COVERED, 15.1)]), [20; 3]);
    assert_eq!(steps(&[gauge(COVERED, 14.0)]), [17, 21, 22]);
    assert_eq!(steps(&[gauge(COVERED, 40.0), gauge(FIRST, 1.0)]), [7, 8, 7, 8, 7, 8]);
    assert_eq!(steps(&[gauge(COVERED, 1e300), gauge(FIRST, 1.0)]), [1], "but for a rest");
    assert_eq!(steps(&[gauge(COVERED, f64::NAN)]), [60]);
    let read = |all: &[MetricFamily]| Report::read(all).is_first;
    assert!(read(&[gauge(FIRST, 1.0)]) && !read(&[gauge(COVERED, 14.0)]));
}
