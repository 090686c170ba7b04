//! Lists of a small mesh.

use std::sync::Arc;

use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::{Key, parse};
use lateen_model::{Change, World};
use serde_json::{Value, json};

use super::{Facts, Findings, Inventory, Proxies};
use crate::published::Published;
use crate::pushes::Making;

fn world() -> Arc<Published> {
    let mut world = World::new();
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace",
               "metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo", "namespace": "shop", "labels": {"team": "a"}},
               "spec": {"ports": [{"port": 80, "name": "tcp"}], "selector": {"app": "echo"}}}),
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
               "metadata": {"name": "echo-1", "namespace": "shop"},
               "spec": {"address": "10.0.0.1", "labels": {"app": "echo", "version": "v1", "tier": "a"}}}),
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
               "metadata": {"name": "echo-2", "namespace": "shop"},
               "spec": {"address": "10.0.0.2", "labels": {"app": "echo", "version": "v2"}},
               "status": {"conditions": [{"type": "Healthy", "status": "False"}]}}),
        json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
               "metadata": {"name": "db", "namespace": "data", "labels": {"tier": "data"}},
               "spec": {"hosts": ["db.example.com"], "ports": [{"number": 1, "name": "tcp", "protocol": "TCP"}],
                        "resolution": "DNS"}}),
    ] {
        let api_version = object["apiVersion"].as_str().unwrap().to_owned();
        let (group, version) = split_api_version(&api_version);
        let kind = by_kind(group, object["kind"].as_str().unwrap()).unwrap();
        let (resource, _) = parse(kind, version, object);
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    let published = Arc::new(Published::default());
    published.publish(world.snapshot(), Making::default());
    published
}

fn get(path: &str, query: &str) -> Value {
    let inventory = Inventory::new(world(), Arc::default(), Arc::default(), Arc::default());
    let page = inventory.list(path, query, &|id| json!(format!("health of {id}"))).unwrap();
    serde_json::from_slice(&page.body).unwrap()
}

