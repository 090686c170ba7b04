//! The world, synchronously: apply changes, look at the snapshot.

use std::sync::Arc;

use lateen_api::kinds::by_kind;
use lateen_api::resource::{Key, Resource, parse};
use serde_json::{Value, json};

use super::{Change, World};
use crate::workload::Health;

fn object(group: &str, kind: &str, mut value: Value) -> Resource {
    let kind = by_kind(group, kind).unwrap();
    value["kind"] = kind.kind.into();
    value["apiVersion"] = kind.api_version(kind.storage_version()).into();
    let (resource, issues) = parse(kind, kind.storage_version(), value);
    resource.unwrap_or_else(|| panic!("{issues:?}"))
}

fn mk_service(name: &str, ip: &str, port: u16) -> Resource {
    object(
        "",
        "Service",
        json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"clusterIP": ip, "selector": {"app": name},
                     "ports": [{"name": "tcp", "port": port, "targetPort": "main"}]},
        }),
    )
}

fn mk_workload(name: &str, app: &str, ip: &str, ports: Value) -> Resource {
    object(
        "networking.istio.io",
        "WorkloadEntry",
        json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"address": ip, "labels": {"app": app}, "ports": ports},
        }),
    )
}

fn mk_entry(name: &str, host: &str) -> Resource {
    object(
        "networking.istio.io",
        "ServiceEntry",
        json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"hosts": [host], "resolution": "STATIC",
                     "ports": [{"number": 80, "name": "tcp", "protocol": "TCP"}]},
        }),
    )
}

fn mk_mesh(text: &str) -> Resource {
    object(
        "",
        "ConfigMap",
        json!({
            "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": text},
        }),
    )
}

fn put(world: &mut World, resource: Resource) {
    world.apply(Change::Put(Box::new(resource)));
}

const A: &str = "a.default.svc.cluster.local";

/// A WorkloadEntry of app `a` with these conditions, probed or not.
fn mk_probed(name: &str, ip: &str, probed: &str, conditions: Value) -> Resource {
    object(
        "networking.istio.io",
        "WorkloadEntry",
        json!({
            "metadata": {"name": name, "namespace": "default",
                         "annotations": {"proxy.istio.io/health-checks-enabled": probed}},
            "spec": {"address": ip, "labels": {"app": "a"}},
            "status": {"conditions": conditions},
        }),
    )
}

#[test]
fn a_probed_workload_is_as_healthy_as_its_condition_says() {
    let mut world = World::new();
    put(&mut world, mk_service("a", "10.96.0.1", 80));
    let condition = |status: &str| json!([{"type": "Healthy", "status": status}]);
    put(&mut world, mk_probed("w1", "10.0.0.1", "true", condition("True")));
    put(&mut world, mk_probed("w2", "10.0.0.2", "true", condition("False")));
    put(&mut world, mk_probed("w3", "10.0.0.3", "true", json!([])));
    put(&mut world, mk_probed("w4", "10.0.0.4", "false", json!([])));
    put(&mut world, mk_probed("w5", "10.0.0.5", "false", condition("False")));
    let snapshot = world.snapshot();
    let endpoints = snapshot.endpoints(snapshot.service_for(A, "default").unwrap()).port(80);
    let healthy: Vec<bool> = endpoints.iter().map(|e| e.health == Health::Healthy).collect();
    assert_eq!(healthy, [true, false, false, true, false]);
    put(&mut world, mk_probed("w2", "10.0.0.2", "true", condition("True")));
    let snapshot = world.snapshot();
    let endpoints = snapshot.endpoints(snapshot.service_for(A, "default").unwrap()).port(80);
    assert_eq!(endpoints[1].health, Health::Healthy);
}

#[test]
fn a_service_selects_workload_entries_and_asks_them_for_named_ports() {
    let mut world = World::new();
    put(&mut world, mk_service("a", "10.96.0.1", 80));
    put(&mut world, mk_workload("w1", "a", "10.0.0.1", json!({"main": 8080})));
    put(&mut world, mk_workload("w2", "b", "10.0.0.2", json!({})));
    let snapshot = world.snapshot();
    let id = snapshot.service_for(A, "default").unwrap();
    let endpoints = snapshot.endpoints(id).port(80);
    assert_eq!(endpoints.len(), 1);
    assert_eq!((endpoints[0].port, endpoints[0].health), (8080, Health::Healthy));
    assert_eq!(snapshot.services().by_address("10.96.0.1".parse().unwrap()), [id]);
}

