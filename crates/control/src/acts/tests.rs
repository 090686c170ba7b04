//! Who is acted on by which object, in a small shop with an ingress gateway.

use std::collections::BTreeSet;
use std::sync::Arc;

use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::{Key, object_ref, parse};
use lateen_model::host::Domain;
use lateen_model::{Change, World};
use lateen_translate::Role;
use serde_json::{Value, json};

use super::{Acts, Connected, Reach, Traffic};
use crate::findings::Count;

/// `echo` and `other` in `shop`, the gateway in `istio-system`, a database outside.
fn shop() -> Vec<Value> {
    let workload = |namespace: &str, name: &str, address: &str, labels: Value| {
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
               "metadata": {"name": name, "namespace": namespace},
               "spec": {"address": address, "labels": labels}})
    };
    let service = |name: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
               "spec": {"ports": [{"port": 80, "name": "tcp"}], "selector": {"app": name}}})
    };
    vec![
        json!({"apiVersion": "v1", "kind": "Namespace",
               "metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}),
        service("echo"),
        service("other"),
        workload("shop", "echo-1", "10.0.0.1", json!({"app": "echo", "version": "v1"})),
        workload("shop", "other-1", "10.0.0.2", json!({"app": "other"})),
        workload("istio-system", "front", "10.0.0.3", json!({"istio": "ingressgateway"})),
        istio(
            "networking",
            "ServiceEntry",
            "data/db",
            json!({"hosts": ["db.example.com"],
              "ports": [{"number": 1, "name": "tcp", "protocol": "TCP"}], "resolution": "DNS"}),
        ),
    ]
}

fn istio(group: &str, kind: &str, name: &str, spec: Value) -> Value {
    let (namespace, name) = name.split_once('/').unwrap();
    let api_version = format!("{group}.istio.io/v1");
    json!({"apiVersion": api_version, "kind": kind,
           "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn acts_with(more: Vec<Value>) -> Acts {
    let mut world = World::new();
    let mut reaches = Vec::new();
    for object in shop().into_iter().chain(more) {
        let api_version = object["apiVersion"].as_str().unwrap().to_owned();
        let (group, version) = split_api_version(&api_version);
        let kind = by_kind(group, object["kind"].as_str().unwrap()).unwrap();
        if !group.is_empty() {
            let named = object_ref(kind, &object);
            let key = Key { kind, namespace: named.namespace, name: named.name };
            reaches.push((key, Arc::new(Reach::read(kind, &object, &Domain::default()))));
        }
        let (resource, _) = parse(kind, version, object);
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    let connected = Connected::from([
        (("shop".to_owned(), "echo-1".to_owned()), Role::Sidecar),
        (("istio-system".to_owned(), "front".to_owned()), Role::Gateway),
    ]);
    let issues = |_: &Key| Count { errors: 1, warnings: 0 };
    Acts::new(&world.snapshot(), &reaches, issues, &connected)
}

/// The nodes that one object more acts on.
fn acted_on(object: Value) -> BTreeSet<String> {
    let kind = object["kind"].as_str().unwrap().to_owned();
    let (group, _) = split_api_version(object["apiVersion"].as_str().unwrap());
    let kind = by_kind(group, &kind).unwrap();
    let named = object_ref(kind, &object);
    let key = Key { kind, namespace: named.namespace, name: named.name };
    acts_with(vec![object]).nodes(&key).into_iter().map(str::to_owned).collect()
}

fn check(object: Value, nodes: &[&str]) {
    let shown = object.to_string();
    let nodes: BTreeSet<String> = nodes.iter().map(|node| (*node).to_owned()).collect();
    assert_eq!(acted_on(object), nodes, "{shown}");
}

const ECHO: &str = "service/shop/echo";
const ECHO_1: &str = "workload/shop/echo-1";
const OTHER_1: &str = "workload/shop/other-1";
const FRONT: &str = "workload/istio-system/front";

#[test]
fn virtual_services_act_on_their_hosts_destinations_and_gateways() {
    let route = json!([{"route": [{"destination": {"host": "echo"}}]}]);
    let named = |spec: Value| istio("networking", "VirtualService", "shop/vs", spec);
    check(named(json!({"hosts": ["echo"], "tcp": route})), &[ECHO]);
    check(named(json!({"hosts": ["other.shop"], "tcp": route})), &[ECHO, "service/shop/other"]);
    let pattern = json!({"hosts": ["*.shop.svc.cluster.local"], "tcp": []});
    check(named(pattern), &[ECHO, "service/shop/other"]);
    // The hosts of gateways are no services' names.
    let gateway = istio(
        "networking",
        "Gateway",
        "shop/gw",
        json!({"servers": [{"hosts": ["a.example.com"]}, {"hosts": ["*", "a.example.com"]}],
               "selector": {"istio": "ingressgateway"}}),
    );
    let bound = named(json!({"hosts": ["*"], "gateways": ["gw"], "tcp": route}));
    let acts = acts_with(vec![gateway, bound]);
    let on = |id: &str| acts.on(id).into_iter().map(|key| key.name.as_str()).collect::<Vec<_>>();
    assert_eq!(on(FRONT), ["gw", "vs", "front"]);
    assert_eq!(on("service/shop/other"), [""; 0]);
    assert_eq!(on(ECHO), ["vs"]);
    let of = |id: &str| acts.traffic(acts.place(id).unwrap(), false);
    let served = ["*", "a.example.com"].map(str::to_owned);
    let any: BTreeSet<String> = ["*".to_owned()].into();
    assert_eq!((of(FRONT).served, of(FRONT).routed), (served.into(), any.clone()));
    assert_eq!((of(ECHO).served, of(ECHO).routed), (BTreeSet::new(), any));
}

#[test]
fn rules_and_entries_act_on_their_hosts() {
    check(istio("networking", "DestinationRule", "shop/dr", json!({"host": "echo"})), &[ECHO]);
    let everywhere = json!({"host": "*.example.com"});
    let db = "serviceEntry/data/db.example.com";
    check(istio("networking", "DestinationRule", "shop/dr", everywhere), &[db]);
    let acts = acts_with(Vec::new());
    let on = acts.on("serviceEntry/data/db.example.com");
    assert_eq!(on.iter().map(|key| key.kind.kind).collect::<Vec<_>>(), ["ServiceEntry"]);
}

#[test]
fn gateways_choose_across_namespaces_and_one_without_selector_every_gateway() {
    let gateway = |spec: Value| istio("networking", "Gateway", "shop/gw", spec);
    check(gateway(json!({"selector": {"istio": "ingressgateway"}})), &[FRONT]);
    check(gateway(json!({"selector": {"app": "echo"}})), &[ECHO_1]);
    check(gateway(json!({})), &[FRONT]);
}

#[test]
fn policies_choose_in_their_namespace_and_from_the_root_everywhere() {
    let policy = |kind: &str, name: &str, labels: Value| {
        let spec = json!({"selector": {"matchLabels": labels}});
        istio("security", kind, name, spec)
    };
    for kind in ["PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication"] {
        check(policy(kind, "shop/p", json!({"app": "echo"})), &[ECHO_1]);
        check(policy(kind, "shop/p", json!({})), &[ECHO_1, OTHER_1]);
        check(policy(kind, "istio-system/p", json!({})), &[ECHO_1, OTHER_1, FRONT]);
        check(policy(kind, "other/p", json!({})), &[]);
    }
    // One of the root with a selector is for all namespaces, but for peers.
    let labels = json!({"app": "echo"});
    check(policy("AuthorizationPolicy", "istio-system/p", labels.clone()), &[ECHO_1]);
    check(policy("PeerAuthentication", "istio-system/p", labels), &[]);
    let telemetry = istio("telemetry", "Telemetry", "istio-system/t", json!({}));
    check(telemetry, &[ECHO_1, OTHER_1, FRONT]);
    let spec = json!({"targetRefs": [{"kind": "Service", "group": "", "name": "echo"}]});
    check(istio("security", "AuthorizationPolicy", "shop/p", spec), &[ECHO]);
}

#[test]
fn of_sidecars_the_one_that_counts_acts() {
    let chosen =
        json!({"workloadSelector": {"labels": {"app": "echo"}}, "egress": [{"hosts": ["./*"]}]});
    let default = json!({"egress": [{"hosts": ["./*"]}]});
    let acts = acts_with(vec![
        istio("networking", "Sidecar", "shop/chosen", chosen),
        istio("networking", "Sidecar", "shop/default", default),
    ]);
    let on = |id: &str| {
        let all = acts.on(id).into_iter().filter(|key| key.kind.kind == "Sidecar");
        all.map(|key| key.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!((on(ECHO_1), on(OTHER_1), on(FRONT)), (vec!["chosen"], vec!["default"], vec![]));
}

#[test]
fn selections_have_what_acts_on_their_parts() {
    let split = json!({"hosts": ["echo"], "tcp": [{"route": [
        {"destination": {"host": "echo", "subset": "v1"}, "weight": 80},
        {"destination": {"host": "echo", "subset": "v2"}, "weight": 20}]}]});
    let acts = acts_with(vec![
        istio("networking", "VirtualService", "shop/vs", split),
        istio(
            "networking",
            "DestinationRule",
            "shop/dr",
            json!({"host": "echo",
              "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 1}}}}),
        ),
    ]);
    let on = |id: &str| acts.on(id).into_iter().map(|key| key.name.as_str()).collect::<Vec<_>>();
    let all = ["dr", "vs", "echo-1"];
    for id in ["app/shop/echo", "app/shop/echo/v1", "appbox/shop/echo", ECHO_1] {
        assert_eq!(
            on(id).into_iter().collect::<BTreeSet<_>>(),
            all.iter().copied().collect(),
            "{id}"
        );
    }
    assert_eq!(on(&format!("{FRONT}>{ECHO}#tcp")).len(), 3);
    assert_eq!(on("namespace/shop").len(), 4);
    assert_eq!(on("mesh").len(), 6);
    assert_eq!(on("workload/shop/nothing").len(), 0);
    let service = acts.place(ECHO).unwrap();
    let (badges, issues) = acts.marks(service, false);
    assert_eq!(badges, ["circuitBreaker", "destinationRule", "trafficShifting", "virtualService"]);
    assert_eq!(issues, Count { errors: 2, warnings: 0 });
    let workload = acts.place(ECHO_1).unwrap();
    assert_eq!(acts.marks(workload, false).0, [""; 0]);
    assert_eq!(acts.marks(workload, true).0, badges);
    let expected = Traffic {
        routed: ["echo".to_owned()].into(),
        shifts_connections: true,
        ..Traffic::default()
    };
    assert_eq!(acts.traffic(service, false), expected);
    assert_eq!(acts.traffic(workload, true), expected);
    assert_eq!(acts.traffic(workload, false), Traffic::default());
}

#[test]
fn gateways_and_missing_sidecars_are_told() {
    let acts = acts_with(Vec::new());
    let place = |id: &str| acts.place(id).unwrap();
    assert_eq!((place(FRONT).gateway, place(ECHO_1).gateway), (Some("ingress"), None));
    assert!(place(OTHER_1).is_out_of_mesh() && !place(ECHO_1).is_out_of_mesh());
    assert_eq!(acts.marks(place(OTHER_1), false).0, ["missingSidecar"]);
}
