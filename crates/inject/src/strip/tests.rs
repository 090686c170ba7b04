//! Injections taken out again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::strip;
use crate::{Settings, Subject, inject, pod};

fn injected(pod: &Value) -> Value {
    let labels = BTreeMap::new();
    inject(&Subject { namespace: "default", namespace_labels: &labels, pod }, &settings())
        .unwrap()
        .pod
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.image.pull_secrets = vec!["registry".to_owned()];
    settings
}

#[test]
fn everything_but_labels_and_hints_is_taken_out() {
    let pod = json!({
        "metadata": {"name": "web", "annotations": {"prometheus.io/port": "9090"}},
        "spec": {
            "containers": [
                {"name": "app", "image": "app", "livenessProbe": {"tcpSocket": {"port": 80}}},
                {"name": "istio-proxy", "image": "auto", "env": [{"name": "A", "value": "b"}]},
            ],
            "initContainers": [{"name": "seed", "image": "x"}],
            "volumes": [{"name": "data", "emptyDir": {}}],
            "imagePullSecrets": [{"name": "mine"}],
        },
    });
    let out = strip(&injected(&pod), &settings());
    assert_eq!(out["spec"], pod["spec"]);
    assert_eq!(out["metadata"]["annotations"]["prometheus.io/port"], "9090");
    for gone in ["sidecar.istio.io/status", "proxy.istio.io/overrides", "prometheus.io/path"] {
        assert!(out["metadata"]["annotations"].get(gone).is_none(), "{gone}");
    }
}

#[test]
fn a_pull_secret_that_the_pod_had_stays() {
    let pod = json!({
        "metadata": {"name": "web"},
        "spec": {"containers": [], "imagePullSecrets": [{"name": "registry"}, {"name": "b"}]},
    });
    let after = injected(&pod);
    assert_eq!(after["spec"]["imagePullSecrets"], pod["spec"]["imagePullSecrets"]);
    let mut stripped = strip(&after, &settings());
    for field in ["initContainers", "volumes"] {
        assert_eq!(stripped["spec"][field], json!([]));
        pod::drop_empty(&mut stripped, field);
    }
    assert_eq!(stripped["spec"], pod["spec"]);
}

#[test]
fn a_pod_without_a_status_is_as_it_was() {
    let pod = json!({"metadata": {"annotations": {"sidecar.istio.io/status": "{"}}, "spec": {}});
    assert_eq!(strip(&pod, &settings()), pod);
}

#[test]
fn what_no_injector_adds_stays_although_a_status_names_it() {
    let status = json!({
        "initContainers": ["seed", "enable-core-dump"], "containers": ["app", "istio-proxy"],
        "volumes": ["data", "istio-envoy", "mine"], "imagePullSecrets": ["own", "registry"],
    });
    let containers =
        json!([{"name": "app", "image": "app"}, {"name": "istio-proxy", "image": "p"}]);
    let inits = json!([{"name": "seed", "image": "x"}, {"name": "enable-core-dump", "image": "p"}]);
    let named =
        |names: &[&str]| -> Value { names.iter().map(|name| json!({"name": name})).collect() };
    let pod = json!({
        "metadata": {"annotations": {
            "sidecar.istio.io/status": status.to_string(),
            "sidecar.istio.io/userVolume": "{\"mine\": {\"emptyDir\": {}}}",
        }},
        "spec": {
            "initContainers": inits, "containers": containers,
            "volumes": named(&["data", "istio-envoy", "mine"]),
            "imagePullSecrets": named(&["own", "registry"]),
        },
    });
    let spec = &strip(&pod, &settings())["spec"];
    assert_eq!(spec["initContainers"], json!([inits[0]]));
    assert_eq!(spec["containers"], json!([containers[0]]));
    assert_eq!(spec["volumes"], named(&["data"]));
    assert_eq!(spec["imagePullSecrets"], named(&["own"]));
}

#[test]
fn what_a_template_adds_is_taken_out_and_what_it_changes_stays() {
    let (settings, issues) = Settings::from_texts(
        "sidecarInjectorWebhook:\n  templates:\n    logs: |\n      spec:\n        containers:\n        \
         - {name: logger, image: logger}\n        - {name: app, env: [{name: A, value: b}]}\n",
        "",
        "",
    );
    assert_eq!(issues, []);
    let pod = json!({
        "metadata": {"annotations": {
            "sidecar.istio.io/status": "{\"containers\": [\"app\", \"logger\"]}",
        }},
        "spec": {"containers": [
            {"name": "app", "image": "app"}, {"name": "logger", "image": "logger"},
        ]},
    });
    let containers = &strip(&pod, &settings)["spec"]["containers"];
    assert_eq!(*containers, json!([{"name": "app", "image": "app"}]));
}