#[test]
fn an_external_name_that_is_none_leads_nowhere_and_is_noted() {
    let mut world = World::new();
    for name in ["", "not a name", "*.example.com"] {
        let spec = json!({"type": "ExternalName", "externalName": name, "ports": [{"port": 80}]});
        let metadata = json!({"name": "out", "namespace": "default"});
        put(&mut world, object("", "Service", json!({"metadata": metadata, "spec": spec})));
        let snapshot = world.snapshot();
        assert_eq!(snapshot.issues()[0].path, "spec.externalName", "{name:?}");
        let id = snapshot.service_for("out.default.svc.cluster.local", "default").unwrap();
        assert_eq!(snapshot.services().get(id).external_name, None, "{name:?}");
    }
}

#[test]
fn a_deleted_object_is_gone_and_an_idle_world_keeps_its_snapshot() {
    let mut world = World::new();
    put(&mut world, mk_service("a", "10.96.0.1", 80));
    let before = world.snapshot();
    assert!(Arc::ptr_eq(&before, &world.snapshot()));
    let kind = by_kind("", "Service").unwrap();
    world.apply(Change::Delete(Key { kind, namespace: "default".into(), name: "a".into() }));
    assert!(world.snapshot().service_for(A, "default").is_none());
    assert!(before.service_for(A, "default").is_some());
}

#[test]
fn a_relist_swaps_a_kind_whole_and_leaves_the_others() {
    let mut world = World::new();
    put(&mut world, mk_service("a", "10.96.0.1", 80));
    put(&mut world, mk_workload("w", "b", "10.0.0.1", json!({"main": 1})));
    let kind = by_kind("", "Service").unwrap();
    world.apply(Change::Replace(kind, vec![mk_service("b", "10.96.0.2", 80)]));
    let snapshot = world.snapshot();
    assert!(snapshot.service_for(A, "default").is_none());
    let id = snapshot.service_for("b.default.svc.cluster.local", "default").unwrap();
    assert_eq!(snapshot.endpoints(id).port(80).len(), 1);
}

#[test]
fn a_change_of_routes_shares_the_other_indexes() {
    let mut world = World::new();
    put(&mut world, mk_service("a", "10.96.0.1", 80));
    let before = world.snapshot();
    put(
        &mut world,
        object(
            "networking.istio.io",
            "Gateway",
            json!({
                "metadata": {"name": "g", "namespace": "default"},
                "spec": {"selector": {}, "servers": []},
            }),
        ),
    );
    let after = world.snapshot();
    assert!(Arc::ptr_eq(&before.services, &after.services));
    assert!(Arc::ptr_eq(&before.endpoints, &after.endpoints));
    assert!(!Arc::ptr_eq(&before.routes, &after.routes));
}

#[test]
fn automatic_addresses_do_not_depend_on_the_order_of_arrival() {
    let address = |names: &[&str]| {
        let mut world = World::new();
        names.iter().for_each(|name| put(&mut world, mk_entry(name, &format!("{name}.db"))));
        let snapshot = world.snapshot();
        let id = snapshot.service_for("x.db", "default").unwrap();
        snapshot.services().get(id).auto_address.unwrap()
    };
    let found = address(&["x", "y", "z"]);
    assert_eq!(found, address(&["z", "y", "x"]));
    assert!(found.to_string().starts_with("240.240."));
}

#[test]
fn a_mesh_config_may_be_in_snake_case() {
    let mut world = World::new();
    put(&mut world, mk_mesh("connect_timeout: 3s"));
    assert_eq!(world.snapshot().mesh().connect_timeout.as_secs(), 3);
}

