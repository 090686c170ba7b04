//! The answers of this crate's pages, as `ui/src/api/types.ts` has them.

use std::sync::Arc;

use futures::FutureExt;
use lateen_control::findings::Count;
use lateen_runtime::pages::{Ask, Reader, Secret, User};
use lateen_telemetry::Flag;
use lateen_telemetry::histogram::Native;
use lateen_testkit::contract::check;
use serde_json::{Value, json};

use super::{About, Inventory, Traffic, pages};
use crate::collect::Found;
use crate::connection::{Connection, Object};
use crate::key::tests::tcp;
use crate::key::{Key, Party, Protocol, Service};
use crate::point::Point;
use crate::store::STEP;
use crate::view::{GraphType, Health, Node, NodeKind, ShareOf, State};
use crate::words::samples;

const START: u64 = 1_800_000_000;

fn party(name: &str) -> Party {
    Party {
        cluster: "Kubernetes".into(),
        namespace: "shop".into(),
        workload: name.into(),
        app: name.into(),
        version: "v1".into(),
        principal: "spiffe://cluster.local/ns/shop/sa/a".into(),
    }
}

fn key(protocol: Protocol) -> Key {
    let host = "s.shop.svc.cluster.local".into();
    let service = Service { host, name: "s".into(), namespace: "shop".into() };
    Key {
        protocol,
        flags: "UF".into(),
        code: match protocol {
            Protocol::Tcp => "".into(),
            Protocol::Http => "503".into(),
            Protocol::Grpc => "14".into(),
        },
        ..tcp(party("client"), service, party("server"))
    }
}

/// One failed connection and one failed request of each protocol.
fn traffic() -> Arc<Traffic> {
    let traffic = Traffic::of_prometheus(1 << 20, "http://prometheus:9090".into(), START);
    traffic.has_read(Found { proxies: 2, left_out: 1, doubled: 0 });
    for protocol in [Protocol::Tcp, Protocol::Http, Protocol::Grpc] {
        let point = match protocol {
            Protocol::Tcp => {
                Point { opened: 2, closed: 2, sent: 10, received: 20, ..Point::default() }
            }
            Protocol::Http | Protocol::Grpc => Point {
                requests: 2,
                request_bytes: 10,
                response_bytes: 20,
                request_messages: 3,
                response_messages: 4,
                latency: Native { zeros: 0, buckets: vec![(4, 2)] },
                ..Point::default()
            },
        };
        traffic.now().add(START, key(protocol), &point);
    }
    // Charts have the steps that are over.
    traffic.now().advance(START + STEP);
    let object = |kind: &str| Object {
        kind: kind.into(),
        group: "networking.istio.io".into(),
        namespace: "shop".into(),
        name: "s".into(),
    };
    let connection = Connection {
        destination: "10.96.0.9:80".into(),
        endpoint: "10.0.0.2:8080".into(),
        server_name: "s.example.com".into(),
        cluster: "outbound|80||s.shop.svc.cluster.local".into(),
        flags: vec![Flag::UpstreamOverflow],
        route: Some(object("VirtualService")),
        policy: Some(object("DestinationRule")),
        ..Connection::read(Default::default(), "sidecar~10.0.0.1~client-1.shop~", START * 1000)
    };
    let label = |name: &str| {
        Some(match name {
            "reporter" => "source",
            "request_protocol" => "tcp",
            "response_flags" => "UO",
            "source_workload" => "client",
            "source_workload_namespace" => "shop",
            _ => return None,
        })
    };
    traffic.recent().add(label, connection);
    traffic
}

fn get(path: &str, query: &str) -> Value {
    let reader = Reader::User(User {
        name: "jane".into(),
        groups: Vec::new(),
        token: Secret::new("t"),
        namespaces: None,
    });
    let about = About { version: "1", cluster: "Kubernetes".into() };
    let pages = pages(traffic(), about, Inventory::default());
    let ask = Ask { reader, ..Ask::get(&format!("/api/v1/{path}"), query) };
    let page = pages.answer(&ask).now_or_never().unwrap().unwrap();
    serde_json::from_slice(&page.body).unwrap()
}

