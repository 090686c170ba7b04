//! What proxies send, and what is known of it afterwards.

use lateen_telemetry::exposition::protobuf_families;
use lateen_telemetry::labels::{Facts, Reporter, Security, Service};
use lateen_telemetry::peer::Peer;
use lateen_telemetry::registry::Registry;
use lateen_telemetry::standard::Metric;

use super::{Collection, Inlet, Node, Traffic};

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
    let stream = Inlet(traffic.clone()).stream();
    let families = protobuf_families(|out| registry.changes(out));
    stream.metrics(&Node::default(), families);
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
    let stream = Inlet(traffic.clone()).stream();
    assert_eq!(traffic.proxies(), 1);
    let send = || {
        let families = protobuf_families(|out| registry.changes(out));
        stream.metrics(&Node::default(), families);
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
    let stream = Inlet(traffic.clone()).stream();
    let send = || {
        let families = protobuf_families(|out| registry.changes(out));
        stream.metrics(&Node::default(), families);
    };
    registry.counter(Metric::TcpClosed, &labels).add(3);
    send();
    assert_eq!(open(), 0);
    registry.counter(Metric::TcpOpened, &labels).add(2);
    send();
    assert_eq!(open(), 2);
}
