//! The course of what both ends report.

use lateen_telemetry::labels::Reporter;

use super::series;
use crate::graph::Query;
use crate::key::tests::tcp;
use crate::key::{Key, Party, Service};
use crate::point::Point;
use crate::store::{Scraped, Store, step_of};
use crate::view::GraphType;

const START: u64 = 1_800_000_000;

fn key(reporter: Reporter, flags: &str) -> Key {
    let party = |workload: &str, namespace: &str| Party {
        workload: workload.into(),
        namespace: namespace.into(),
        ..Party::default()
    };
    let service = Service { host: "s.b.svc.x".into(), name: "s".into(), namespace: "b".into() };
    let key = tcp(party("client", "a"), service, party("server", "b"));
    Key { reporter, flags: flags.into(), ..key }
}

#[test]
fn what_both_ends_report_is_counted_once() {
    let mut store = Store::new(1 << 20, START);
    let point = Point { opened: 10, closed: 10, sent: 50, ..Point::default() };
    for reporter in [Reporter::Source, Reporter::Destination] {
        store.add(START, key(reporter, ""), &point);
        store.add(START + 5, key(reporter, "UF"), &point);
    }
    let at = step_of(START + 5);
    let query = Query {
        r#type: GraphType::Workload,
        namespaces: None,
        confined_to: None,
        duration: 10,
        at,
        services: true,
        idle: false,
    };
    let of = |id: &str| series(&store, id, &query);
    let opened = Some(&vec![Some(2.0), Some(2.0)]);
    let server = of("workload/b/server");
    assert_eq!((server.inbound.get("tcp.opened"), server.outbound.len()), (opened, 0));
    assert_eq!(server.inbound["tcp.failed"], [Some(0.0), Some(2.0)]);
    assert_eq!(of("service/b/s").outbound.get("tcp.opened"), opened);
    assert_eq!(of("workload/a/client>service/b/s#tcp").outbound.get("tcp.opened"), opened);
    assert_eq!(of("namespace/a").outbound.get("tcp.opened"), opened);
    assert_eq!(of("namespace/b").inbound.get("tcp.opened"), opened);
    assert_eq!(of("mesh").outbound.get("tcp.opened"), opened);
    assert!(of("workload/b/other").inbound.is_empty());
}

fn query(at: u64, duration: u64) -> Query {
    Query {
        r#type: GraphType::Workload,
        namespaces: None,
        confined_to: None,
        duration,
        at: step_of(at),
        services: true,
        idle: false,
    }
}

#[test]
fn one_end_is_heard_for_all_lines() {
    let mut store = Store::new(1 << 20, START);
    let client = || key(Reporter::Source, "");
    store.add(START, client(), &Point { opened: 5, ..Point::default() });
    let server = Point { opened: 3, sent: 50, ..Point::default() };
    store.add(START + 60, key(Reporter::Destination, ""), &server);
    let of = |at: u64, name: &str| {
        let series = series(&store, "namespace/b", &query(at, 5));
        series.inbound.get(name).map(|line| line[0].unwrap())
    };
    assert_eq!((of(START, "tcp.active"), of(START, "tcp.opened")), (Some(5.0), Some(1.0)));
    // The client tells nothing of what moved then: nor of what was open.
    let then = START + 60;
    assert_eq!((of(then, "tcp.active"), of(then, "tcp.sent")), (Some(3.0), Some(10.0)));
}

#[test]
fn the_traffic_of_an_outage_is_shown_when_it_was() {
    let mut store = Store::new(1 << 20, START);
    let count = |sent| Point { sent, ..Point::default() };
    store.advance(START + 5);
    let earlier = store.begin(15_000, false);
    store.tell(key(Reporter::Source, ""), &count(1500), earlier);
    store.advance(START + 10);
    let span = store.begin(20_000, false);
    store.tell(key(Reporter::Source, ""), &count(2000), span);
    store.tell(key(Reporter::Source, ""), &count(7), span.later());
    let sent = series(&store, "mesh", &query(START + 10, 25)).outbound["tcp.sent"].clone();
    assert_eq!(sent[0], None, "of which nobody has told");
    let expected = [1000, 1000, 1000, 507].map(|bytes| Some(f64::from(bytes) / 5.0));
    assert_eq!(sent[1..], expected);
    assert_eq!(store.range().0, step_of(START - 5), "it can be looked at");
}