/// With everything that a node may have.
fn node() -> Node {
    let graph = crate::graph::graph(
        &traffic().now(),
        &crate::graph::Query {
            r#type: GraphType::VersionedApp,
            namespaces: None,
            confined_to: None,
            duration: 5,
            at: crate::store::step_of(START),
            services: false,
            idle: false,
        },
    );
    Node {
        workload: Some("server".into()),
        service: Some("s.shop.svc.cluster.local".into()),
        gateway: Some("ingress"),
        out_of_mesh: true,
        issues: Some(Count { errors: 1, warnings: 2 }),
        badges: vec!["virtualService"],
        ..graph.nodes[0].clone()
    }
}

/// `{"VALUE": true, …}` of all values of an enum.
fn all<T: serde::Serialize>(values: &[T]) -> Value {
    let name = |value: &T| json!(value).as_str().unwrap().to_owned();
    values
        .iter()
        .map(|value| (name(value), Value::Bool(true)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The parameters that the pages read: each with a value that is refused under its name, but for one that takes any.
fn parameters() -> Value {
    let wrong = ["type", "duration", "at", "services", "idle"];
    for name in wrong {
        let refused = get("graph", &format!("{name}=wrong"))["message"].to_string();
        assert!(refused.contains(name), "{refused}");
    }
    assert_eq!(get("graph", "namespaces=nothing")["nodes"], json!([]));
    all(&[&wrong[..], &["namespaces"]].concat())
}

#[test]
fn what_the_pages_answer_is_what_the_page_reads() {
    use NodeKind::{App, BlackHole, Client, Outside, Service, ServiceEntry, Workload};
    let mut status = get("status", "");
    // Of the machine, and not of the contract.
    status["store"]["bytes"] = json!(0);
    let graph = get("graph", "type=workload&duration=5&services=true");
    assert_eq!(graph["nodes"].as_array().unwrap().len(), 3);
    let all_health = Health { state: State::Failing, reasons: vec!["all of it failed".into()] };
    check(
        "graph.ts",
        "crates/graph",
        &[
            "Edge",
            "Failure",
            "Graph",
            "GraphQuery",
            "GraphType",
            "Health",
            "LogLine",
            "Node",
            "NodeKind",
            "Problem",
            "Series",
            "ShareOf",
            "Status",
            "Traffic",
        ],
        &[
            ("status", "Required<Status>", status),
            ("graph", "Required<Graph>", graph.clone()),
            ("edge", "Required<Edge>", graph["edges"][0].clone()),
            ("node", "Required<Node>", json!(node())),
            ("traffic", "Required<Traffic>", json!(node().out)),
            ("grpc", "Required<NonNullable<Traffic[\"grpc\"]>>", json!(node().out.grpc)),
            ("health", "Required<Health>", json!(all_health)),
            ("series", "Required<Series>", get("series", "id=mesh&duration=5")),
            (
                "failures",
                "{ failures: (Failure & Pick<Required<Failure>, \"serverName\" | \"remedy\">)[] }",
                get("failures", "id=mesh"),
            ),
            ("logs", "{ lines: LogLine[] }", get("logs", "id=mesh")),
            ("problem", "Problem", get("graph", "type=pod")),
            ("parameters", "Record<keyof GraphQuery, true>", parameters()),
            (
                "graphTypes",
                "Record<GraphType, true>",
                all(&[
                    GraphType::Workload,
                    GraphType::App,
                    GraphType::VersionedApp,
                    GraphType::Service,
                ]),
            ),
            (
                "sharesOf",
                "Record<ShareOf, true>",
                all(&[ShareOf::Requests, ShareOf::Opened, ShareOf::Open]),
            ),
            (
                "words",
                "Record<\"number\" | \"bytes\" | \"percent\", [number, string][]>",
                samples::all(),
            ),
            (
                "nodeKinds",
                "Record<NodeKind, true>",
                all(&[Workload, App, Service, ServiceEntry, Outside, Client, BlackHole]),
            ),
            (
                "states",
                "Record<Health[\"state\"], true>",
                all(&[State::Idle, State::Healthy, State::Degraded, State::Failing]),
            ),
        ],
    );
}
