//! Injections taken out again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::strip;
use crate::{Settings, Subject, inject, pod};

fn injected(pod: &Value) -> Value {
    let labels = BTreeMap::new();
    let mut settings = Settings::default();
    settings.image.pull_secrets = vec!["registry".to_owned()];
    inject(&Subject { namespace: "default", namespace_labels: &labels, pod }, &settings)
        .unwrap()
        .pod
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
    let out = strip(&injected(&pod));
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
    let mut stripped = strip(&after);
    for field in ["initContainers", "volumes"] {
        assert_eq!(stripped["spec"][field], json!([]));
        pod::drop_empty(&mut stripped, field);
    }
    assert_eq!(stripped["spec"], pod["spec"]);
}

#[test]
fn a_pod_without_a_status_is_as_it_was() {
    let pod = json!({"metadata": {"annotations": {"sidecar.istio.io/status": "{"}}, "spec": {}});
    assert_eq!(strip(&pod), pod);
}
