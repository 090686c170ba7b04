//! What is said of failures with what the mesh has.

use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::parse;
use lateen_control::known::Known;
use lateen_model::{Change, World};
use lateen_telemetry::Flag;
use serde_json::json;

use crate::connection::{Connection, Object};
use crate::failure::{Failure, Step, failure};
use crate::graph::{Query, graph};
use crate::key::tests::tcp;
use crate::key::{Key, Party, Service};
use crate::point::Point;
use crate::store::{Store, step_of};
use crate::view::GraphType;

const HOST: &str = "echo.shop.svc.cluster.local";

/// A service at 10.96.0.9 with two ports and a subset.
fn shop() -> Known {
    let ports = json!([{ "name": "tcp", "port": 80 }, { "name": "tcp-2", "port": 90 }]);
    let subset = json!({ "name": "v2", "labels": { "version": "v2" } });
    let mut world = World::new();
    for (api_version, kind, name, spec) in [
        ("v1", "Service", "echo", json!({ "clusterIP": "10.96.0.9", "ports": ports })),
        (
            "networking.istio.io/v1",
            "DestinationRule",
            "echo-rule",
            json!({ "host": "echo", "subsets": [subset] }),
        ),
    ] {
        let (group, version) = split_api_version(api_version);
        let metadata = json!({ "name": name, "namespace": "shop" });
        let object =
            json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec });
        let (resource, _) = parse(by_kind(group, kind).unwrap(), version, object);
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    Known::new(world.snapshot(), None)
}

/// A client's way to a service of which no workload is known.
fn way(host: &str, name: &str, namespace: &str) -> Key {
    let source = Party { workload: "client".into(), namespace: "shop".into(), ..Party::default() };
    let service = Service { host: host.into(), name: name.into(), namespace: namespace.into() };
    Key { flags: "UH".into(), ..tcp(source, service, Party::default()) }
}

fn lost(flag: Flag, cluster: &str) -> Connection {
    Connection {
        destination: "10.96.0.9:81".into(),
        cluster: cluster.into(),
        flags: vec![flag],
        reason: "outboundTrafficPolicy is REGISTRY_ONLY".into(),
        ..Connection::read(Default::default(), "sidecar~10.0.0.1~client-1.shop~", 7)
    }
}

fn object(group: &str, kind: &str, name: &str) -> Object {
    let [kind, group, namespace, name] = [kind, group, "shop", name].map(str::to_owned);
    Object { kind, group, namespace, name }
}

fn step<'f>(failure: &'f Failure, field: &str) -> &'f Step {
    failure.steps.iter().find(|step| step.field == Some(field)).unwrap()
}

#[test]
fn an_empty_subset_is_told_with_its_rule_and_labels() {
    let rule = object("networking.istio.io", "DestinationRule", "echo-rule");
    let cluster = format!("outbound|80|v2|{HOST}");
    let connection = lost(Flag::NoHealthyUpstream, &cluster);
    let key = way(HOST, "echo", "shop");
    let told = failure(&key, &connection, &shop()).unwrap();
    assert_eq!(told.summary, format!("subset v2 of {HOST} has no endpoint that is ready"));
    let remedy = format!(
        "check that workloads of {HOST} have the labels version=v2, by which DestinationRule shop/echo-rule chooses \
         them, and are ready"
    );
    assert_eq!(told.remedy, Some(remedy));
    assert_eq!(step(&told, "spec.subsets").object.as_ref(), Some(&rule));

    // The rule is gone by now, or in a namespace that the reader may not see: the proxy told which one it was.
    let connection = Connection { policy: Some(rule), ..connection };
    let remedy = failure(&key, &connection, &Known::default()).unwrap().remedy.unwrap();
    assert!(remedy.contains("subset v2 in DestinationRule shop/echo-rule"), "{remedy}");
    let whole = lost(Flag::NoHealthyUpstream, &format!("outbound|80||{HOST}"));
    let summary = failure(&key, &whole, &shop()).unwrap().summary;
    assert_eq!(summary, format!("{HOST} has no endpoint that is ready"));
}

