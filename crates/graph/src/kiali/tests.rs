//! Numbers and nodes as Kiali has them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{TcpRate, decimal, kiali, percent, short};
use crate::graph::{BLACK_HOLE, PASSTHROUGH, Query, graph};
use crate::key::tests::tcp;
use crate::key::{Key, Party, Service};
use crate::point::Point;
use crate::store::{Store, step_of};
use crate::view::GraphType;

const START: u64 = 1_800_000_000;

fn store_of(source: Party, service: Service, destination: Party) -> Store {
    let mut store = Store::new(1 << 20, START);
    let key = tcp(source, service, destination);
    store.add(START, key, &Point { received: 50, ..Point::default() });
    store
}

fn workload(namespace: &str, app: &str, version: &str) -> Party {
    Party {
        cluster: "one".into(),
        namespace: namespace.into(),
        workload: format!("{app}{version}").into(),
        app: app.into(),
        version: version.into(),
        ..Party::default()
    }
}

fn query(r#type: GraphType, namespaces: Option<&str>) -> Query {
    Query {
        r#type,
        namespaces: namespaces.map(|name| [name.to_owned()].into()),
        confined_to: None,
        duration: 5,
        at: step_of(START),
        services: true,
        idle: false,
    }
}

/// The nodes by their ids.
fn nodes(store: &Store, query: &Query) -> BTreeMap<String, Value> {
    let graph = graph(store, query);
    let told = kiali(&graph, query.namespaces.as_ref(), TcpRate::Sent);
    let told = serde_json::to_value(told).unwrap();
    let all = told["elements"]["nodes"].as_array().unwrap().iter().map(|node| &node["data"]);
    all.map(|node| (node["id"].as_str().unwrap().to_owned(), node.clone())).collect()
}

/// The node that a client in the mesh is led to by a service without endpoints.
fn led_to(service: &str) -> Value {
    let service = Service { name: service.into(), ..Service::default() };
    let store = store_of(workload("shop", "client", ""), service, Party::default());
    let all = nodes(&store, &query(GraphType::Workload, None));
    let is_led_to = |node: &Value| node["traffic"][0]["rates"]["tcpIn"] != Value::Null;
    all.into_values().find(is_led_to).unwrap()
}

#[test]
fn envoys_clusters_are_services_that_nobody_can_look_into() {
    for name in [PASSTHROUGH, BLACK_HOLE] {
        let mut node = led_to(name);
        node["id"].take();
        let expected = json!({
            "id": null,
            "nodeType": "service",
            "cluster": "unknown",
            "namespace": "unknown",
            "service": name,
            "destServices": [{"cluster": "unknown", "namespace": "unknown", "name": name}],
            "isInaccessible": true,
            "healthData": null,
            "traffic": [{"protocol": "tcp", "rates": {"tcpIn": "10.00"}}],
        });
        assert_eq!(node, expected);
    }
    let node = led_to("");
    assert_eq!((&node["nodeType"], &node["service"]), (&json!("service"), &json!("unknown")));
    assert_eq!(node["destServices"], Value::Null, "a name that is none");
}

#[test]
fn what_was_not_asked_for_is_outside() {
    let service = |host: &str, namespace: &str| Service {
        host: host.into(),
        name: "bank".into(),
        namespace: namespace.into(),
    };
    let client = || workload("shop", "client", "v1");
    let inside = service("bank.money.svc.cluster.local", "money");
    let store = store_of(client(), inside, workload("money", "bank", "v1"));
    let told = |asked: Option<&str>| {
        let all = nodes(&store, &query(GraphType::Workload, asked));
        let outside = all.into_iter().filter(|(_, node)| node["isOutside"] == true);
        outside.map(|(id, _)| id).collect::<Vec<_>>()
    };
    let bank = ["service/money/bank", "workload/money/bankv1"];
    assert_eq!(told(Some("shop")), bank);
    assert_eq!(told(Some("money")), ["workload/shop/clientv1"]);
    assert_eq!(told(None), [""; 0]);

    let of = |namespace: &str, asked: &str| {
        let store = store_of(client(), service("bank.example", namespace), Party::default());
        let all = nodes(&store, &query(GraphType::Workload, Some(asked)));
        let entry = &all[&format!("serviceEntry/{namespace}/bank")];
        let expected = json!({
            "hosts": ["bank.example"], "location": "MESH_EXTERNAL", "namespace": entry["namespace"],
        });
        assert_eq!(entry["isServiceEntry"], expected);
        ["isServiceEntry", "isOutside", "isInaccessible"].map(|mark| !entry[mark].is_null())
    };
    assert_eq!(of("shop", "shop"), [true, false, false], "an entry of what was asked for");
    assert_eq!(of("money", "shop"), [true, true, false]);
    assert_eq!(of("", "shop"), [true, false, true], "in no namespace nobody can look it up");
}

