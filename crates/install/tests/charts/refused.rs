//! Values that no cluster and no proxy would take: a chart refuses what `lateen manifest generate` refuses, and takes
//! what that takes.

use std::path::Path;

use lateen_api::issue::Issue;
use serde_json::{Value, json};

use super::{Case, helm};

/// Of a gateway, in an IstioOperator.
const OF_GATEWAYS: &str = "values.gateways.istio-ingressgateway";

/// For each value of a chart one that is wrong, what is told of that, and one that is right.
fn rows(chart: &str) -> Vec<(String, Value, String, Value)> {
    let file = format!("testdata/refused/{chart}.yaml");
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    serde_json::from_value(lateen_install::documents(&text).unwrap().remove(0)).unwrap()
}

fn nested(path: &str, value: &Value) -> Value {
    path.rsplit('.').fold(value.clone(), |inner, step| json!({ step: inner }))
}

/// Why a file is refused.
fn errors(spec: Value) -> Vec<Issue> {
    let operator = json!({
        "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator",
        "metadata": {"name": "unknown"}, "spec": spec,
    });
    let issues = match lateen_install::read(&[("case".to_owned(), operator)], &[]) {
        Ok(plan) => lateen_install::render(&plan).1,
        Err(issues) => issues,
    };
    issues.into_iter().filter(Issue::is_error).collect()
}

/// Why a chart refuses a value, or nothing.
fn refusal(chart: &'static str, release: &'static str, values: Value) -> String {
    let (namespace, component, spec) = ("istio-system", "", json!({}));
    let output = helm(&Case { chart, release, namespace, component, values, spec }, &[]);
    match output.status.success() {
        true => String::new(),
        false => format!("refused: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// Both refuse what is wrong, the chart by its name and with these words, and both take what is right.
#[track_caller]
fn check(chart: &'static str, spec: impl Fn(&str, &Value) -> Value) {
    let rows = rows(chart);
    assert!(rows.len() > 20, "{} rows", rows.len());
    for (path, wrong, words, right) in rows {
        assert!(!errors(spec(&path, &wrong)).is_empty(), "manifest generate takes {path}: {wrong}");
        let told = errors(spec(&path, &right));
        assert!(told.is_empty(), "manifest generate refuses {path}: {right}: {told:?}");
        let told = refusal(chart, "istio-gate", nested(&path, &wrong));
        let field = path.rsplit('.').next().unwrap_or_default();
        assert!(told.contains(&words) && told.contains(field), "{path}: {wrong}: {told}");
        let told = refusal(chart, "istio-gate", nested(&path, &right));
        assert!(told.is_empty(), "{path}: {right}: {told}");
    }
}

#[test]
fn the_control_planes_values_are_refused_as_those_of_an_operator_file() {
    check("istiod", |path, value| {
        let mut spec = match path {
            "revision" => nested(path, value),
            _ if path.starts_with("meshConfig") => nested(path, value),
            _ => nested(&format!("values.{path}"), value),
        };
        spec["profile"] = json!("minimal");
        spec
    });
}

#[test]
fn the_node_agents_values_are_refused_as_those_of_an_operator_file() {
    check("cni", |path, value| {
        let of_pod = ["resources", "priorityClassName"].contains(&path);
        let within = if of_pod { "components.cni.k8s" } else { "values.cni" };
        let mut spec = nested(&format!("{within}.{path}"), value);
        spec["profile"] = json!("empty");
        spec["components"]["cni"]["enabled"] = json!(true);
        spec
    });
}

#[test]
fn a_gateways_values_are_refused_as_those_of_an_operator_file() {
    check("gateway", |path, value| {
        let (k8s, values) = match path {
            "autoscaling" => {
                let autoscaling = json!({
                    "autoscaleMin": value["minReplicas"], "autoscaleMax": value["maxReplicas"],
                    "cpu": {"targetAverageUtilization": value["targetCPUUtilizationPercentage"]},
                });
                (json!({}), nested(OF_GATEWAYS, &filled(autoscaling)))
            }
            "service.annotations" => (json!({ "serviceAnnotations": value }), json!({})),
            _ if path.starts_with("global.") => {
                (json!({}), nested(&format!("values.{path}"), value))
            }
            _ => (nested(path, value), json!({})),
        };
        let gateway = json!({"name": "istio-gate", "enabled": true, "k8s": k8s});
        let mut spec = values;
        spec["profile"] = json!("minimal");
        spec["components"]["ingressGateways"] = json!([gateway]);
        spec
    });
}

/// Without what is not set: null takes a default back.
fn filled(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, inner| !inner.is_null());
        fields.values_mut().for_each(|inner| *inner = filled(inner.take()));
    }
    value
}

#[test]
fn values_that_no_operator_file_has_have_their_forms_too() {
    let name = json!("gate");
    for (wrong, words, right) in [
        (json!({}), "name is 1st", json!({"name": name})),
        (json!({"name": "A"}), "name is A", json!({"name": name})),
        (
            json!({"name": name, "labels": {"a": "b c"}}),
            "b c",
            json!({"name": name, "labels": {"a": "b"}}),
        ),
        (
            json!({"name": name, "annotations": {"a b": "c"}}),
            "a b",
            json!({"name": name, "annotations": {"a": "b c"}}),
        ),
        (
            json!({"name": name, "networkGateway": "a b"}),
            "no value of a label",
            json!({"name": name, "networkGateway": "west"}),
        ),
        (
            json!({"name": name, "serviceAccount": {"name": "A"}}),
            "is no name",
            json!({"name": name, "serviceAccount": {"name": "a"}}),
        ),
        (
            json!({"name": name, "imagePullSecrets": [{"name": "A"}]}),
            "imagePullSecrets",
            json!({"name": name, "imagePullSecrets": [{"name": "a"}]}),
        ),
        (
            json!({"name": name, "additionalContainers": [{"name": "istio-proxy", "image": "a"}]}),
            "is there twice",
            json!({"name": name, "additionalContainers": [{"name": "a", "image": "a"}]}),
        ),
        (
            json!({"name": name, "initContainers": [{"name": "a", "image": "A b"}]}),
            "image",
            json!({"name": name, "initContainers": [{"name": "a", "image": "a"}]}),
        ),
    ] {
        let told = refusal("gateway", "1st", wrong.clone());
        assert!(told.contains(words), "{wrong}: {told}");
        let told = refusal("gateway", "1st", right.clone());
        assert!(told.is_empty(), "{right}: {told}");
    }
}
