//! Numbers and nodes as Kiali has them.

use lateen_telemetry::labels::Reporter;
use serde_json::{Value, json};

use super::{TcpRate, decimal, kiali, percent, short};
use crate::graph::{BLACK_HOLE, PASSTHROUGH, Query, graph};
use crate::key::{Key, Party, Protocol, Service};
use crate::point::Point;
use crate::store::{Store, step_of};
use crate::view::GraphType;

const START: u64 = 1_800_000_000;

/// The node that a client in the mesh is led to by a service without endpoints.
fn led_to(service: &str) -> Value {
    let mut store = Store::new(1 << 20, START);
    let key = Key {
        reporter: Reporter::Source,
        source: Party {
            cluster: "one".into(),
            namespace: "shop".into(),
            workload: "client".into(),
            ..Party::default()
        },
        destination: Party::default(),
        service: Service { name: service.into(), ..Service::default() },
        protocol: Protocol::Tcp,
        mutual_tls: false,
        flags: "".into(),
        code: "".into(),
    };
    store.add(START, key, &Point { received: 50, ..Point::default() });
    let query = Query {
        r#type: GraphType::Workload,
        namespaces: None,
        confined_to: None,
        duration: 5,
        at: step_of(START),
        services: true,
        idle: false,
    };
    let graph = graph(&store, &query);
    let told = serde_json::to_value(kiali(&graph, TcpRate::Sent)).unwrap();
    let mut nodes = told["elements"]["nodes"].as_array().unwrap().iter();
    let led_to = nodes.find(|node| node["data"]["traffic"][0]["rates"]["tcpIn"] != Value::Null);
    led_to.unwrap()["data"].clone()
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
            "traffic": [{"protocol": "tcp", "rates": {"tcpIn": "10.00"}}],
        });
        assert_eq!(node, expected);
    }
    let node = led_to("");
    assert_eq!((&node["nodeType"], &node["service"]), (&json!("service"), &json!("unknown")));
    assert_eq!(node["destServices"], Value::Null, "a name that is none");
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
