//! Which objects configure the proxy of a pod, and in what order.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::ProxyConfigs;
use crate::inject::overlay;
use crate::{PROXY_CONTAINER, Settings, Subject, inject, pod};

fn object(namespace: &str, name: &str, created: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1beta1",
        "kind": "ProxyConfig",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": created},
        "spec": spec,
    })
}

fn young(namespace: &str, name: &str, spec: Value) -> Value {
    object(namespace, name, "2026-02-02T00:00:00Z", spec)
}

/// `concurrency` and `proxyMetadata` of an injected pod.
fn configured(mesh: &str, objects: Vec<Value>, namespace: &str, metadata: Value) -> (Value, Value) {
    let (mut settings, issues) = Settings::from_texts("", mesh, "");
    let (configs, more) = ProxyConfigs::read(objects);
    assert_eq!((issues, more), (Vec::new(), Vec::new()));
    settings.proxy_configs = Arc::new(configs);
    let containers = json!([{"name": "app", "image": "app"}]);
    let pod = json!({"metadata": metadata, "spec": {"containers": containers}});
    let labels = BTreeMap::new();
    let subject = Subject { namespace, namespace_labels: &labels, pod: &pod };
    let injected = inject(&subject, &settings).unwrap().pod;
    let proxy = pod::container(&injected, PROXY_CONTAINER).unwrap();
    let text = pod::variable(proxy, "PROXY_CONFIG").unwrap();
    let config: Value = serde_json::from_str(text).unwrap();
    for (name, value) in config["proxyMetadata"].as_object().into_iter().flatten() {
        assert_eq!(pod::variable(proxy, name), value.as_str(), "it is in the environment too");
    }
    (config["concurrency"].clone(), config["proxyMetadata"].clone())
}

const MESH: &str = "defaultConfig: {concurrency: 1, proxyMetadata: {A: mesh, M: mesh}}";

fn everywhere() -> Vec<Value> {
    let spec = |threads: i32, name: &str, more: Value| {
        let mut spec = json!({"concurrency": threads, "environmentVariables": {"A": name}});
        spec["environmentVariables"][name] = json!(name);
        overlaid(spec, more)
    };
    let selector = json!({"selector": {"matchLabels": {"app": "web"}}});
    vec![
        young("istio-system", "mesh", spec(2, "ROOT", json!({}))),
        young("shop", "all", spec(3, "NAMESPACE", json!({}))),
        young("shop", "web", spec(5, "WORKLOAD", selector)),
    ]
}

fn overlaid(mut base: Value, over: Value) -> Value {
    overlay(&mut base, &over);
    base
}

#[test]
fn the_narrower_object_counts_and_what_it_leaves_out_stays() {
    let web = || json!({"name": "web", "labels": {"app": "web", "version": "v1"}});
    let other = || json!({"name": "other", "labels": {"app": "other"}});
    let (threads, variables) = configured(MESH, everywhere(), "elsewhere", web());
    assert_eq!(threads, 2);
    assert_eq!(variables, json!({"A": "ROOT", "M": "mesh", "ROOT": "ROOT"}));
    let (threads, variables) = configured(MESH, everywhere(), "shop", other());
    assert_eq!(threads, 3);
    assert_eq!(
        variables,
        json!({"A": "NAMESPACE", "M": "mesh", "ROOT": "ROOT", "NAMESPACE": "NAMESPACE"})
    );
    let (threads, variables) = configured(MESH, everywhere(), "shop", web());
    assert_eq!((threads, &variables["A"]), (json!(5), &json!("WORKLOAD")));
    assert_eq!(variables["NAMESPACE"], "NAMESPACE");
    let (threads, _) = configured("", Vec::new(), "shop", web());
    assert_eq!(threads, Value::Null);
}

/// Istio, `pilot/pkg/model/proxy_config.go`, `EffectiveProxyConfig`: the mesh's `defaultConfig`, the root
/// namespace's object, the namespace's, the annotation, and over all the object that selects the workload. Only
/// the pod's own namespace has objects that select it.
#[test]
fn a_pod_s_annotation_is_over_its_namespace_and_under_the_object_that_selects_it() {
    let annotation = "concurrency: 4\nproxyMetadata: {A: pod, P: pod}";
    let annotated = |app: &str| {
        json!({
            "name": "x",
            "labels": {"app": app},
            "annotations": {"proxy.istio.io/config": annotation},
        })
    };
    let (threads, variables) = configured(MESH, everywhere(), "shop", annotated("other"));
    assert_eq!((threads, &variables["A"]), (json!(4), &json!("pod")));
    let (threads, variables) = configured(MESH, everywhere(), "shop", annotated("web"));
    assert_eq!((threads, &variables["A"]), (json!(5), &json!("WORKLOAD")));
    assert_eq!(variables["P"], "pod");
    let selector = json!({"selector": {"matchLabels": {"app": "web"}}, "concurrency": 9});
    let in_root = vec![young("istio-system", "web", selector)];
    assert_eq!(configured(MESH, in_root, "shop", annotated("web")).0, 4);
}

#[test]
fn the_root_namespace_is_the_mesh_s_setting() {
    let mesh = "rootNamespace: shop";
    let labels = json!({"name": "x", "labels": {"app": "other"}});
    let (threads, _) = configured(mesh, everywhere(), "elsewhere", labels.clone());
    assert_eq!(threads, 3);
    let (threads, _) = configured(mesh, everywhere(), "shop", labels);
    assert_eq!(threads, 3);
}

#[test]
fn a_selector_without_labels_selects_nothing_and_zero_is_a_number_of_threads() {
    let metadata = || json!({"name": "x", "labels": {"app": "web"}});
    let nobody = young("shop", "x", json!({"selector": {}, "concurrency": 7}));
    assert_eq!(configured(MESH, vec![nobody], "shop", metadata()).0, 1);
    let all_cores = young("shop", "x", json!({"concurrency": 0}));
    assert_eq!(configured(MESH, vec![all_cores], "shop", metadata()).0, 0);
}

#[test]
fn the_oldest_of_two_counts_and_the_other_is_told_as_is_what_cannot_be_read() {
    let old = object("shop", "z", "2026-01-01T00:00:00Z", json!({"concurrency": 1}));
    let (configs, issues) = ProxyConfigs::read([
        young("shop", "a", json!({"concurrency": 2})),
        old.clone(),
        young("shop", "bad", json!({"concurrency": "many"})),
    ]);
    let mut config = json!({});
    configs.of_namespaces("istio-system", "shop", &mut config);
    assert_eq!(config["concurrency"], 1);
    let told: Vec<String> = issues.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("ProxyConfig shop/bad") && told[0].contains("concurrency"));
    assert!(told[1].contains("ProxyConfig shop/a") && told[1].contains("shop/z is older"));
    assert_eq!(ProxyConfigs::read([old]).1, []);
}
