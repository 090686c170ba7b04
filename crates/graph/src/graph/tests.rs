//! The echo demo as a graph.

use std::sync::Arc;

use lateen_telemetry::labels::Reporter;
use serde_json::json;

use super::{Query, graph, notices};
use crate::key::tests::tcp;
use crate::key::{Key, Party, Service};
use crate::kiali::{TcpRate, kiali};
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
fn kiali_is_told_the_same_in_its_own_words() {
    let told = serde_json::to_value(kiali(
        &graph(&echo(), &query(GraphType::Workload)),
        None,
        TcpRate::Total,
    ))
    .unwrap();
    assert_eq!((&told["graphType"], &told["duration"]), (&json!("workload"), &json!(60)));
    let of = |list: &str, id: &str| {
        let all = told["elements"][list].as_array().unwrap().iter().map(|one| &one["data"]);
        all.clone().find(|one| one["id"] == id).unwrap().clone()
    };
    let id = "workload/default/echo-server-v1";
    assert_eq!(
        of("nodes", id),
        json!({
            "id": id, "nodeType": "workload", "cluster": "Kubernetes", "namespace": "default",
            "healthData": null, "workload": "echo-server-v1", "app": "echo-server", "version": "v1",
            "destServices": [
                {"cluster": "Kubernetes", "namespace": "default", "name": "tcp-echo-server"},
            ],
            "traffic": [{"protocol": "tcp", "rates": {"tcpIn": "70.00"}}],
        })
    );
    let echo = of("nodes", "service/default/tcp-echo-server");
    assert_eq!((&echo["cluster"], &echo["app"]), (&json!("Kubernetes"), &json!(null)));
    let db = "serviceEntry//db.example.com";
    assert_eq!(
        of("nodes", db),
        json!({
            "id": db, "nodeType": "service", "cluster": "Kubernetes", "namespace": "unknown",
            "service": "db.example.com", "isInaccessible": true, "healthData": null,
            "destServices": [
                {"cluster": "Kubernetes", "namespace": "unknown", "name": "db.example.com"},
            ],
            "isServiceEntry": {
                "hosts": ["db.example.com"], "location": "MESH_EXTERNAL", "namespace": "unknown",
            },
            "traffic": [{"protocol": "tcp", "rates": {"tcpIn": "3.00"}}],
        })
    );
    let client = "workload/default/echo-client";
    assert_eq!(of("nodes", client)["isRoot"], true);
    let refused = format!("{client}>{db}#tcp");
    assert_eq!(
        of("edges", &refused),
        json!({
            "id": refused, "source": client, "target": db,
            "traffic": {"protocol": "tcp", "rates": {"tcp": "3.00"},
                        "responses": {"-": {"flags": {"UF,URX": "100.0"}, "hosts": {"db.example.com": "100.0"}}}},
        })
    );
    let secure = of("edges", &format!("service/default/tcp-echo-server>{id}#tcp"));
    assert_eq!(secure["isMTLS"], "100");
}

#[test]
fn kiali_reads_the_bytes_that_it_asks_for() {
    let graph = graph(&echo(), &query(GraphType::Workload));
    let rate = |rate: &str| {
        let told =
            serde_json::to_value(kiali(&graph, None, TcpRate::read(Some(rate)).unwrap())).unwrap();
        let node = told["elements"]["nodes"][0]["data"]["traffic"][0]["rates"]["tcpOut"].clone();
        (node, told["elements"]["edges"][0]["data"]["traffic"]["rates"]["tcp"].clone())
    };
    // Istio's name for what the server sends; the fixture has twice as much of it.
    assert_eq!(rate("sent"), (json!("35.33"), json!("33.33")));
    assert_eq!(rate("received"), (json!("17.67"), json!("16.67")));
    assert_eq!(rate("total"), (json!("53.00"), json!("50.00")));
    assert_eq!(rate("none"), (json!(null), json!(null)));
    assert_eq!(TcpRate::read(None), TcpRate::read(Some("sent")));
}

