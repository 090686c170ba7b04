//! What streams may leave behind, and what not.

use envoy_types::pb::io::prometheus::client::{Counter, Gauge, LabelPair, Metric as Sample};
use lateen_telemetry::parts::more;
use lateen_telemetry::standard::{COVERED, Metric, OPEN};

use super::{
    Arc, Collection, Collector, HashMap, Inlet, MetricFamily, Node, Stream, Traffic, WAYS,
};

fn labels(workload: &str) -> Vec<LabelPair> {
    let pair = |(name, value): (&str, &str)| LabelPair {
        name: Some(name.to_owned()),
        value: Some(value.to_owned()),
    };
    let all = [("reporter", "source"), ("request_protocol", "tcp"), ("source_workload", workload)];
    all.map(pair).into()
}

pub(super) fn family(
    metric: Metric,
    workloads: impl Iterator<Item = usize>,
    count: f64,
) -> MetricFamily {
    let sample = |index| Sample {
        label: labels(&format!("w{index}")),
        counter: Some(Counter { value: Some(count), ..Counter::default() }),
        ..Sample::default()
    };
    let name = Some(metric.about().name.to_owned());
    MetricFamily { name, metric: workloads.map(sample).collect(), ..MetricFamily::default() }
}

pub(super) fn standing(workload: &str, count: f64) -> MetricFamily {
    let gauge = Some(Gauge { value: Some(count) });
    let sample = Sample { label: labels(workload), gauge, ..Sample::default() };
    MetricFamily { name: Some(OPEN.to_owned()), metric: vec![sample], ..MetricFamily::default() }
}

fn active(traffic: &Traffic) -> i64 {
    traffic.now().sums(0, u32::MAX).map(|(_, sum)| sum.open).sum()
}

#[test]
fn a_stream_begins_with_what_is_open_and_ends_with_none() {
    let traffic = Traffic::new(1 << 20);
    let (opened, closed) = (Metric::TcpOpened, Metric::TcpClosed);
    for _ in 0..2 {
        let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
        // Three that have ended since the last stream, one that has begun and is over, and five that go on.
        let counts = [family(opened, 0..1, 1.0), family(closed, 0..1, 4.0), standing("w0", 5.0)];
        stream.metrics(counts.into());
        assert_eq!(active(&traffic), 5);
        stream.metrics(vec![family(closed, 0..1, 2.0)]);
        assert_eq!(active(&traffic), 3);
        stream.metrics(vec![family(opened, 1..2, 9.0), standing("w0", 7.0)]);
        assert_eq!(active(&traffic), 7, "and no others");
        drop(stream);
        assert_eq!(active(&traffic), 0);
    }
}

#[test]
fn what_a_peer_may_say_has_no_effect_beyond_its_own() {
    let traffic = Traffic::new(1 << 20);
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    for count in [f64::MAX, -1.0, f64::NAN, f64::MAX] {
        let all = [Metric::TcpOpened, Metric::TcpClosed].map(|metric| family(metric, 0..2, count));
        stream.metrics(all.into());
        stream.metrics(vec![standing("w1", count)]);
    }
    drop(stream);
    assert!(active(&traffic).unsigned_abs() < 4);
}

#[test]
fn a_report_in_parts_says_at_its_end_what_is_open() {
    let (here, there) = (Traffic::new(1 << 20), Traffic::new(1 << 20));
    let stream = |traffic: &Arc<Traffic>| Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    let both = || [active(&here), active(&there)];
    let near = stream(&here);
    near.metrics(vec![family(Metric::TcpOpened, 0..3, 2.0)]);
    // All but the first way are under other names than before.
    near.metrics(vec![standing("w0", 2.0), more()]);
    near.metrics(vec![standing("w7", 2.0), more()]);
    assert_eq!(active(&here), 8, "those that have no name yet may have one in the next part");
    // Another replica hears of the rest.
    let far = stream(&there);
    far.metrics(near.standing());
    assert_eq!(both(), [8, 4]);
    let last = || vec![standing("w2", 1.0), standing("w8", 1.0)];
    near.metrics(last());
    far.metrics(last());
    assert_eq!(both(), [6, 6]);
    for end in [vec![standing("w0", 1.0)], vec![standing("w3", 5.0)]] {
        near.metrics(vec![standing("w8", 1.0), more()]);
        near.metrics(end);
    }
    assert_eq!(active(&here), 6);
    near.metrics(vec![standing("w8", 1.0), more()]);
    drop((near, far));
    assert_eq!(both(), [0, 0], "a report that comes to no end leaves nothing open");
}

