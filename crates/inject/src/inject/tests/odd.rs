//! Pods and templates that are almost right: each is refused or injected, and none panics.

use std::collections::BTreeMap;
use std::path::Path;

use lateen_testkit::fuzz::{fuzz, objects};
use serde_json::{Value, json};

use super::{pod_of, settings, split};
use crate::{
    Manual, Outcome, Settings, Subject, Template, decide, inject, patch, selected, workload,
};

fn refused(pod: &Value, settings: &Settings) -> String {
    let labels = BTreeMap::new();
    let subject = Subject { namespace: "default", namespace_labels: &labels, pod };
    let issues = inject(&subject, settings).unwrap_err();
    issues.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn pod(containers: Value, init_containers: Value) -> Value {
    json!({
        "metadata": {"name": "web"},
        "spec": {"containers": containers, "initContainers": init_containers},
    })
}

#[test]
fn a_container_s_field_of_a_wrong_type_is_named() {
    let app = json!({"name": "app", "image": "app"});
    for (field, value) in [
        ("securityContext", json!("x")),
        ("resources", json!([])),
        ("lifecycle", json!(1)),
        ("readinessProbe", json!("x")),
        ("env", json!({"A": "b"})),
        ("ports", json!([80])),
        ("volumeMounts", json!("x")),
    ] {
        let own = json!({"name": "istio-proxy", "image": "auto", field: value});
        let mut tproxy = pod(json!([app, own]), json!([]));
        tproxy["metadata"]["annotations"] = json!({"sidecar.istio.io/interceptionMode": "TPROXY"});
        let said = refused(&tproxy, &Settings::default());
        assert!(said.contains(&format!("spec.containers[1].{field}: ")), "{said}");
    }
    let validation = json!({"name": "istio-validation", "securityContext": "x"});
    let own = json!({"name": "istio-proxy", "securityContext": {"runAsUser": 5}});
    let settings = Settings { node_agent: true, ..Settings::default() };
    let said = refused(&pod(json!([app]), json!([validation, own])), &settings);
    assert!(said.contains("spec.initContainers[0].securityContext: "), "{said}");
}

#[test]
fn a_container_that_is_there_twice_is_refused() {
    let own = json!({"name": "istio-proxy", "image": "auto"});
    let said = refused(&pod(json!([own]), json!([own])), &Settings::default());
    assert!(said.contains("istio-proxy is there twice"), "{said}");
}

#[test]
fn a_proxy_config_with_which_the_pod_could_not_run_is_refused() {
    let with = |name: &str, value: &str| {
        let mut pod = pod(json!([{"name": "app"}]), json!([]));
        pod["metadata"]["annotations"] = json!({ name: value });
        pod
    };
    let mesh = Settings::default();
    let said = refused(&with("proxy.istio.io/config", "{statusPort: 15001}"), &mesh);
    assert!(said.contains("[\"proxy.istio.io/config\"]: statusPort: 15001 is the"), "{said}");
    let said = refused(&with("sidecar.istio.io/discoveryAddress", "istiod"), &mesh);
    assert!(said.contains("\"istiod\" is not host:port"), "{said}");
    let capture = json!({"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "maybe"}});
    let mesh = Settings { proxy_config: capture, ..mesh };
    let said = refused(&pod(json!([{"name": "app"}]), json!([])), &mesh);
    assert!(said.contains("DNS_CAPTURE: \"maybe\" is neither true nor false (it comes"), "{said}");
}

#[test]
fn a_template_that_is_no_pod_is_found_when_settings_are_read() {
    for template in ["spec: foo", "spec: {containers: [1]}", "metadata: {labels: [a]}"] {
        let values = json!({"sidecarInjectorWebhook": {"templates": {"mine": template}}});
        let (settings, issues) = Settings::from_texts(&values.to_string(), "", "");
        assert!(issues[0].message.contains("is not a pod: "), "{issues:?}");
        let mut pod = pod(json!([{"name": "app"}]), json!([]));
        pod["metadata"]["annotations"] = json!({"inject.istio.io/templates": "sidecar,mine"});
        let said = refused(&pod, &settings);
        assert!(said.contains("\"mine\" is not a pod: "), "{said}");
    }
    let mut settings = Settings::default();
    settings.templates.insert("mine".to_owned(), Template::Overlay(json!({"spec": "foo"})));
    settings.default_templates.push("mine".to_owned());
    let template = pod(json!([{"name": "app"}]), json!([]));
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": template}});
    let outcome = workload(&job, &Manual::default(), &settings);
    assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
}

/// Every golden's settings and objects.
fn samples() -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|one| one == "yaml")).collect();
    cases.sort();
    let mut samples = Vec::new();
    for path in cases {
        let (config, objects) = split(&std::fs::read_to_string(path).unwrap());
        let case = |object| json!({"config": config, "object": object});
        samples.extend(objects.into_iter().map(case));
    }
    samples.extend([own(false), own(true)]);
    samples
}

/// A pod with parts of its own for everything that is injected.
fn own(node_agent: bool) -> Value {
    let own = |name: &str| json!({"name": name, "image": "auto", "securityContext": {"runAsUser": 5}, "env": [{"name": "A"}]});
    let init = if node_agent { "istio-validation" } else { "istio-init" };
    let mut pod = pod(json!([own("istio-proxy"), {"name": "app"}]), json!([own(init)]));
    pod["kind"] = json!("Pod");
    if !node_agent {
        pod["metadata"]["annotations"] = json!({"sidecar.istio.io/interceptionMode": "TPROXY"});
    }
    json!({"config": {"values": {"pilot": {"cni": {"enabled": node_agent}}}}, "object": pod})
}

#[test]
fn whatever_comes_is_injected_once_or_refused() {
    fuzz(600, objects(samples()), |case| {
        let (settings, _) = settings(&case["config"]);
        let labels = BTreeMap::from([("istio-injection".to_owned(), "enabled".to_owned())]);
        let object = &case["object"];
        let template = match object["kind"].as_str() {
            Some(_) => pod_of(object),
            None => object,
        };
        let subject = Subject { namespace: "shop", namespace_labels: &labels, pod: template };
        let _ = (decide(&subject, &settings), selected(&subject, &settings));
        let _ = workload(object, &Manual::default(), &settings);
        let Ok(injected) = inject(&subject, &settings) else { return };
        let _ = patch(template, &injected.pod);
        let again = Subject { pod: &injected.pod, ..subject };
        let again = inject(&again, &settings).expect("an injected pod is one");
        if has_fraction(template) {
            return;
        }
        assert_eq!(patch(&injected.pod, &again.pod), json!([]), "not idempotent");
    });
}

/// A fraction may come back from a text with another last digit; a pod has none.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(has_fraction),
        Value::Array(items) => items.iter().any(has_fraction),
        other => other.is_f64(),
    }
}
