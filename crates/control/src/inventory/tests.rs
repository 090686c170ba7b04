//! Lists of a small mesh.

use std::sync::Arc;

use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::parse;
use lateen_model::{Change, World};
use serde_json::{Value, json};

use super::Inventory;
use crate::published::Published;
use crate::pushes::Making;

fn world() -> Arc<Published> {
    let mut world = World::new();
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace",
               "metadata": {"name": "shop", "labels": {"istio-injection": "enabled"}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "echo", "namespace": "shop"},
               "spec": {"ports": [{"port": 80, "name": "tcp"}], "selector": {"app": "echo"}}}),
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
               "metadata": {"name": "echo-1", "namespace": "shop"},
               "spec": {"address": "10.0.0.1", "labels": {"app": "echo"}}}),
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
               "metadata": {"name": "echo-2", "namespace": "shop"},
               "spec": {"address": "10.0.0.2", "labels": {"app": "echo"}},
               "status": {"conditions": [{"type": "Healthy", "status": "False"}]}}),
        json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
               "metadata": {"name": "db", "namespace": "data"},
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
    let inventory = Inventory::new(world(), Arc::default(), Arc::default());
    let page = inventory.list(path, query, &|id| json!(format!("health of {id}"))).unwrap();
    serde_json::from_slice(&page.body).unwrap()
}

#[test]
fn what_is_there_is_listed() {
    let namespaces = get("namespaces", "");
    assert_eq!(namespaces["namespaces"][0]["injection"], "enabled");
    assert_eq!(namespaces["namespaces"][0]["health"], "health of namespace/shop");
    let services = get("services", "");
    let ids: Vec<&str> = services["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|item| item["id"].as_str())
        .collect();
    assert_eq!(ids, ["serviceEntry/data/db.example.com", "service/shop/echo"]);
    assert_eq!(services["items"][1]["instances"], json!({ "all": 2, "ready": 1 }));
    let workloads = get("workloads", "");
    let first = &workloads["items"][0];
    assert_eq!(
        (&first["id"], &first["sidecars"]),
        (&json!("workload/shop/echo-1"), &json!("none"))
    );
    let applications = get("applications", "");
    assert_eq!(applications["items"][0]["id"], "app/shop/echo");
}

#[test]
fn lists_are_narrowed_by_namespace_and_by_words() {
    let all = |query: &str| get("services", query)["items"].as_array().unwrap().len();
    assert_eq!(all("namespaces=data"), 1);
    assert_eq!(all("search=EXAMPLE"), 1);
    assert_eq!(all("search=nothing"), 0);
}