#[test]
fn a_broken_mesh_config_keeps_the_last_good_one_and_says_so() {
    let mut world = World::new();
    put(&mut world, mk_mesh("connectTimeout: 3s"));
    put(&mut world, mk_mesh("connectTimeout: [3s"));
    let snapshot = world.snapshot();
    assert_eq!(snapshot.mesh().connect_timeout.as_secs(), 3);
    assert_eq!(snapshot.issues()[0].path, "data.mesh");
}

#[test]
fn export_to_hides_a_service_from_other_namespaces() {
    let mut world = World::new();
    put(
        &mut world,
        object(
            "",
            "Service",
            json!({
                "metadata": {"name": "a", "namespace": "default",
                             "annotations": {"networking.istio.io/exportTo": "."}},
                "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 80}]},
            }),
        ),
    );
    let snapshot = world.snapshot();
    assert!(snapshot.service_for(A, "default").is_some());
    assert!(snapshot.service_for(A, "other").is_none());
}

#[test]
fn a_thousand_services_are_indexed_and_keep_their_endpoints() {
    let mut world = World::new();
    for i in 0..1000 {
        let ip = format!("10.96.{}.{}", i / 250, i % 250 + 1);
        put(&mut world, mk_service(&format!("s{i}"), &ip, 80));
        let ip = format!("10.0.{}.{}", i / 250, i % 250 + 1);
        put(&mut world, mk_workload(&format!("w{i}"), &format!("s{i}"), &ip, json!({"main": 1})));
    }
    world.snapshot();
    put(&mut world, mk_workload("new", "s7", "10.1.0.1", json!({"main": 1})));
    let start = std::time::Instant::now();
    let snapshot = world.snapshot();
    eprintln!("one endpoint among 1,000 services: {:?}", start.elapsed());
    put(&mut world, mk_service("new", "10.97.0.1", 80));
    let start = std::time::Instant::now();
    world.snapshot();
    eprintln!("one service among 1,000: {:?}", start.elapsed());
    let id = snapshot.service_for("s7.default.svc.cluster.local", "default").unwrap();
    assert_eq!(snapshot.endpoints(id).port(80).len(), 2);
}

fn mk_virtual_service(gateways: Value, routes: Value) -> Resource {
    let mut spec = json!({"hosts": ["a"], "gateways": gateways});
    spec.as_object_mut().unwrap().extend(routes.as_object().unwrap().clone());
    let metadata = json!({"name": "v", "namespace": "default"});
    object("networking.istio.io", "VirtualService", json!({"metadata": metadata, "spec": spec}))
}

#[test]
fn routes_that_are_not_acted_on_are_named() {
    let route = json!([{"destination": {"host": "a"}}]);
    let http = json!({"http": [{"route": route}]});
    let tls = json!({"tls": [{"match": [{"sniHosts": ["a"]}], "route": route}]});
    let found = |gateways: Value, routes: &Value| {
        let mut world = World::new();
        put(&mut world, mk_virtual_service(gateways, routes.clone()));
        let issues = world.snapshot().issues().to_vec();
        issues.into_iter().map(|issue| (issue.code.0, issue.path)).collect::<Vec<_>>()
    };
    assert_eq!(found(json!(["g"]), &http), [("LTN0001", "spec.http".to_owned())]);
    assert_eq!(found(json!([]), &http), [("LTN0001", "spec.http".to_owned())]);
    assert_eq!(found(json!(["mesh", "g"]), &tls), []);
    assert_eq!(found(json!(["g"]), &tls), []);
}

#[test]
fn gateways_are_found_under_every_name_that_istio_takes() {
    let mut world = World::new();
    let names = json!(["g", "./g", "other/g", "g.other", "g.other.svc.cluster.local", "mesh"]);
    put(&mut world, mk_virtual_service(names, json!({})));
    let snapshot = world.snapshot();
    let found: Vec<&str> =
        snapshot.routes().virtual_services()[0].gateways.iter().map(|name| &**name).collect();
    let (own, other) = ("default/g", "other/g");
    assert_eq!(found, [own, own, other, other, other, "mesh"]);
}