#[test]
fn versions_of_an_app_are_in_a_box() {
    let service = || Service::default();
    let (blue, green) = (workload("shop", "bank", "v1"), workload("shop", "bank", "v2"));
    let store = store_of(blue, service(), green);
    let query = query(GraphType::VersionedApp, Some("shop"));
    let graph = graph(&store, &query);
    let told = serde_json::to_value(kiali(&graph, None, TcpRate::Sent)).unwrap();
    let of = |at: usize| told["elements"]["nodes"][at]["data"].clone();
    let id = "appbox/one/shop/bank";
    let expected = json!({
        "id": id, "nodeType": "box", "isBox": "app", "cluster": "one", "namespace": "shop",
        "app": "bank", "healthData": null,
    });
    assert_eq!(of(0), expected, "before those in it");
    assert_eq!([1, 2].map(|at| of(at)["parent"].clone()), [json!(id), json!(id)]);
    let asked = ["else".to_owned()].into();
    let told = serde_json::to_value(kiali(&graph, Some(&asked), TcpRate::Sent)).unwrap();
    assert_eq!(told["elements"]["nodes"][0]["data"]["isOutside"], true);

    let alone = store_of(workload("shop", "till", "v1"), service(), workload("shop", "bank", "v1"));
    let others = [
        nodes(&store, &Query { r#type: GraphType::Workload, ..query.clone() }),
        nodes(&store, &Query { r#type: GraphType::App, ..query.clone() }),
        nodes(&alone, &query),
    ];
    for all in others {
        assert!(all.values().all(|node| node["isBox"].is_null() && node["parent"].is_null()));
    }
}

#[test]
fn an_edge_has_its_protocol_without_rates_too() {
    let (client, server) = (workload("shop", "till", "v1"), workload("shop", "bank", "v1"));
    let store = store_of(client, Service::default(), server);
    let graph = graph(&store, &query(GraphType::Workload, None));
    let told = |tcp| {
        let told = serde_json::to_value(kiali(&graph, None, tcp)).unwrap();
        told["elements"]["edges"][0]["data"]["traffic"].clone()
    };
    assert_eq!(told(TcpRate::None), json!({"protocol": "tcp"}));
    let expected = json!({
        "protocol": "tcp",
        "rates": {"tcp": "10.00"},
        "responses": {"-": {"flags": {"-": "100.0"}, "hosts": {}}},
    });
    assert_eq!(told(TcpRate::Sent), expected, "no connection has ended");
}

#[test]
fn an_edge_that_nothing_went_over_says_how_its_connections_failed() {
    let (client, server) = (workload("shop", "till", "v1"), workload("shop", "bank", "v1"));
    let mut store = Store::new(1 << 20, START);
    let failed = Point { closed: 30, ..Point::default() };
    let key = Key { flags: "UF,URX".into(), ..tcp(client, Service::default(), server) };
    store.add(START, key, &failed);
    let graph = graph(&store, &query(GraphType::Workload, None));
    let told = serde_json::to_value(kiali(&graph, None, TcpRate::Sent)).unwrap();
    let expected = json!({
        "protocol": "tcp",
        "responses": {"-": {"flags": {"UF,URX": "100.0"}, "hosts": {}}},
    });
    assert_eq!(told["elements"]["edges"][0]["data"]["traffic"], expected);
}

#[test]
fn numbers_have_their_decimals() {
    for number in [0.0, 0.004, 0.005, 1.0, 16.6666, 99.996, 123_456.789, 1e17, -1.5, f64::NAN] {
        assert_eq!(decimal(number, 2), format!("{number:.2}"), "{number}");
    }
    assert_eq!([percent(1.0), percent(0.0006), percent(2.0 / 3.0)], ["100.0", "0.1", "66.7"]);
    assert_eq!(
        [short(5.0), short(0.5), short(0.004), short(0.0)],
        ["5.00", "0.50", "0.004", "0.00000"]
    );
}