#[test]
fn connections_are_open_from_step_to_step() {
    let mut store = Store::new(1 << 20, START);
    let mut at = |seconds: u64, opened, closed| {
        let point = Point { opened, closed, ..Point::default() };
        store.add(START + seconds, key(Reporter::Source, ""), &point);
    };
    at(0, 5, 0);
    at(60, 1, 2);
    at(70, 0, 3);
    let now = step_of(START + 300);
    store.advance(START + 300);
    let query = |last: u32, duration| Query {
        r#type: GraphType::Workload,
        namespaces: None,
        confined_to: None,
        duration,
        at: last,
        services: true,
        idle: false,
    };
    let active = |last, duration| {
        let edge = "workload/a/client>service/b/s#tcp";
        let mut series = series(&store, edge, &query(last, duration));
        series.outbound.remove("tcp.active").unwrap_or_default()
    };
    assert_eq!(active(step_of(START + 75), 25), [5, 4, 4, 1, 1].map(|n| Some(f64::from(n))));
    assert_eq!(active(now, 10), [Some(1.0); 2], "none was opened or closed in that time");
    assert_eq!(active(step_of(START + 30), 5), [Some(5.0)]);
}

#[test]
fn what_was_before_anything_is_kept_is_unknown_and_not_none() {
    let mut store = Store::new(1 << 20, START);
    let point = Point { opened: 10, sent: 50, ..Point::default() };
    store.add(START + 5, key(Reporter::Source, ""), &point);
    let query = Query {
        r#type: GraphType::Workload,
        namespaces: None,
        confined_to: None,
        duration: 25,
        at: step_of(START + 10),
        services: true,
        idle: false,
    };
    let lines = series(&store, "workload/a/client", &query).outbound;
    assert_eq!(lines["tcp.opened"], [None, None, Some(0.0), Some(2.0), Some(0.0)]);
    assert_eq!(lines["tcp.active"], [None, None, Some(0.0), Some(10.0), Some(10.0)]);
    assert!(lines.values().all(|line| line[..2] == [None, None]), "{lines:?}");
}

#[test]
fn what_the_server_knows_as_another_service_fills_no_gap_of_the_client_s() {
    let (first, mut store) = (step_of(START), Store::of_scrapes(1 << 20, START));
    store.advance(START + 20);
    let client = key(Reporter::Source, "");
    let other = Service { name: "o".into(), host: "o.b.svc.x".into(), namespace: "b".into() };
    let server = Key { service: other, ..key(Reporter::Destination, "") };
    let points = |count: u32| {
        let point = Point { opened: 10, ..Point::default() };
        (first..first + count).map(|step| (step, point.clone())).collect()
    };
    store.put(client.clone(), points(2)).unwrap();
    store.put(server.clone(), points(4)).unwrap();
    let until = |until, is_lost| Some(Scraped { since: first, until, whole: until, is_lost });
    let lost = until(first + 1, true);
    store.scraped(|key| if *key == client { lost } else { until(first + 3, false) });
    let of = |id: &str| {
        let series = series(&store, id, &query(START + 15, 20));
        let all = [series.outbound, series.inbound];
        all.map(|mut lines| lines.remove("tcp.opened").unwrap_or_default())
    };
    let (all, two) = (vec![Some(2.0); 4], vec![Some(2.0), Some(2.0), None, None]);
    assert_eq!(of("workload/a/client"), [all.clone(), vec![]]);
    assert_eq!(of("workload/b/server"), [vec![], all.clone()]);
    assert_eq!(of("service/b/s"), [two.clone(), two.clone()]);
    assert_eq!(of("workload/a/client>service/b/s#tcp"), [two, vec![]]);
    assert_eq!(of("mesh"), [all, vec![]]);
}

#[test]
fn one_that_is_lost_leaves_no_gap_in_what_the_mesh_and_a_namespace_carry() {
    let (first, mut store) = (step_of(START), Store::of_scrapes(1 << 20, START));
    store.advance(START + 20);
    let one = key(Reporter::Source, "");
    let mut two = one.clone();
    two.source.workload = "second".into();
    let point = || Point { opened: 10, ..Point::default() };
    let told = |count: u32| (first..first + count).map(|step| (step, point())).collect();
    store.put(one.clone(), told(2)).unwrap();
    store.put(two, told(4)).unwrap();
    let seen = |steps: u32, is_lost| {
        let until = first + steps - 1;
        Some(Scraped { since: first, until, whole: until, is_lost })
    };
    store.scraped(|key| if *key == one { seen(2, true) } else { seen(4, false) });
    let opened = |store: &Store, id: &str| {
        let mut series = series(store, id, &query(START + 15, 20));
        let side = if id.contains("server") { &mut series.inbound } else { &mut series.outbound };
        side.remove("tcp.opened").unwrap_or_default()
    };
    let both = [Some(4.0), Some(4.0)];
    for id in ["mesh", "namespace/a"] {
        assert_eq!(opened(&store, id), [both, [Some(2.0), Some(2.0)]].concat(), "{id}");
    }
    assert_eq!(opened(&store, "workload/b/server"), [both, [None, None]].concat());
    store.scraped(|_| seen(2, true));
    for id in ["mesh", "namespace/a"] {
        assert_eq!(opened(&store, id), [both, [None, None]].concat(), "{id}: nothing is known");
    }
}