#[test]
fn a_host_keeps_the_automatic_address_it_was_given_and_a_copy_gets_another() {
    let entry = |name: &str, host: &str, created: &str, value: &str| {
        object(
            "networking.istio.io",
            "ServiceEntry",
            json!({
                "metadata": {"name": name, "namespace": "default", "creationTimestamp": created},
                "spec": {"hosts": [host], "resolution": "DNS",
                         "ports": [{"number": 80, "name": "tcp", "protocol": "TCP"}]},
                "status": {"addresses": [{"value": value, "host": host}]},
            }),
        )
    };
    let mut world = World::new();
    put(&mut world, entry("b", "b.test", "2026-01-01T00:00:02Z", "240.240.3.4"));
    put(&mut world, entry("a", "a.test", "2026-01-01T00:00:01Z", "240.240.3.4"));
    put(&mut world, entry("c", "c.test", "2026-01-01T00:00:03Z", "10.0.0.1"));
    let snapshot = world.snapshot();
    let of = |host: &str| {
        let id = snapshot.service_for(host, "default").unwrap();
        snapshot.services().get(id).auto_address.unwrap().to_string()
    };
    assert_eq!(of("a.test"), "240.240.3.4");
    assert!(of("b.test").starts_with("240.240.") && of("b.test") != of("a.test"));
    assert!(of("c.test").starts_with("240.240."), "what is not of the range is not taken");
}

#[test]
fn a_host_that_an_entry_names_twice_is_one_service_with_one_address() {
    let mut world = World::new();
    let entry = json!({
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"hosts": ["a.test", "A.test", "b.test", "a.test"], "resolution": "DNS",
                 "ports": [{"number": 80, "name": "tcp", "protocol": "TCP"}]},
    });
    put(&mut world, object("networking.istio.io", "ServiceEntry", entry));
    let snapshot = world.snapshot();
    let services = snapshot.services().all().iter();
    let hosts: Vec<&str> = services.clone().map(|service| &*service.hostname).collect();
    assert_eq!(hosts, ["a.test", "b.test"]);
    assert!(services.map(|service| service.auto_address).all(|address| address.is_some()));
}

fn mk_namespace(name: &str, labels: Value) -> Resource {
    object("", "Namespace", json!({"metadata": {"name": name, "labels": labels}}))
}

#[test]
fn only_what_discovery_selectors_choose_is_seen() {
    let in_shop = |kind: &str, mut spec: Value| {
        spec["metadata"] = json!({"name": kind.to_lowercase(), "namespace": "shop"});
        object("networking.istio.io", kind, spec)
    };
    let mut world = World::new();
    let mut put = |resource: Resource| {
        world.apply(Change::Put(Box::new(resource)));
        world.snapshot()
    };
    put(mk_service("echo", "10.96.0.1", 80));
    put(in_shop("VirtualService", json!({"spec": {"hosts": ["x"], "http": [{"name": "h"}]}})));
    put(in_shop(
        "ServiceEntry",
        json!({"spec": {
            "hosts": ["a.example"], "resolution": "STATIC",
            "ports": [{"number": 80, "name": "tcp", "protocol": "TCP"}],
        }}),
    ));
    put(mk_namespace("shop", json!({"mesh": "no"})));
    let all = put(mk_namespace("default", json!({"mesh": "yes"})));
    let hosts = |snapshot: &crate::Snapshot| -> Vec<String> {
        snapshot.services().all().iter().map(|service| service.hostname.to_string()).collect()
    };
    assert_eq!(hosts(&all).len(), 2);
    assert!(!all.issues().is_empty() && all.sees_namespace("nobody-knows-it"));

    let selectors = |operator: &str| {
        mk_mesh(&format!(
            "discoverySelectors: [{{matchExpressions: [{{key: mesh, operator: {operator}, values: ['yes']}}]}}]"
        ))
    };
    let some = put(selectors("In"));
    assert_eq!(hosts(&some), ["echo.default.svc.cluster.local"]);
    assert!(some.namespace("shop").is_none() && some.namespace("default").is_some());
    assert_eq!(some.issues(), [], "of what is not seen nothing is told");
    assert!(!some.sees_namespace("shop") && !some.sees_namespace("nobody-knows-it"));

    let bad = put(selectors("Near"));
    assert_eq!(hosts(&bad), hosts(&some), "the last good selectors stay");
    let told = &bad.issues()[0];
    assert_eq!(told.path, "data.mesh.discoverySelectors[0].matchExpressions[0].operator");
    assert!(told.message.starts_with("\"Near\" is no operator: use In"), "{told}");
    assert!(told.message.ends_with("the last good selectors stay in force until this is mended"));

    put(selectors("In"));
    let relabelled = put(mk_namespace("shop", json!({"mesh": "yes"})));
    assert_eq!(hosts(&relabelled), hosts(&all));
    assert_eq!(relabelled.issues(), all.issues());
    let other = put(selectors("NotIn"));
    assert_eq!(hosts(&other), [] as [String; 0]);
    let again = put(mk_mesh(""));
    assert_eq!(hosts(&again), hosts(&all));
}

