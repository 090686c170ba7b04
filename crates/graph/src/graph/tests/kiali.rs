//! The same as Kiali has it.

use serde_json::json;

use super::{START, echo, party, query, service};
use crate::graph::graph;
use crate::key::Key;
use crate::key::tests::tcp;
use crate::kiali::{TcpRate, kiali};
use crate::point::Point;
use crate::view::{Graph, GraphType};

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
