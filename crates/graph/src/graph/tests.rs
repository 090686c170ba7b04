//! The echo demo as a graph.

mod kiali;
mod known;
mod open;

use std::sync::Arc;

use lateen_telemetry::labels::Reporter;

use super::{Query, graph};
use crate::key::tests::tcp;
use crate::key::{Key, Party, Service};
use crate::point::Point;
use crate::series::series;
use crate::store::{Store, step_of};
use crate::text::text;
use crate::view::{Graph, GraphType, NodeKind, State, Traffic};

const START: u64 = 1_800_000_000;

fn party(workload: &str, version: &str) -> Party {
    Party {
        cluster: "Kubernetes".into(),
        namespace: if workload.starts_with("istio-") { "istio-system" } else { "default" }.into(),
        workload: workload.into(),
        app: workload.split("-v").next().unwrap_or_default().into(),
        version: version.into(),
        principal: "".into(),
    }
}

fn service(name: &str) -> Service {
    let host = format!("{name}.default.svc.cluster.local").into();
    Service { host, name: name.into(), namespace: "default".into() }
}

fn connections(count: u64) -> Point {
    Point {
        opened: count,
        closed: count,
        sent: count * 10,
        received: count * 20,
        ..Point::default()
    }
}

/// The echo demo, with a weighted split and a database outside that refuses.
fn echo() -> Store {
    let mut store = Store::new(1 << 20, START - 60);
    let echo = || service("tcp-echo-server");
    let (client, gateway) = (party("echo-client", "v1"), party("istio-ingressgateway", "latest"));
    let mut add = |key: Key, point: Point| store.add(START, key, &point);
    add(tcp(client.clone(), echo(), party("echo-server-v1", "v1")), connections(80));
    add(tcp(client.clone(), echo(), party("echo-server-v2", "v2")), connections(20));
    add(tcp(gateway, echo(), party("echo-server-v1", "v1")), connections(60));
    let inbound = tcp(client.clone(), echo(), party("echo-server-v1", "v1"));
    add(Key { reporter: Reporter::Destination, mutual_tls: true, ..inbound }, connections(80));
    let database = Service {
        host: "db.example.com".into(),
        name: "db.example.com".into(),
        namespace: "".into(),
    };
    let refused = tcp(client, database, Party::default());
    add(Key { flags: "UF,URX".into(), ..refused }, connections(6));
    store
}

/// The same, whose client dials one of the servers by its own address, too.
fn echo_by_both_ways() -> Store {
    let mut store = echo();
    let passed = Service { name: "PassthroughCluster".into(), ..Service::default() };
    let direct = tcp(party("echo-client", "v1"), passed, party("echo-server-v1", "v1"));
    store.add(START, direct, &connections(12));
    store
}

fn query(r#type: GraphType) -> Query {
    let at = step_of(START);
    Query {
        r#type,
        namespaces: None,
        confined_to: None,
        duration: 60,
        at,
        services: true,
        idle: false,
    }
}

fn edges(store: &Store, query: &Query) -> Vec<String> {
    graph(store, query).edges.into_iter().map(|edge| edge.id).collect()
}

#[test]
fn the_demo_is_clients_a_service_and_its_versions() {
    let graph = graph(&echo(), &query(GraphType::Workload));
    let edges: Vec<&str> = graph.edges.iter().map(|edge| edge.id.as_str()).collect();
    assert_eq!(
        edges,
        [
            "workload/default/echo-client>service/default/tcp-echo-server#tcp",
            "workload/default/echo-client>serviceEntry//db.example.com#tcp",
            "workload/istio-system/istio-ingressgateway>service/default/tcp-echo-server#tcp",
            "service/default/tcp-echo-server>workload/default/echo-server-v1#tcp",
            "service/default/tcp-echo-server>workload/default/echo-server-v2#tcp",
        ]
    );
    let first = &graph.edges[0];
    let traffic = first.traffic.tcp.as_ref().unwrap();
    assert_eq!(traffic.active, 0);
    assert_eq!(
        (traffic.opened, traffic.sent, first.share),
        (100.0 / 60.0, 1000.0 / 60.0, Some(1.0))
    );
    assert_eq!(graph.edges[3].share, Some(140.0 / 160.0));
    assert!(graph.nodes.iter().all(|node| node.name != "unknown"), "{:?}", graph.nodes);
}