#[test]
fn kiali_is_told_what_nodes_are_and_what_acts_on_them() {
    let mut graph = graph(&echo(), &query(GraphType::Workload));
    let at = |graph: &Graph, id: &str| graph.nodes.iter().position(|node| node.id == id).unwrap();
    let gateway = at(&graph, "workload/istio-system/istio-ingressgateway");
    graph.nodes[gateway].gateway = Some("ingress");
    let service = at(&graph, "service/default/tcp-echo-server");
    graph.nodes[service].badges = vec!["virtualService", "trafficShifting", "circuitBreaker"];
    let hosts = |host: &str| [host.to_owned()].into();
    graph.nodes[gateway].configured.served = hosts("*");
    let configured = &mut graph.nodes[service].configured;
    (configured.routed, configured.shifts_connections) = (hosts("echo.example.com"), true);
    let server = at(&graph, "workload/default/echo-server-v2");
    graph.nodes[server].out_of_mesh = true;
    let told = serde_json::to_value(kiali(&graph, None, TcpRate::Sent)).unwrap();
    let node = |at: usize| told["elements"]["nodes"][at]["data"].clone();
    assert_eq!(node(gateway)["isGateway"], json!({"ingressInfo": {"hostnames": ["*"]}}));
    assert_eq!((&node(gateway)["isRoot"], &node(service)["isRoot"]), (&json!(true), &json!(null)));
    let of = ["hasVS", "hasTCPTrafficShifting", "hasTrafficShifting", "hasCB", "hasMirroring"]
        .map(|name| node(service)[name].clone());
    let routed = json!({"hostnames": ["echo.example.com"]});
    assert_eq!(of, [routed, json!(true), json!(null), json!(true), json!(null)]);
    graph.nodes[service].configured.shifts_requests = true;
    graph.nodes[service].configured.routed.clear();
    let told = serde_json::to_value(kiali(&graph, None, TcpRate::Sent)).unwrap();
    let plain = &told["elements"]["nodes"][service]["data"];
    assert_eq!((&plain["hasVS"], &plain["hasTrafficShifting"]), (&json!({}), &json!(true)));
    assert_eq!(node(server)["isOutOfMesh"], true);
}

#[test]
fn kiali_reads_how_connections_ended_in_percent() {
    let mut store = echo();
    let refused =
        tcp(party("echo-client", "v1"), service("tcp-echo-server"), party("echo-server-v2", "v2"));
    store.add(
        START,
        Key { flags: "UC".into(), ..refused },
        &Point { closed: 20, ..Point::default() },
    );
    let all = serde_json::to_value(kiali(
        &graph(&store, &query(GraphType::Workload)),
        None,
        TcpRate::Total,
    ))
    .unwrap();
    let edges = all["elements"]["edges"].as_array().unwrap();
    let of = |target: &str| {
        let to =
            |edge: &&serde_json::Value| edge["data"]["target"].as_str().unwrap().ends_with(target);
        edges.iter().find(to).unwrap()["data"]["traffic"]["responses"].clone()
    };
    let host = serde_json::json!({ "tcp-echo-server.default.svc.cluster.local": "100.0" });
    let expected =
        |flags: serde_json::Value| serde_json::json!({ "-": { "flags": flags, "hosts": host } });
    assert_eq!(of("echo-server-v1"), expected(serde_json::json!({ "-": "100.0" })));
    let half = serde_json::json!({ "-": "50.0", "UC": "50.0" });
    assert_eq!(of("echo-server-v2"), expected(half));
    let outside = &of("db.example.com")["-"]["flags"];
    assert_eq!(*outside, serde_json::json!({ "UF,URX": "100.0" }));
}

#[test]
fn all_of_an_hour_is_known_while_the_report_of_a_step_is_awaited() {
    let mut store = Store::new(1 << 20, START);
    for step in 0..=720 {
        store.add(START + 5 * step, from("a"), &connections(10));
    }
    let now = START + 5 * 721;
    store.advance(now);
    let hour = Query { at: step_of(now), duration: 3600, ..query(GraphType::Service) };
    let graph = graph(&store, &hour);
    assert_eq!(graph.edges[0].traffic.tcp.as_ref().unwrap().opened, 2.0);
    assert!(graph.notices.is_empty(), "{:?}", graph.notices);
    let course = series(&store, &graph.edges[0].id, &Query { at: hour.at - 1, ..hour });
    assert_eq!(course.outbound["tcp.opened"], [Some(2.0); 720]);
}

