//! The refusals of workloads as a table.

use lateen_api::kinds::by_kind;
use serde_json::{Value, json};

use super::causes;
use crate::write::defaults;

fn deployment() -> Value {
    json!({
        "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"app": "a"}},
            "template": {
                "metadata": {"labels": {"app": "a"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    })
}

fn wrong(kind: &str, old: Option<&Value>, mut value: Value) -> Vec<String> {
    let group = if matches!(kind, "Job" | "CronJob") { "batch" } else { "apps" };
    let kind = by_kind(if kind == "Pod" { "" } else { group }, kind).unwrap();
    defaults::apply(kind, &mut value, old);
    let found = causes(kind, old, &value);
    found.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
}

/// What is wrong with the Deployment after one change.
fn changed(pointer: &str, to: Value) -> Vec<String> {
    let mut value = deployment();
    *value.pointer_mut(pointer).unwrap() = to;
    wrong("Deployment", None, value)
}

#[test]
fn a_good_workload_passes_in_every_kind() {
    for kind in ["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"] {
        assert_eq!(wrong(kind, None, deployment()), Vec::<String>::new(), "{kind}");
    }
    let mut job = json!({"spec": {"template": deployment()["spec"]["template"]}});
    assert_eq!(
        wrong("Job", None, job.clone()),
        [
            "spec.template.spec.restartPolicy: Required value: valid values: \"OnFailure\", \"Never\""
        ]
    );
    job["spec"]["template"]["spec"]["restartPolicy"] = json!("Never");
    assert_eq!(wrong("Job", None, job), Vec::<String>::new());
    let pod = json!({"spec": deployment()["spec"]["template"]["spec"]});
    assert_eq!(wrong("Pod", None, pod), Vec::<String>::new());
}

#[test]
fn a_selector_is_there_and_matches_the_template() {
    assert_eq!(
        changed("/spec/selector", Value::Null),
        [
            "spec.selector: Required value",
            "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not \
             match template `labels`",
        ]
    );
    assert_eq!(
        changed("/spec/selector", json!({})),
        ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"]
    );
    let other = json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["b"]}]});
    assert!(changed("/spec/selector", other)[0].ends_with("does not match template `labels`"));
}

#[test]
fn containers_have_names_and_images_and_counts_are_not_negative() {
    assert_eq!(
        changed("/spec/template/spec/containers", json!([])),
        ["spec.template.spec.containers: Required value"]
    );
    let two =
        json!([{"name": "A", "ports": [{"containerPort": 70000}]}, {"name": "A", "image": "i"}]);
    let found = changed("/spec/template/spec/containers", two);
    assert!(
        found[0].contains("containers[0].name: Invalid value: \"A\": a lowercase RFC 1123 label")
    );
    assert_eq!(found[1], "spec.template.spec.containers[0].image: Required value");
    assert!(found[2].contains("ports[0].containerPort: Invalid value: 70000: must be between"));
    assert!(found[4].ends_with("containers[1].name: Duplicate value: \"A\""), "{found:?}");
    let mut value = deployment();
    value["spec"]["replicas"] = json!(-1);
    assert_eq!(
        wrong("Deployment", None, value),
        ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"]
    );
}

#[test]
fn a_selector_does_not_change() {
    let old = deployment();
    let mut new = deployment();
    new["spec"]["selector"]["matchLabels"]["app"] = json!("b");
    new["spec"]["template"]["metadata"]["labels"]["app"] = json!("b");
    assert_eq!(
        wrong("Deployment", Some(&old), new.clone()),
        ["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"]
    );
    new["spec"]["template"] = old["spec"]["template"].clone();
    let found = wrong("Deployment", Some(&old), new.clone());
    let order = ["spec.template.metadata.labels: ", "spec.selector: "];
    assert!(found.iter().zip(order).all(|(one, field)| one.starts_with(field)), "{found:?}");
    new["spec"]["template"] = json!({
        "metadata": {"labels": {"app": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    let found = wrong("StatefulSet", Some(&old), new);
    assert!(found.len() == 1 && found[0].starts_with("spec: Forbidden: updates to statefulset"));
}