#[test]
fn an_edge_that_leads_to_several_services_names_none_of_them() {
    let mut store = echo();
    let other =
        Service { host: "other.default.svc".into(), name: "other".into(), ..service("other") };
    let client = party("echo-client", "v1");
    store.add(START, tcp(client, other, party("echo-server-v1", "v1")), &connections(30));
    let query = Query { services: false, ..query(GraphType::Workload) };
    let graph = graph(&store, &query);
    let from_client = |target: &str| {
        let mut edges = graph.edges.iter().filter(|edge| edge.source.ends_with("echo-client"));
        edges.find(|edge| edge.target.ends_with(target)).unwrap()
    };
    let (first, second) = (from_client("echo-server-v1"), from_client("echo-server-v2"));
    assert_eq!((first.service.as_deref(), first.share), (None, None));
    let host = service("tcp-echo-server").host;
    assert_eq!((second.service.as_deref(), second.share), (Some(&*host), Some(0.2)));
}

#[test]
fn a_refused_connection_turns_its_edge_red_and_says_why() {
    let graph = graph(&echo(), &query(GraphType::Workload));
    let edge = graph.edges.iter().find(|edge| edge.target.starts_with("serviceEntry")).unwrap();
    assert_eq!(edge.health.state, State::Failing);
    assert_eq!(edge.health.reasons, ["100% of 6 connections failed, most with UF,URX"]);
    let node = graph.nodes.iter().find(|node| node.kind == NodeKind::ServiceEntry).unwrap();
    assert_eq!((node.name.as_str(), node.health.state), ("db.example.com", State::Failing));
}

#[test]
fn what_a_server_refused_is_told_as_its_own_proxy_says() {
    let mut store = Store::new(1 << 20, START - 60);
    let key = tcp(party("c", "v1"), service("tcp-echo-server"), party("s", "v1"));
    let mut told = |reporter, flags: &str, count| {
        let key = Key { reporter, flags: flags.into(), ..key.clone() };
        store.add(START, key, &connections(count));
    };
    told(Reporter::Source, "UR", 4);
    told(Reporter::Source, "UF", 1);
    let query = query(GraphType::Workload);
    let flags = |store: &Store| graph(store, &query).edges[0].traffic.tcp.clone().unwrap().flags;
    let names = |store: &Store| flags(store).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&store), ["UF", "UR"], "its proxy says nothing");
    let mut told = |flags: &str, count| {
        let key = Key { reporter: Reporter::Destination, flags: flags.into(), ..key.clone() };
        store.add(START, key, &connections(count));
    };
    told("", 9);
    told("UF,URX", 3);
    told("UC", 1);
    assert_eq!(names(&store), ["UF", "UF,URX"]);
    let reasons = &graph(&store, &query).edges[0].health.reasons;
    assert_eq!(reasons, &["100% of 5 connections failed, most with UF,URX"]);
}

#[test]
fn what_goes_on_counts_beside_what_failed() {
    let mut store = Store::new(1 << 20, START - 60);
    let ends = || tcp(party("echo-client", "v1"), service("echo"), party("echo", "v1"));
    let open = Point { opened: 3, sent: 10, ..Point::default() };
    store.add(START, ends(), &open);
    store.add(START, Key { flags: "UF,URX".into(), ..ends() }, &connections(1));
    let graph = graph(&store, &query(GraphType::Workload));
    assert_eq!(graph.edges[0].health.reasons, ["25% of 4 connections failed, most with UF,URX"]);
}

#[test]
fn security_is_told_by_the_server() {
    let graph = graph(&echo(), &query(GraphType::Workload));
    let to = |target: &str| graph.edges.iter().find(|edge| edge.target.ends_with(target)).unwrap();
    assert_eq!(to("echo-server-v1").mtls, "full");
    assert_eq!(to("echo-server-v2").mtls, "none");
}