#[test]
fn rates_are_over_the_time_that_something_is_known_of() {
    let key = || tcp(party("a", "v1"), service("tcp-echo-server"), party("b", "v1"));
    let mut store = Store::new(1 << 20, START);
    let span = store.begin(15_000, false);
    store.tell(key(), &connections(30), span);
    let query = Query { at: step_of(START), ..query(GraphType::Workload) };
    let young = graph(&store, &query);
    assert_eq!(young.edges[0].traffic.tcp.as_ref().unwrap().opened, 2.0);
    assert_eq!(young.notices, ["rates are over the 15 s of these 60 s that are known"]);
    store.add(START + 60, key(), &connections(30));
    let grown = graph(&store, &Query { at: step_of(START + 60), ..query });
    assert_eq!(grown.edges[0].traffic.tcp.as_ref().unwrap().opened, 0.5);
    assert!(grown.notices.is_empty());
}

/// The connections per second that each client opens, in the order of their names.
fn opened(store: &Store, at: u64) -> Vec<f64> {
    let query = Query { at: step_of(at), ..query(GraphType::Service) };
    let edges = graph(store, &query).edges;
    edges.iter().map(|edge| edge.traffic.tcp.as_ref().unwrap().opened).collect()
}

fn from(client: &str) -> Key {
    tcp(party(client, "v1"), service("tcp-echo-server"), party("b", "v1"))
}