/// As in Istio. What it costs to see too much is less than what it costs to see nothing.
#[test]
fn with_wrong_selectors_from_the_start_everything_is_seen_and_that_is_told() {
    let mut world = World::new();
    world.apply(Change::Put(Box::new(mk_namespace("shop", json!({})))));
    let bad = "discoverySelectors: [{matchLabels: {mesh: a b}}]\nconnectTimeout: -1s";
    world.apply(Change::Put(Box::new(mk_mesh(bad))));
    let snapshot = world.snapshot();
    assert!(snapshot.sees_namespace("shop"));
    let told: Vec<_> = snapshot.issues().iter().map(ToString::to_string).collect();
    assert!(told[0].contains("data.mesh.connectTimeout: \"-1s\" is less than nothing"), "{told:?}");
    assert!(told[0].contains("no effect until it is mended"), "{told:?}");
    assert!(
        told[1].contains("data.mesh.discoverySelectors[0].matchLabels.mesh: \"a b\""),
        "{told:?}"
    );
    assert!(told[1].ends_with("every namespace is seen until this is mended"), "{told:?}");
}

#[test]
fn a_clone_shares_each_table_until_one_of_the_two_changes_it() {
    let mut world = World::new();
    put(&mut world, mk_service("a", "10.96.0.1", 80));
    put(&mut world, mk_workload("a-1", "a", "10.0.0.1", json!({})));
    let before = world.snapshot();
    let mut copy = world.clone();
    assert!(Arc::ptr_eq(&before, &copy.snapshot()));
    put(&mut copy, mk_service("b", "10.96.0.2", 80));
    assert_eq!(copy.snapshot().services().all().len(), 2);
    assert!(Arc::ptr_eq(&before, &world.snapshot()), "the original knows nothing of it");
    assert_eq!(Arc::strong_count(&world.tables.services), 1, "a change copies nothing");
    assert!(Arc::ptr_eq(&world.tables.workloads, &copy.tables.workloads));
    let kind = by_kind("networking.istio.io", "WorkloadEntry").unwrap();
    let unknown = Key { kind, namespace: "default".to_owned(), name: "a-2".to_owned() };
    world.apply(Change::Delete(unknown));
    assert!(Arc::ptr_eq(&world.tables.workloads, &copy.tables.workloads), "nothing has changed");
}

#[test]
fn what_a_world_is_taken_apart_from_goes_on_without_a_copy() {
    let mut world = World::new();
    put(&mut world, mk_service("a", "10.96.0.1", 80));
    put(&mut world, mk_workload("a-1", "a", "10.0.0.1", json!({})));
    let before = world.snapshot();
    let mut copy = world.clone().apart();
    assert!(Arc::ptr_eq(&before, &copy.snapshot()), "it is the same world");
    let tables =
        |world: &World| (Arc::as_ptr(&world.tables.services), Arc::as_ptr(&world.tables.workloads));
    let own = tables(&world);
    put(&mut world, mk_service("b", "10.96.0.2", 80));
    put(&mut world, mk_workload("b-1", "b", "10.0.0.2", json!({})));
    assert_eq!(tables(&world), own, "the writer's own tables, changed in place");
    assert_eq!(copy.snapshot().services().all().len(), 1);
}