#[test]
fn types_of_graphs_have_their_nodes() {
    let store = echo();
    let apps = edges(&store, &query(GraphType::App));
    assert!(
        apps.contains(&"service/default/tcp-echo-server>app/default/echo-server#tcp".to_owned())
    );
    let versions = edges(&store, &query(GraphType::VersionedApp));
    let second = "service/default/tcp-echo-server>app/default/echo-server/v2#tcp";
    assert!(versions.contains(&second.to_owned()), "{versions:?}");
    let services = edges(&store, &query(GraphType::Service));
    assert!(services.iter().all(|edge| !edge.starts_with("service/")), "{services:?}");
    let direct = Query { services: false, ..query(GraphType::Workload) };
    let direct = edges(&store, &direct);
    let way = "workload/default/echo-client>workload/default/echo-server-v1#tcp";
    assert!(direct.contains(&way.to_owned()), "{direct:?}");
}

#[test]
fn a_version_of_an_app_has_its_workload_if_it_is_one_alone() {
    let mut store = echo();
    let workload = |store: &Store, r#type, id: &str| {
        let nodes = graph(store, &query(r#type)).nodes;
        nodes.into_iter().find(|node| node.id == id).unwrap().workload
    };
    let of = |store: &Store, id: &str| workload(store, GraphType::VersionedApp, id);
    let second = "app/default/echo-server/v2";
    assert_eq!(of(&store, second).as_deref(), Some("echo-server-v2"));
    assert_eq!(of(&store, "service/default/tcp-echo-server"), None);
    for r#type in [GraphType::App, GraphType::Service] {
        assert_eq!(workload(&store, r#type, "app/default/echo-client"), None, "{type:?}");
    }
    for (client, other) in [(1, "echo-server-v2-canary"), (2, "echo-server-v2")] {
        let server = Party { app: "echo-server".into(), ..party(other, "v2") };
        let client = party(&format!("client-{client}"), "v1");
        store.add(START, tcp(client, service("tcp-echo-server"), server), &connections(1));
    }
    assert_eq!(of(&store, second), None, "it would be one of several");
    assert_eq!(of(&store, "app/default/echo-server/v1").as_deref(), Some("echo-server-v1"));
}

#[test]
fn only_the_namespaces_that_are_asked_for_are_shown() {
    let other = Query { namespaces: Some(["shop".to_owned()].into()), ..query(GraphType::App) };
    assert!(edges(&echo(), &other).is_empty());
}

#[test]
fn without_traffic_there_is_nothing_but_what_is_idle() {
    let mut store = echo();
    store.advance(START + 600);
    let later = Query { at: step_of(START + 600), ..query(GraphType::Workload) };
    assert!(graph(&store, &later).nodes.is_empty());
    let idle = graph(&store, &Query { idle: true, ..later });
    assert_eq!(idle.edges.len(), 5);
    assert!(idle.nodes.iter().all(|node| node.health.state == State::Idle));
}

#[test]
fn a_server_reports_clients_that_have_no_proxy() {
    let mut store = Store::new(1 << 20, START - 60);
    let unknown = tcp(Party::default(), service("echo"), party("echo", "v1"));
    store.add(START, Key { reporter: Reporter::Destination, ..unknown }, &connections(1));
    let edges = edges(&store, &query(GraphType::Workload));
    assert_eq!(edges[1], "client//clients outside the mesh>service/default/echo#tcp");
}

#[test]
fn a_terminal_gets_a_line_per_edge() {
    let shown = text(&graph(&echo(), &query(GraphType::Workload)));
    let first = shown.lines().next().unwrap();
    assert!(first.starts_with("echo-client v1 (default)"), "{shown}");
    assert!(first.ends_with("tcp 1.7 conn/s, 50 B/s"), "{shown}");
    assert!(
        shown.contains("tcp 0.33 conn/s, 10 B/s, 13% of new connections"),
        "the smaller part of a split: {shown}"
    );
    assert!(shown.contains("db.example.com") && shown.contains("6 connections failed"), "{shown}");
}

fn confined(namespace: &str) -> Query {
    let only = Some(Arc::new([namespace.to_owned()].into()));
    Query { confined_to: only, ..query(GraphType::Workload) }
}

#[test]
fn whoever_may_look_into_one_namespace_is_told_nothing_of_others() {
    let store = echo();
    let gateway = graph(&store, &confined("istio-system"));
    let names: Vec<&str> = gateway.nodes.iter().map(|node| &*node.name).collect();
    assert_eq!(names, ["other namespaces", "istio-ingressgateway"]);
    let edges: Vec<&str> = gateway.edges.iter().map(|edge| &*edge.id).collect();
    assert_eq!(
        edges,
        ["workload/istio-system/istio-ingressgateway>workload//other namespaces#tcp"]
    );
    assert_eq!(gateway.edges[0].service, None);
    assert!(gateway.notices[0].contains("left out"), "{:?}", gateway.notices);

    let asked =
        Query { namespaces: Some(["default".to_owned()].into()), ..confined("istio-system") };
    assert!(graph(&store, &asked).edges.is_empty(), "what is hidden can be asked for");
    assert!(graph(&store, &confined("bank")).nodes.is_empty());

    let shop = graph(&store, &confined("default"));
    let told = format!("{shop:?}");
    assert!(!told.contains("istio-") && told.contains("db.example.com"), "{told}");
    let mut whole: Vec<_> = edges_of(&graph(&store, &query(GraphType::Workload)));
    whole.iter_mut().for_each(|edge| {
        *edge = edge.replace("istio-system/istio-ingressgateway", "/other namespaces");
    });
    whole.sort();
    assert_eq!(edges_of(&shop), whole);
}

fn edges_of(graph: &Graph) -> Vec<String> {
    let mut all: Vec<String> = graph.edges.iter().map(|edge| edge.id.clone()).collect();
    all.sort();
    all
}

#[test]
fn the_course_of_what_is_hidden_is_not_told() {
    let store = echo();
    let is_empty = |id: &str| {
        let series = series(&store, id, &confined("istio-system"));
        series.inbound.is_empty() && series.outbound.is_empty()
    };
    for hidden in
        ["namespace/default", "workload/default/echo-client", "service/default/tcp-echo-server"]
    {
        assert!(is_empty(hidden), "{hidden}");
    }
    assert!(!is_empty("namespace/istio-system") && !is_empty("mesh"));
    let (within, touches) = (["default".to_owned()].into(), ["istio-system".to_owned()].into());
    let key = tcp(party("istio-ingressgateway", ""), service("echo"), Party::default());
    assert!(!key.is_within(&within) && !key.is_within(&touches));
    let own = tcp(party("echo-client", ""), service("echo"), Party::default());
    assert!(own.is_within(&within) && !own.is_within(&touches));
}

#[test]
fn whatever_is_shown_has_a_course() {
    let store = echo_by_both_ways();
    let types = [GraphType::Workload, GraphType::App, GraphType::VersionedApp, GraphType::Service];
    for r#type in types {
        for query in [query(r#type), Query { r#type, ..confined("default") }] {
            let shown = graph(&store, &query);
            let without = Query { services: false, ..query.clone() };
            let direct = graph(&store, &without);
            let all = shown.edges.iter().map(|edge| (edge, &query));
            for (edge, query) in all.chain(direct.edges.iter().map(|edge| (edge, &without))) {
                let course = series(&store, &edge.id, query);
                let steps = course.outbound["tcp.opened"].iter().flatten().sum::<f64>();
                let rate = edge.traffic.tcp.as_ref().unwrap().opened;
                assert!((steps * 5.0 - rate * 60.0).abs() < 0.1, "{}", edge.id);
            }
            // A graph of services does not show where they lead.
            for node in shown.nodes.iter().filter(|_| r#type != GraphType::Service) {
                let course = series(&store, &node.id, &query);
                let sides = (node.r#in != Traffic::default(), node.out != Traffic::default());
                let has = (!course.inbound.is_empty(), !course.outbound.is_empty());
                assert_eq!(has, sides, "{}", node.id);
            }
        }
    }
}

#[test]
fn clients_that_break_their_connections_off_make_no_server_sick() {
    let mut store = Store::new(1 << 20, START - 60);
    let key = tcp(party("probe", "v1"), service("tcp-echo-server"), party("echo-server-v1", "v1"));
    store.add(START, Key { flags: "DC".into(), ..key }, &connections(30));
    let graph = graph(&store, &query(GraphType::Workload));
    let into = graph.nodes.iter().find(|node| node.name == "echo-server-v1").unwrap();
    assert_eq!(into.health.state, State::Healthy, "{:?}", into.health);
    let tcp = into.r#in.tcp.as_ref().unwrap();
    assert_eq!((tcp.failed, tcp.flags.len()), (0.0, 1), "they are counted: {tcp:?}");
}

#[test]
fn a_workload_that_is_dialled_by_its_own_address_is_told_of_once() {
    let mut store = Store::new(1 << 20, START - 60);
    let ends = (party("free", "v1"), party("echo-server-v1", "v1"));
    let of = |reporter, service: Service| Key {
        reporter,
        ..tcp(ends.0.clone(), service, ends.1.clone())
    };
    let passed = Service { name: "PassthroughCluster".into(), ..Service::default() };
    store.add(START, of(Reporter::Source, passed), &connections(12));
    let at_server = || of(Reporter::Destination, service("tcp-echo-server"));
    store.add(START, at_server(), &connections(12));
    let outside = Key { source: Party::default(), ..at_server() };
    store.add(START, outside, &connections(3));
    let shown = graph(&store, &query(GraphType::Workload));
    let server = shown.nodes.iter().find(|node| node.id.ends_with("/echo-server-v1")).unwrap();
    let opened = server.r#in.tcp.as_ref().unwrap().opened * 60.0;
    assert_eq!(opened.round() as u64, 15);
    let client = shown.nodes.iter().find(|node| node.id.ends_with("/free")).unwrap();
    let course = series(&store, &client.id, &query(GraphType::Workload));
    assert_eq!(shown.edges.iter().filter(|edge| edge.source == client.id).count(), 1);
    assert!(course.inbound.is_empty());
}

#[test]
fn a_server_of_two_services_is_told_of_by_the_one_that_was_dialled() {
    let mut store = Store::new(1 << 20, START - 60);
    let ends = (party("echo-client", "v1"), party("echo-server-v1", "v1"));
    let of = |reporter, name: &str| Key {
        reporter,
        ..tcp(ends.0.clone(), service(name), ends.1.clone())
    };
    // The server's proxy takes the first service of the port that was reached.
    store.add(START, of(Reporter::Source, "web"), &connections(12));
    store.add(START, of(Reporter::Destination, "another"), &connections(12));
    for services in [true, false] {
        let query = Query { services, ..query(GraphType::Workload) };
        let shown = graph(&store, &query);
        let server = shown.nodes.iter().find(|node| node.id.ends_with("/echo-server-v1")).unwrap();
        let opened = server.r#in.tcp.as_ref().unwrap().opened * 60.0;
        assert_eq!(opened.round() as u64, 12);
        assert!(shown.nodes.iter().all(|node| !node.id.ends_with("/another")));
        let course = series(&store, &server.id, &query);
        let counted: f64 = course.inbound["tcp.opened"].iter().flatten().sum();
        assert_eq!((counted * 5.0).round() as u64, 12);
    }
}

/// What a client and a gateway dial, as both ends tell of it: a server's proxy knows one name of its port.
fn told_by_both_ends(names: &[Service], known: &Service, principal: &str) -> Store {
    let mut store = Store::new(1 << 20, START - 60);
    let server = || Party { principal: principal.into(), ..party("echo-server-v1", "v1") };
    for client in ["echo-client", "istio-ingressgateway"] {
        let client = || party(client, "v1");
        for name in names {
            store.add(
                START,
                tcp(client(), name.clone(), party("echo-server-v1", "v1")),
                &connections(12),
            );
            let seen = Key {
                reporter: Reporter::Destination,
                mutual_tls: true,
                ..tcp(client(), known.clone(), server())
            };
            store.add(START, seen, &connections(12));
        }
    }
    store
}

#[test]
fn all_services_of_one_workload_are_told_of_once_each_and_have_their_locks() {
    let headless =
        Service { host: "echo-headless.default.svc.cluster.local".into(), ..service("headless") };
    let entry = Service { host: "echo.example.com".into(), ..service("echo.example.com") };
    let passed = Service { name: "PassthroughCluster".into(), ..Service::default() };
    let all = [service("first"), service("second"), service("third"), headless, entry, passed];
    let (own, another) = (service("second"), service("another"));
    let spiffe = "spiffe://cluster.local/ns/default/sa/echo";
    for (names, known, principal) in [
        (&all[..3], &own, ""),
        (&all[..3], &another, ""),
        (&all[2..5], &another, ""),
        (&all[3..], &all[3], ""),
        (&all[..], &another, spiffe),
        (&all[1..2], &own, spiffe),
    ] {
        let store = told_by_both_ends(names, known, principal);
        let expected = 2 * 12 * names.len() as u64;
        for services in [true, false] {
            let query = Query { services, ..query(GraphType::Workload) };
            let shown = graph(&store, &query);
            let about = format!("{names:?} {known:?} {services}: {:?}", shown.edges);
            let node =
                |name: &str| shown.nodes.iter().find(|node| node.id.ends_with(name)).unwrap();
            let count = |traffic: &Traffic| {
                traffic.tcp.as_ref().map_or(0, |tcp| (tcp.opened * 60.0).round() as u64)
            };
            let server = node("/echo-server-v1");
            assert_eq!(count(&server.r#in), expected, "{about}");
            for client in ["/echo-client", "/istio-ingressgateway"] {
                assert_eq!(count(&node(client).out), expected / 2, "{about}");
            }
            assert!(shown.edges.iter().all(|edge| edge.mtls == "full"), "{about}");
            let course = series(&store, &server.id, &query);
            let counted: f64 = course.inbound["tcp.opened"].iter().flatten().sum();
            assert_eq!((counted * 5.0).round() as u64, expected, "{about}");
            let services = shown.nodes.iter().filter(|node| !node.id.starts_with("workload/"));
            let shown_services = if query.services {
                names.iter().filter(|name| !name.host.is_empty()).count()
            } else {
                0
            };
            assert_eq!(services.count(), shown_services, "{about}");
        }
    }
}

#[test]
fn a_way_that_is_not_mutual_tls_has_no_lock_of_another_service() {
    let mut store = Store::new(1 << 20, START - 60);
    for (name, mutual_tls) in [("first", true), ("second", false)] {
        let key = tcp(party("echo-client", "v1"), service(name), party("echo-server-v1", "v1"));
        store.add(START, key.clone(), &connections(12));
        let seen = Key { reporter: Reporter::Destination, mutual_tls, ..key };
        store.add(START, seen, &connections(12));
    }
    let shown = graph(&store, &query(GraphType::Workload));
    let locks = shown.edges.iter().map(|edge| (edge.target.rsplit('/').next().unwrap(), edge.mtls));
    let of = |name: &str, lock| locks.clone().filter(|known| *known == (name, lock)).count();
    assert_eq!((of("first", "full"), of("second", "none")), (1, 1));
}

#[test]
fn what_is_open_to_a_service_that_nothing_goes_over_is_not_lost_to_another_s_traffic() {
    let mut store = Store::new(1 << 20, START - 60);
    let key =
        |name: &str| tcp(party("echo-client", "v1"), service(name), party("echo-server-v1", "v1"));
    store.stand(key("quiet"), 3);
    store.add(START, key("busy"), &connections(12));
    // The server knows all of it by one name.
    let seen = Key { reporter: Reporter::Destination, ..key("quiet") };
    store.stand(seen.clone(), 3);
    store.add(START, seen, &connections(12));
    let shown = graph(&store, &Query { idle: true, services: false, ..query(GraphType::Workload) });
    let tcp = shown.edges[0].traffic.tcp.clone().unwrap();
    assert_eq!((shown.edges.len(), tcp.active, (tcp.opened * 60.0).round() as u64), (1, 3, 12));
}

#[test]
fn a_service_without_endpoints_is_itself_where_services_are_not_shown_too() {
    let mut store = Store::new(1 << 20, START - 60);
    let failed = |service| {
        let key = tcp(party("echo-client", "v1"), service, Party::default());
        Key { flags: "UH".into(), ..key }
    };
    let database = Service { host: "db.example.com".into(), ..service("db.example.com") };
    let lost = Service { name: "PassthroughCluster".into(), ..Service::default() };
    for service in [service("empty"), database, lost] {
        store.add(START, failed(service), &connections(1));
    }
    for services in [true, false] {
        let query = Query { services, ..query(GraphType::Workload) };
        let targets = graph(&store, &query).edges.into_iter().map(|edge| edge.target);
        let named = ["service/default/empty", "serviceEntry/default/db.example.com"];
        let expected = [named[0], named[1], "outside//PassthroughCluster"];
        assert_eq!(targets.collect::<Vec<_>>(), expected, "services: {services}");
    }
}
