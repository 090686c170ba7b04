//! Defaults of Kubernetes' own kinds: in, an object as sent; out, the fields that kubectl users
//! expect to see filled in.

use lateen_api::kinds::Kind;
use serde_json::{Map, Value, json};

use super::service;
use crate::object;

/// Fills in defaults.
pub fn apply(kind: &Kind, value: &mut Value, old: Option<&Value>) {
    match (kind.group, kind.kind) {
        ("", "Service") => service::defaults(value, old),
        ("", "Secret") => secret(value),
        ("", "Namespace") => namespace(value),
        ("", "Pod") => pod_spec(object::child_mut(value, "spec")),
        ("apps", _) => workload(kind.kind, object::child_mut(value, "spec")),
        ("batch", "Job") => {
            let spec = object::child_mut(value, "spec");
            set(spec, &[("completions", json!(1)), ("parallelism", json!(1))]);
            set(spec, &[("backoffLimit", json!(6)), ("suspend", json!(false))]);
            template(spec);
        }
        ("batch", "CronJob") => {
            let spec = object::child_mut(value, "spec");
            set(spec, &[("concurrencyPolicy", json!("Allow")), ("suspend", json!(false))]);
            set(spec, &[("successfulJobsHistoryLimit", json!(3))]);
            set(spec, &[("failedJobsHistoryLimit", json!(1))]);
        }
        ("autoscaling", "HorizontalPodAutoscaler") => {
            set(object::child_mut(value, "spec"), &[("minReplicas", json!(1))]);
        }
        ("discovery.k8s.io", "EndpointSlice") => {
            for port in value.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(port) = port.as_object_mut() {
                    set(port, &[("name", json!("")), ("protocol", json!("TCP"))]);
                }
            }
        }
        ("admissionregistration.k8s.io", _) => webhooks(value),
        _ => {}
    }
}

/// Fills in what is missing.
pub fn set(fields: &mut Map<String, Value>, defaults: &[(&str, Value)]) {
    for (name, default) in defaults {
        fields.entry(*name).or_insert_with(|| default.clone());
    }
}

fn secret(value: &mut Value) {
    use base64::Engine;
    let Some(fields) = value.as_object_mut() else { return };
    set(fields, &[("type", json!("Opaque"))]);
    let Some(Value::Object(plain)) = fields.shift_remove("stringData") else { return };
    let data = object::child_mut(value, "data");
    for (key, text) in plain {
        let encoded =
            base64::engine::general_purpose::STANDARD.encode(text.as_str().unwrap_or_default());
        data.insert(key, json!(encoded));
    }
}

fn namespace(value: &mut Value) {
    let name = object::meta(value, "name").to_owned();
    let metadata = object::meta_mut(value);
    let labels = metadata.entry("labels").or_insert(json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".to_owned(), json!(name));
    }
    set(object::child_mut(value, "spec"), &[("finalizers", json!(["kubernetes"]))]);
    set(object::child_mut(value, "status"), &[("phase", json!("Active"))]);
}

fn workload(kind: &str, spec: &mut Map<String, Value>) {
    if kind != "DaemonSet" {
        set(spec, &[("replicas", json!(1))]);
    }
    template(spec);
    let history = ("revisionHistoryLimit", json!(10));
    match kind {
        "Deployment" => {
            set(spec, &[history, ("progressDeadlineSeconds", json!(600))]);
            let strategy = object_entry(spec, "strategy");
            set(strategy, &[("type", json!("RollingUpdate"))]);
            if strategy["type"] == "RollingUpdate" {
                let rolling = object_entry(strategy, "rollingUpdate");
                set(rolling, &[("maxUnavailable", json!("25%")), ("maxSurge", json!("25%"))]);
            }
        }
        "StatefulSet" => {
            set(spec, &[history, ("podManagementPolicy", json!("OrderedReady"))]);
            let strategy = object_entry(spec, "updateStrategy");
            set(strategy, &[("type", json!("RollingUpdate"))]);
            if strategy["type"] == "RollingUpdate" {
                set(object_entry(strategy, "rollingUpdate"), &[("partition", json!(0))]);
            }
        }
        "DaemonSet" => {
            set(spec, &[history]);
            let strategy = object_entry(spec, "updateStrategy");
            set(strategy, &[("type", json!("RollingUpdate"))]);
            if strategy["type"] == "RollingUpdate" {
                let rolling = object_entry(strategy, "rollingUpdate");
                set(rolling, &[("maxUnavailable", json!(1)), ("maxSurge", json!(0))]);
            }
        }
        _ => {}
    }
}

fn object_entry<'a>(fields: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let entry = fields.entry(name).or_insert(json!({}));
    if !entry.is_object() {
        *entry = json!({});
    }
    entry.as_object_mut().expect("it was just made one")
}

fn template(spec: &mut Map<String, Value>) {
    if let Some(Value::Object(template)) = spec.get_mut("template") {
        pod_spec(object_entry(template, "spec"));
    }
}

fn pod_spec(spec: &mut Map<String, Value>) {
    set(
        spec,
        &[
            ("restartPolicy", json!("Always")),
            ("terminationGracePeriodSeconds", json!(30)),
            ("dnsPolicy", json!("ClusterFirst")),
            ("securityContext", json!({})),
            ("schedulerName", json!("default-scheduler")),
        ],
    );
    for list in ["initContainers", "containers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(container) = container.as_object_mut() {
                container_defaults(container);
            }
        }
    }
}

fn container_defaults(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let last = image.rsplit('/').next().unwrap_or_default();
    let latest = !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"));
    let pull = if latest { "Always" } else { "IfNotPresent" };
    set(
        container,
        &[
            ("imagePullPolicy", json!(pull)),
            ("resources", json!({})),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
        ],
    );
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            set(port, &[("protocol", json!("TCP"))]);
        }
    }
}

fn webhooks(value: &mut Value) {
    for hook in value.get_mut("webhooks").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(hook) = hook.as_object_mut() else { continue };
        set(
            hook,
            &[
                ("failurePolicy", json!("Fail")),
                ("matchPolicy", json!("Equivalent")),
                ("namespaceSelector", json!({})),
                ("objectSelector", json!({})),
                ("timeoutSeconds", json!(10)),
            ],
        );
        for rule in hook.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(rule) = rule.as_object_mut() {
                set(rule, &[("scope", json!("*"))]);
            }
        }
    }
}