#[test]
fn what_is_there_is_listed() {
    let namespaces = get("namespaces", "");
    assert_eq!(namespaces["namespaces"][0]["injection"], "enabled");
    assert_eq!(namespaces["namespaces"][0]["health"], "health of namespace/shop");
    assert_eq!(namespaces["namespaces"][0].get("revision"), None, "it has none");
    let services = get("services", "");
    let ids: Vec<&str> = services["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["id"].as_str())
        .collect();
    assert_eq!(ids, ["serviceEntry/data/db.example.com", "service/shop/echo"]);
    assert_eq!(services["items"][1]["instances"], json!({ "all": 2, "ready": 1 }));
    let labels = [0, 1].map(|at| services["items"][at]["labels"].clone());
    assert_eq!(labels, [json!({"tier": "data"}), json!({"team": "a"})], "and no selectors");
    let workloads = get("workloads", "");
    let first = &workloads["items"][0];
    assert_eq!(
        (&first["id"], &first["sidecars"]),
        (&json!("workload/shop/echo-1"), &json!("none"))
    );
    assert_eq!(first["labels"]["version"], "v1");
    let applications = get("applications", "");
    assert_eq!(applications["items"][0]["id"], "app/shop/echo");
    assert_eq!(applications["items"][0]["labels"], json!({ "app": "echo" }), "what all have");
}

#[test]
fn lists_are_narrowed_by_namespace_and_by_words() {
    let all = |query: &str| get("services", query)["items"].as_array().unwrap().len();
    assert_eq!(all("namespaces=data"), 1);
    assert_eq!(all("search=EXAMPLE"), 1);
    assert_eq!(all("search=nothing"), 0);
}

#[test]
fn telemetry_that_was_dropped_is_noticed() {
    let proxies = Arc::<Proxies>::default();
    let inventory = Inventory::new(world(), Arc::default(), proxies.clone(), Arc::default());
    assert_eq!(inventory.notices(None), [""; 0]);
    proxies.overweight();
    proxies.refused("shop", 3);
    let confined = Arc::new(["data".to_owned()].into());
    assert_eq!(inventory.notices(Some(&confined)), [""; 0]);
    let [overweight, foreign] = &inventory.notices(None)[..] else { panic!("two are dropped") };
    assert!(overweight.starts_with("1 messages of telemetry were dropped"), "{overweight}");
    assert!(foreign.starts_with("3 connections and samples were dropped"), "{foreign}");
}

#[test]
fn parameters_that_a_list_does_not_take_are_refused() {
    let inventory = Inventory::new(world(), Arc::default(), Arc::default(), Arc::default());
    for (list, query, said) in [
        ("workloads", "namespace=shop", "it takes namespaces, search"),
        ("services", "kind=Service", "it takes namespaces, search"),
        ("applications", "search=a&search=b", "is given twice"),
        ("namespaces", "search=shop", "takes no parameters"),
    ] {
        let page = inventory.list(list, query, &|_| Value::Null).unwrap();
        let body = String::from_utf8(page.body).unwrap();
        assert!(page.status == 400 && body.contains(said), "{list}?{query}: {body}");
    }
}

#[test]
fn of_configuration_there_are_istios_kinds_and_what_traffic_tells_of() {
    let findings = Arc::<Findings>::default();
    let facts = Facts { generation: None, created: 0, status: Value::Null, reach: Arc::default() };
    let key = |kind: &str, name: &str| {
        let kind = by_kind("networking.istio.io", kind).unwrap();
        Key { kind, namespace: "shop".to_owned(), name: name.to_owned() }
    };
    let (broken, other) = (key("VirtualService", "broken"), key("Sidecar", "other"));
    findings.put_object(broken.clone(), facts.clone());
    findings.put_object(other, facts);
    let inventory = Inventory::new(world(), findings, Arc::default(), Arc::default());
    let get = |query: &str| -> Result<Vec<String>, String> {
        let tells = |id: &str| match id {
            "workload/shop/client" => Ok([broken.object_ref()].into()),
            id => Err(format!("there is no {id}")),
        };
        let list: Value = serde_json::from_slice(&inventory.config(query, tells)?.body).unwrap();
        let items = list["items"].as_array().unwrap().iter();
        Ok(items.map(|item| item["name"].as_str().unwrap().to_owned()).collect())
    };
    assert_eq!(get("").unwrap().len(), 2);
    assert_eq!(get("kind=virtualservice"), Ok(vec!["broken".to_owned()]));
    assert_eq!(get("actsOn=workload/shop/client"), Ok(vec!["broken".to_owned()]));
    for (query, said) in [
        ("kind=Nope", "kind \"Nope\" is not known: use "),
        ("kind=Pod", "VirtualService"),
        ("actsOn=workload/shop/nope", "there is no workload/shop/nope"),
        ("actson=mesh", "it takes namespaces, search, kind, actsOn"),
    ] {
        let refused = get(query).unwrap_err();
        assert!(refused.contains(said), "{query}: {refused}");
    }
}

#[test]
fn ten_thousand_workloads_are_a_list_that_says_how_many_it_leaves_out() {
    let mut world = World::new();
    for number in 0..10_000 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
        let object = json!({
            "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
            "metadata": { "name": format!("job-{number}"), "namespace": "jobs" },
            "spec": { "address": address.to_string(), "labels": { "app": "job" } },
        });
        let kind = by_kind("networking.istio.io", "WorkloadEntry").unwrap();
        let (resource, _) = parse(kind, "v1", object);
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    let published = Arc::new(Published::default());
    published.publish(world.snapshot(), Making::default());
    let inventory = Inventory::new(published, Arc::default(), Arc::default(), Arc::default());
    let get = |query: &str| -> Value {
        let page = inventory.list("workloads", query, &|_| Value::Null).unwrap();
        serde_json::from_slice(&page.body).unwrap()
    };
    let all = get("");
    assert_eq!((all["items"].as_array().unwrap().len(), &all["leftOut"]), (5000, &json!(5000)));
    let some = get("search=job-999");
    assert_eq!((some["items"].as_array().unwrap().len(), some.get("leftOut")), (11, None));
}

#[test]
fn what_acts_on_what_is_found_anew_after_a_change_and_only_then() {
    let (published, findings, proxies) = (world(), Arc::<Findings>::default(), Arc::default());
    let inventory = Inventory::new(
        published.clone(),
        findings.clone(),
        Arc::<Proxies>::clone(&proxies),
        Arc::default(),
    );
    let mut last = inventory.acts();
    let mut is_new = || {
        let acts = inventory.acts();
        !Arc::ptr_eq(&acts, &std::mem::replace(&mut last, acts.clone()))
    };
    assert!(!is_new());
    findings.clear_session(1);
    assert!(is_new() && !is_new());
    proxies.disconnected(1);
    assert!(is_new() && !is_new());
    published.publish(Arc::default(), Making::default());
    assert!(is_new() && !is_new());
    assert!(inventory.acts().place("service/shop/echo").is_none());
}