#[test]
fn a_port_that_a_service_lacks_is_told_whatever_the_outbound_policy_is() {
    let service = object("", "Service", "echo");
    let hole = way("", "BlackHoleCluster", "");
    let passed = way("", "PassthroughCluster", "");
    let at = |port: u16| Connection {
        destination: format!("10.96.0.9:{port}"),
        endpoint: format!("10.96.0.9:{port}"),
        unreachable: "no route to host".into(),
        ..lost(Flag::UpstreamConnectionFailure, "PassthroughCluster")
    };
    for (key, connection, rest) in [
        (&hole, lost(Flag::NoRouteFound, ""), ": nothing leads shop/client to 10.96.0.9:81"),
        (
            &hole,
            lost(Flag::NoHealthyUpstream, "BlackHoleCluster"),
            ": nothing leads shop/client to 10.96.0.9:81",
        ),
        (&passed, at(81), ", and 10.96.0.9:81 could not be reached: no route to host"),
    ] {
        let told = failure(key, &connection, &shop()).unwrap();
        assert_eq!(told.summary, format!("Service shop/echo has no port 81{rest}"));
        let remedy = "connect to a port that it has (80, 90), or add port 81 to its spec.ports";
        assert_eq!(told.remedy.as_deref(), Some(remedy));
        let step = step(&told, "spec.ports");
        assert_eq!((step.object.as_ref(), step.failed), (Some(&service), true));
    }
    let told = failure(&passed, &at(80), &shop()).unwrap();
    assert_eq!(told.summary, "10.96.0.9:80 could not be reached: no route to host");
    assert!(
        told.steps.iter().any(|step| step.what == "10.96.0.9:80 was chosen"),
        "{:?}",
        told.steps
    );
    let refused = Connection { unreachable: "connection refused".into(), ..at(80) };
    let told = failure(&passed, &refused, &shop()).unwrap();
    assert_eq!(told.summary, "10.96.0.9:80 refused the connection");
    assert_eq!(told.remedy.as_deref(), Some("check that a program listens there"));
    // A service's address that is led elsewhere is not the endpoint.
    let elsewhere = Connection { endpoint: "10.0.0.7:80".into(), ..refused };
    let told = failure(&passed, &elsewhere, &shop()).unwrap();
    assert_eq!(told.summary, "10.96.0.9:80 refused the connection at 10.0.0.7:80");
}

#[test]
fn what_a_sidecar_object_forbids_is_allowed_there() {
    let way = way("", "BlackHoleCluster", "");
    let connection = |route| Connection {
        destination: "192.0.2.1:80".into(),
        route,
        ..lost(Flag::NoHealthyUpstream, "BlackHoleCluster")
    };
    let remedy = |route| failure(&way, &connection(route), &shop()).unwrap().remedy.unwrap();
    let sidecar = object("networking.istio.io", "Sidecar", "strict");
    let own = remedy(Some(sidecar.clone()));
    assert!(own.ends_with("(spec.outboundTrafficPolicy.mode: ALLOW_ANY in Sidecar shop/strict)"));
    assert!(remedy(None).ends_with("(meshConfig.outboundTrafficPolicy.mode: ALLOW_ANY)"));
    let told = failure(&way, &connection(Some(sidecar.clone())), &shop()).unwrap();
    assert_eq!(step(&told, "spec.outboundTrafficPolicy").object, Some(sidecar));
}

#[test]
fn the_ends_of_a_failure_are_nodes_of_the_graph() {
    const START: u64 = 1_800_000_000;
    let mut store = Store::new(1 << 20, START);
    let keys = [
        way("db.example.com", "db.example.com", "data"),
        way(HOST, "echo", "shop"),
        way("", "PassthroughCluster", ""),
        way("", "BlackHoleCluster", ""),
    ];
    for key in &keys {
        store.add(START, key.clone(), &Point { opened: 1, closed: 1, ..Point::default() });
    }
    for services in [true, false] {
        let query = Query {
            r#type: GraphType::Workload,
            namespaces: None,
            confined_to: None,
            duration: 60,
            at: step_of(START),
            services,
            idle: false,
        };
        let graph = graph(&store, &query);
        for key in &keys {
            let told = failure(key, &lost(Flag::NoHealthyUpstream, ""), &shop()).unwrap();
            for end in [&told.source, &told.target] {
                assert!(graph.nodes.iter().any(|node| node.id == *end), "{end} {services}");
            }
        }
    }
}