#[test]
fn a_young_store_waits_for_the_present_step_without_lower_rates() {
    let mut store = Store::new(1 << 20, START);
    for step in 0..3 {
        let now = START + 5 * step;
        store.advance(now);
        let expected = if step == 0 { [].as_slice() } else { &[2.0] };
        assert_eq!(opened(&store, now), expected, "before the report of step {step}");
        store.add(now, from("a"), &connections(10));
        assert_eq!(opened(&store, now), [2.0], "after that of step {step}");
    }
    store.add(START + 15, from("other"), &connections(40));
    assert_eq!(opened(&store, START + 15), [2.0, 2.0], "one waits, the other does not");
    let young = graph(&store, &Query { at: step_of(START + 15), ..query(GraphType::Workload) });
    assert_eq!(young.notices, ["rates are over the 15 s to 20 s of these 60 s that are known"]);
    let server = young.nodes.iter().find(|node| node.name == "b").unwrap();
    assert_eq!(server.r#in.tcp.as_ref().unwrap().opened, 4.0);
}

#[test]
fn a_range_whose_ends_read_alike_is_told_as_one_time() {
    for (duration, wanted) in [(300, "5 min"), (130, "130 s")] {
        let query = Query { duration, ..query(GraphType::Workload) };
        let told = notices(&query, Some([24, 25]));
        assert_eq!(told, [format!("rates are over the 2 min of these {wanted} that are known")]);
        let told = notices(&query, Some([23, 24])).remove(0);
        assert!(told.starts_with("rates are over the 115 s to 2 min of"), "{told}");
    }
}

/// A client that opens ten connections per second, as it is shown at a time: all rates and the steps of its course.
fn shown_of_ten(store: &Store, at: u64) -> (Vec<f64>, Vec<Option<f64>>) {
    let query = |duration| Query { at: step_of(at), duration, ..query(GraphType::Service) };
    let rates = [5, 10, 15, 20, 30, 60, 3600].into_iter().flat_map(|duration| {
        let edges = graph(store, &query(duration)).edges;
        edges.into_iter().map(|edge| edge.traffic.tcp.unwrap().opened)
    });
    let course = series(store, "mesh", &query(60)).outbound.remove("tcp.opened");
    (rates.collect(), course.unwrap_or_default())
}

#[test]
fn the_first_report_after_an_absence_gives_the_true_rate_and_no_step_that_is_not_known() {
    let is_ten = |rate: &f64| (rate - 10.0).abs() < 0.5;
    for (tenths, steps) in [(30, 0), (49, 1), (51, 1), (70, 1), (99, 2), (120, 2), (330, 6)] {
        let mut store = Store::new(1 << 20, START);
        store.advance(START + 7);
        let span = store.begin(tenths * 100, false);
        store.tell(from("a"), &connections(tenths), span);
        for told in 0..5 {
            let now = START + 7 + 5 * told as u64;
            let (rates, course) = shown_of_ten(&store, now);
            let about =
                format!("{tenths} tenths of a second, {told} reports later: {rates:?} {course:?}");
            assert!(rates.iter().all(is_ten), "{about}");
            assert_eq!(rates.len(), if steps + told == 0 { 0 } else { 7 }, "{about}");
            let known = 12usize.saturating_sub(steps + told);
            assert!(course.iter().take(known).all(Option::is_none), "{about}");
            assert!(course.iter().skip(known).flatten().all(is_ten), "{about}");
            assert!(course.iter().skip(known).all(Option::is_some), "{about}");
            store.advance(now + 5);
            let (awaited, _) = shown_of_ten(&store, now + 5);
            assert!(awaited.len() == rates.len() && awaited.iter().all(is_ten), "{awaited:?}");
            store.tell(from("a"), &connections(50), span.later());
        }
    }
}

#[test]
fn what_several_proxies_tell_together_is_known_since_all_of_them_tell_it() {
    for other in ["a", "b"] {
        let mut store = Store::new(1 << 20, START);
        let spans = [12, 7, 33].map(|seconds| (seconds, store.begin(seconds * 1000, false)));
        for (seconds, span) in spans {
            let key = if seconds == 7 { from(other) } else { from("a") };
            store.tell(key, &connections(10 * seconds), span);
        }
        let rates: f64 = opened(&store, START).into_iter().sum();
        assert!((rates - 30.0).abs() < 1.0, "{rates}");
        let course = series(&store, "mesh", &query(GraphType::Service)).outbound;
        let opened = &course["tcp.opened"];
        assert!(opened[..11].iter().all(Option::is_none), "{opened:?}");
        assert!((opened[11].unwrap() - 30.0).abs() < 1.0, "{opened:?}");
    }
}

#[test]
fn a_proxy_that_reaches_back_changes_nobody_elses_rates() {
    let mut store = Store::new(1 << 20, START);
    let (long, short) = (store.begin(30_000, false), store.begin(5_000, false));
    store.tell(from("a"), &connections(60), long);
    store.tell(from("b"), &connections(10), short);
    // Of one workload there are two.
    store.tell(from("c"), &connections(60), long);
    store.tell(from("c"), &connections(10), short);
    assert_eq!(opened(&store, START), [2.0, 2.0, 4.0]);
    for (client, count) in [("a", 10), ("b", 10), ("c", 20)] {
        store.add(START + 5, from(client), &connections(count));
    }
    assert_eq!(opened(&store, START + 5), [2.0, 2.0, 4.0]);
}

#[test]
fn what_was_before_a_proxy_that_comes_later_is_known() {
    let mut store = Store::new(1 << 20, START);
    store.add(START + 40, from("old"), &connections(45));
    let late = store.begin(5_000, false);
    store.tell(from("new"), &connections(45), late);
    assert_eq!(opened(&store, START + 40), [1.0, 1.0]);
    // Nor one that says so, however young the store is.
    let mut store = Store::new(1 << 20, START);
    store.add(START + 15, from("old"), &connections(40));
    let first = store.begin(5_000, true);
    store.tell(from("old"), &connections(40), first);
    assert_eq!(opened(&store, START + 15), [4.0]);
}

#[test]
fn what_a_proxy_told_on_another_stream_is_known_unless_something_is_missing_in_between() {
    // Until the proxy is lost where it was, another replica passes on what it tells.
    for (proxy, silence, known) in [("it", 10, 4), ("it", 15, 2), ("another", 10, 2)] {
        let mut store = Store::new(1 << 20, START);
        let passed = store.begin(5_000, false);
        let passed = store.goes_on("it", passed);
        for step in 0..2 {
            store.advance(START + 5 * step);
            store.tell(from("a"), &connections(10), passed);
        }
        store.ends("it");
        let now = START + 5 + silence;
        store.advance(now);
        // It may be told what is open before.
        let silent = store.begin(0, false);
        store.goes_on(proxy, silent);
        let own = store.begin(10_000, false);
        let own = store.goes_on(proxy, own);
        store.tell(from("a"), &connections(20), own);
        let about = format!("{proxy}, {silence} s");
        assert_eq!(opened(&store, now), [2.0], "{about}");
        let course =
            series(&store, "mesh", &Query { at: step_of(now), ..query(GraphType::Service) });
        let opened = &course.outbound["tcp.opened"];
        let unknown = opened.iter().take_while(|rate| rate.is_none()).count();
        assert_eq!(opened.len() - unknown, known, "{about}: {opened:?}");
    }
}

#[test]
fn a_stream_from_before_the_clock_was_set_back_is_known_after_it() {
    let mut store = Store::new(1 << 20, START + 3600);
    let span = store.begin(5_000, true);
    store.advance(START);
    let span = store.goes_on("it", span.later());
    store.tell(from("a"), &connections(10), span);
    assert_eq!(opened(&store, START), [2.0]);
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