#[test]
fn a_report_without_end_keeps_nothing_that_had_to_make_room_and_counts_nothing_below_nothing() {
    const START: u64 = 1_800_000_000;
    let traffic = at(START, 100 << 10);
    let [endless, busy] = [(); 2].map(|()| Stream::new(traffic.clone(), ""));
    endless.metrics(vec![family(Metric::TcpOpened, 0..90, 1.0)]);
    endless.metrics(vec![standing("w0", 1.0), more()]);
    let unnamed = || endless.ways().unnamed.as_ref().map(HashMap::len);
    assert_eq!(unnamed(), Some(89));
    traffic.now().advance(START + 2 * 3600);
    busy.metrics(vec![family(Metric::TcpOpened, 1000..1080, 1.0)]);
    endless.metrics(vec![more()]);
    assert_eq!(unnamed(), Some(0));
    // What is not known any more begins anew, and ends so.
    endless.metrics(vec![standing("w0", 1.0), standing("w1", 1.0), more()]);
    let known: i64 = endless.ways().open.values().map(|open| open.count).sum();
    assert_eq!(active(&traffic), 80 + known);
    drop(endless);
    assert_eq!(active(&traffic), 80);
}

#[test]
fn parts_of_a_report_are_of_one_time() {
    let traffic = Traffic::new(1 << 20);
    let stream = Inlet(traffic.clone()).stream(&Node::default()).unwrap();
    let gauge = |name: &str, value| {
        let sample = Sample { gauge: Some(Gauge { value: Some(value) }), ..Sample::default() };
        let name = Some(name.to_owned());
        MetricFamily { name, metric: vec![sample], ..MetricFamily::default() }
    };
    stream.metrics(vec![gauge(COVERED, 15.0), family(Metric::TcpSent, 0..1, 60.0), more()]);
    stream.metrics(vec![family(Metric::TcpSent, 1..2, 60.0), more()]);
    stream.metrics(vec![family(Metric::TcpSent, 2..3, 60.0)]);
    stream.metrics(vec![family(Metric::TcpSent, 3..4, 60.0)]);
    let (store, mut points) = (traffic.now(), Vec::new());
    store.points(0, u32::MAX, |_, _| Some(()), |_, (), _, point| points.push(point.received));
    points.sort_unstable();
    assert_eq!(points, [20, 20, 20, 20, 20, 20, 20, 20, 20, 60]);
}

/// A place for traffic whose clock is set by hand.
pub(super) fn at(seconds: u64, limit: usize) -> Arc<Traffic> {
    Traffic::of_prometheus(limit, String::new(), seconds)
}

#[test]
fn what_is_quiet_for_hours_is_open_until_it_or_its_stream_ends() {
    const START: u64 = 1_800_000_000;
    let traffic = at(START, 1 << 20);
    let streams = [(); 2].map(|()| Stream::new(traffic.clone(), ""));
    let [one, other] = &streams;
    one.metrics(vec![family(Metric::TcpOpened, 0..1, 60.0)]);
    other.metrics(vec![family(Metric::TcpOpened, 0..1, 40.0)]);
    traffic.now().advance(START + 2 * 3600);
    traffic.now().advance(START + 4 * 3600);
    assert_eq!(active(&traffic), 100);
    one.metrics(vec![family(Metric::TcpSent, 0..1, 9.0)]);
    one.metrics(vec![family(Metric::TcpClosed, 0..1, 60.0)]);
    assert_eq!(active(&traffic), 40);
    drop(streams);
    assert_eq!(active(&traffic), 0);
    traffic.now().advance(START + 6 * 3600);
    traffic.now().advance(START + 8 * 3600);
    assert_eq!(traffic.now().fill().edges, 0);
}

#[test]
fn what_is_quiet_makes_room_for_traffic_and_is_not_counted_below_nothing_later() {
    const START: u64 = 1_800_000_000;
    let traffic = at(START, 100 << 10);
    let quiet = Stream::new(traffic.clone(), "");
    quiet.metrics(vec![family(Metric::TcpOpened, 0..90, 1.0)]);
    traffic.now().advance(START + 2 * 3600);
    let busy = Stream::new(traffic.clone(), "");
    busy.metrics(vec![family(Metric::TcpOpened, 1000..1080, 1.0)]);
    let fill = traffic.now().fill();
    assert_eq!((fill.dropped, active(&traffic)), (0, 80), "{fill:?}");
    quiet.metrics(vec![family(Metric::TcpClosed, 0..5, 1.0)]);
    drop(quiet);
    assert_eq!(active(&traffic), 80);
    busy.metrics(vec![family(Metric::TcpClosed, 1000..1080, 1.0)]);
    assert_eq!(active(&traffic), 0);
}

#[test]
fn a_stream_follows_so_many_ways_and_keeps_none_that_found_no_room() {
    let traffic = Traffic::new(64 << 20);
    let inlet = Inlet(traffic.clone());
    let stream = || Stream::new(inlet.0.clone(), "");
    let opened = |all| vec![family(Metric::TcpOpened, all, 1.0)];
    let one = stream();
    one.metrics(opened(0..WAYS + 5));
    assert_eq!((one.ways().open.len(), active(&traffic)), (WAYS, WAYS as i64));
    let small = Traffic::new(100 << 10);
    let other = Stream::new(small.clone(), "");
    other.metrics(opened(0..5000));
    let fill = small.now().fill();
    assert_eq!(other.ways().open.len(), fill.edges);
    assert!(fill.edges < 200 && fill.dropped as usize == 5000 - fill.edges, "{fill:?}");
    // They are nobody else's: what was refused has left no text.
    assert!(fill.bytes < 101 << 10, "{fill:?}");
}
