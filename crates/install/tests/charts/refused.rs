//! Values that no cluster and no proxy would take: a chart refuses what `lateen manifest generate` refuses, and takes
//! what that takes.

use std::path::Path;

use lateen_api::issue::Issue;
use serde_json::{Value, json};

use super::{Case, helm};

type Row = (String, Value, String, Value);

/// Of a gateway, in an IstioOperator.
const OF_GATEWAYS: &str = "values.gateways.istio-ingressgateway";

/// For each value of a chart one that is wrong, what is told of that, and one that is right.
fn rows(chart: &str) -> Vec<Row> {
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
    for (path, wrong, _, right) in &rows {
        assert!(!errors(spec(path, wrong)).is_empty(), "manifest generate takes {path}: {wrong}");
        let told = errors(spec(path, right));
        assert!(told.is_empty(), "manifest generate refuses {path}: {right}: {told:?}");
    }
    for batch in batches(&rows) {
        let right =
            batch.iter().map(|(path, _, _, right)| nested(path, right)).fold(json!({}), merged);
        let told = refusal(chart, "istio-gate", right.clone());
        assert!(told.is_empty(), "{right}: {told}");
        refused(chart, &batch);
    }
}

/// Rows of which none has a value within another one's: Helm takes its time for each release.
fn batches(rows: &[Row]) -> Vec<Vec<&Row>> {
    let is_within = |one: &str, other: &str| format!("{one}.").starts_with(&format!("{other}."));
    let mut batches: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
        let fits = |batch: &&mut Vec<&Row>| {
            batch.iter().all(|own| !is_within(&own.0, &row.0) && !is_within(&row.0, &own.0))
        };
        match batches.iter_mut().find(fits) {
            Some(batch) => batch.push(row),
            None => batches.push(vec![row]),
        }
    }
    batches
}

fn merged(mut one: Value, other: Value) -> Value {
    match (one.as_object_mut(), other) {
        (Some(fields), Value::Object(others)) => {
            for (name, value) in others {
                let own = fields.get(&name).cloned().unwrap_or_default();
                fields.insert(name, merged(own, value));
            }
            one
        }
        (_, other) => other,
    }
}

/// A chart tells of all that the schema refuses, then of all forms, and then of the first thing that is wrong besides.
#[track_caller]
fn refused(chart: &'static str, rows: &[&Row]) {
    let mut left = rows.to_vec();
    while !left.is_empty() {
        let wrong =
            left.iter().map(|(path, wrong, ..)| nested(path, wrong)).fold(json!({}), merged);
        let told = refusal(chart, "istio-gate", wrong.clone());
        let before = left.len();
        left.retain(|(path, _, words, _)| !is_told(&told, path, words));
        // A value that has moved is told of by where it belongs today.
        if left.len() == before {
            let (path, wrong, words, _) = left.remove(0);
            let told = refusal(chart, "istio-gate", nested(path, wrong));
            let field = path.rsplit('.').next().unwrap_or_default();
            assert!(told.contains(words) && told.contains(field), "{path}: {wrong}: {told}");
        }
    }
}

/// Whether a line has these words of a value, or of what is within it.
fn is_told(told: &str, path: &str, words: &str) -> bool {
    let place = format!("/{}", path.replace('.', "/"));
    told.lines().any(|line| line.contains(words) && (line.contains(&place) || line.contains(path)))
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

/// Without what is not set.
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
            json!({"name": name, "initContainers": [{"name": "istio-proxy", "image": "a"}]}),
            "is there twice",
            json!({"name": name, "initContainers": [{"name": "a", "image": "a"}]}),
        ),
        (
            json!({"name": name, "initContainers": [{"name": "a", "image": "a"}], "additionalContainers": [{"name": "a", "image": "a"}]}),
            "is there twice",
            json!({"name": name, "initContainers": [{"name": "a", "image": "a"}], "additionalContainers": [{"name": "b", "image": "a"}]}),
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

#[test]
fn a_long_bundle_is_taken_and_of_one_that_is_none_the_beginning_is_told() {
    let of = |bundle: String| json!({"sidecarInjectorWebhook": {"caBundle": bundle}});
    assert_eq!(refusal("istiod", "istiod", of("A".repeat(80_000))), "");
    let told = refusal("istiod", "istiod", of("A".repeat(80_001)));
    assert!(told.contains("is not base64") && told.len() < 1000, "{} bytes", told.len());
}

#[test]
fn a_text_that_nobody_reads_has_whatever_form() {
    let values = json!({"sidecarInjectorWebhook": {"nodeSelector": {"a": "b c"}}});
    assert_eq!(refusal("istiod", "istiod", values), "");
}
