//! The status of workloads as a function of the object and of what runs.

use std::collections::BTreeMap;
use std::path::Path;

use lateen_api::kinds::by_kind;
use lateen_kube::watch::Event;
use serde_json::{Value, json};

use super::{Name, Owner, Seen, advice, covers, matches, running, status};

const NOW: &str = "2026-01-02T03:04:05Z";

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "namespace": "default", "name": "echo-server", "uid": "u", "generation": 4 },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": { "app": "echo-server" } },
            "template": { "metadata": { "labels": { "app": "echo-server", "version": "v1" } } },
        },
    })
}

fn entries(namespace: &str, labels: Value, local: bool) -> BTreeMap<Name, Value> {
    let kind = by_kind("networking.istio.io", "WorkloadEntry").unwrap();
    let annotations =
        if local { json!(Owner::current(Path::new("/h")).annotations()) } else { json!({}) };
    let entry = json!({ "metadata": { "annotations": annotations }, "spec": { "labels": labels } });
    [((kind, namespace.to_owned(), "echo-server".to_owned()), entry)].into()
}

#[test]
fn the_advice_is_a_command_with_the_labels_of_the_template() {
    let text = "no container runtime on this machine: start the program with: lateen run --name \
                echo-server --labels app=echo-server,version=v1 -- COMMAND";
    assert_eq!(advice(&deployment()), text);
}

#[test]
fn a_deployment_that_nothing_runs_is_not_available_and_says_why() {
    let kind = by_kind("apps", "Deployment").unwrap();
    let status = status(kind, &deployment(), 0, NOW);
    assert_eq!(
        (&status["readyReplicas"], &status["unavailableReplicas"]),
        (&Value::Null, &json!(1))
    );
    assert_eq!(status["observedGeneration"], 4);
    let available = &status["conditions"][0];
    assert_eq!((&available["type"], &available["status"]), (&json!("Available"), &json!("False")));
    assert_eq!(available["reason"], "NoContainerRuntime");
    let progressing = &status["conditions"][1];
    assert_eq!(
        (&progressing["type"], &progressing["status"], &progressing["reason"]),
        (&json!("Progressing"), &json!("False"), &json!("ProgressDeadlineExceeded"))
    );
    assert!(progressing["message"].as_str().unwrap().contains("lateen run --name echo-server"));
}

#[test]
fn a_running_program_makes_the_deployment_ready_and_the_status_then_rests() {
    let kind = by_kind("apps", "Deployment").unwrap();
    let mut object = deployment();
    let labels = json!({ "app": "echo-server", "version": "v1" });
    let running = running(&object, "default", &entries("default", labels, true));
    assert_eq!(running, 1);
    let wanted = status(kind, &object, running, NOW);
    assert_eq!(
        (&wanted["readyReplicas"], &wanted["unavailableReplicas"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(wanted["conditions"][0]["status"], "True");
    assert!(!covers(&object["status"], &wanted));
    object["status"] = wanted;
    assert!(covers(&object["status"], &status(kind, &object, running, "later")));
}

#[test]
fn only_local_entries_of_the_namespace_and_selector_count() {
    let object = deployment();
    let labels = json!({ "app": "echo-server" });
    assert_eq!(running(&object, "default", &entries("other", labels.clone(), true)), 0);
    assert_eq!(running(&object, "default", &entries("default", labels, false)), 0);
    let other = json!({ "app": "another" });
    assert_eq!(running(&object, "default", &entries("default", other, true)), 0);
}

#[test]
fn selectors_take_expressions_and_an_empty_one_selects_nothing() {
    let labels = BTreeMap::from([("app", "a"), ("tier", "web")]);
    let expression = |operator: &str, key: &str, values: Value| {
        let one = json!({ "key": key, "operator": operator, "values": values });
        matches(&json!({ "matchExpressions": [one] }), &labels)
    };
    assert!(expression("In", "app", json!(["a", "b"])));
    assert!(!expression("In", "app", json!(["b"])));
    assert!(expression("NotIn", "app", json!(["b"])));
    assert!(expression("Exists", "tier", Value::Null));
    assert!(!expression("DoesNotExist", "tier", Value::Null));
    assert!(!matches(&json!({}), &labels));
}

#[test]
fn what_was_told_is_forgotten_with_the_object_and_not_before() {
    let kind = by_kind("apps", "Deployment").unwrap();
    let entries = by_kind("networking.istio.io", "WorkloadEntry").unwrap();
    let mut seen = Seen::default();
    seen.fold(Event::Put(kind, deployment()), entries);
    seen.told.insert("u".to_owned(), advice(&deployment()));
    seen.fold(Event::Put(kind, deployment()), entries);
    assert!(seen.told.contains_key("u"));
    seen.fold(Event::Delete(kind, deployment()), entries);
    assert!(seen.told.is_empty());
    seen.fold(Event::Put(kind, deployment()), entries);
    seen.told.insert("u".to_owned(), advice(&deployment()));
    seen.fold(Event::Replace(kind, Vec::new()), entries);
    assert!(seen.told.is_empty());
}
