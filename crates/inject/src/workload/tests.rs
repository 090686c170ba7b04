//! Every kind of workload.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Manual, Outcome, is_foreign_workload, take_items, workload};
use crate::{Reason, Settings, Wish};

fn object(api_version: &str, kind: &str, path: &[&str]) -> Value {
    let spec = json!({
        "containers": [{"name": "app", "image": "app"}],
        // Of a job's pod it would be told.
        "shareProcessNamespace": true,
    });
    let mut template = json!({"metadata": {"labels": {"app": "web"}}, "spec": spec});
    for part in path.iter().rev() {
        template = json!({*part: template});
    }
    template["apiVersion"] = json!(api_version);
    template["kind"] = json!(kind);
    template["metadata"]["name"] = json!("web");
    template["spec"]["kept"] = json!(true);
    template
}

fn run(object: &Value) -> Outcome {
    let manual = Manual { namespace: "shop", namespace_labels: None };
    workload(object, &manual, &Settings::default())
}

#[test]
fn every_workload_kind_is_injected_in_its_template() {
    let template = ["spec", "template"];
    let cron = ["spec", "jobTemplate", "spec", "template"];
    for (api_version, kind, path) in [
        ("v1", "Pod", &[][..]),
        ("v1", "ReplicationController", &template),
        ("apps/v1", "Deployment", &template),
        ("apps/v1", "StatefulSet", &template),
        ("apps/v1", "DaemonSet", &template),
        ("apps/v1", "ReplicaSet", &template),
        ("batch/v1", "Job", &template),
        ("batch/v1", "CronJob", &cron),
    ] {
        let Outcome::Injected { object, issues } = run(&object(api_version, kind, path)) else {
            panic!("{kind} was not injected");
        };
        assert_eq!(issues, []);
        assert_eq!(object["spec"]["kept"], true, "{kind}");
        let pod = path.iter().fold(&object, |at, part| &at[*part]);
        let containers = pod["spec"]["containers"].as_array().unwrap();
        assert_eq!(containers[0]["name"], "istio-proxy", "{kind}");
        let variables = containers[0]["env"].as_array().unwrap();
        let owner = variables.iter().find(|one| one["name"] == "ISTIO_META_OWNER").unwrap();
        let plural = kind.to_lowercase();
        let expected = format!("kubernetes://apis/{api_version}/namespaces/shop/{plural}s/web");
        assert_eq!(owner["value"], expected);
        assert_eq!(pod["metadata"]["labels"]["service.istio.io/canonical-name"], "web");
    }
}

#[test]
fn other_objects_pass() {
    for (api_version, kind) in
        [("v1", "Service"), ("serving.knative.dev/v1", "Deployment"), ("apps/v1", "Pod")]
    {
        assert_eq!(run(&object(api_version, kind, &["spec", "template"])), Outcome::Passed);
    }
    assert_eq!(run(&json!(null)), Outcome::Passed);
    assert_eq!(run(&json!({"kind": "Pod"})), Outcome::Passed);
}

#[test]
fn lists_of_any_and_of_one_kind_have_items() {
    let pod = json!({"metadata": {"name": "web"}});
    let list = |api_version: &str, kind: &str| json!({"apiVersion": api_version, "kind": kind, "items": [pod]});
    let mut any = list("v1", "List");
    assert_eq!(take_items(&mut any), Some(vec![pod.clone()]));
    assert_eq!(any["items"], json!([]));
    for (api_version, kind) in [("v1", "Pod"), ("apps/v1", "Deployment"), ("batch/v1", "CronJob")] {
        let items = take_items(&mut list(api_version, &format!("{kind}List"))).unwrap();
        assert_eq!(
            (&items[0]["kind"], &items[0]["apiVersion"]),
            (&json!(kind), &json!(api_version))
        );
    }
    for (api_version, kind) in
        [("v1", "ServiceList"), ("apps/v1", "List"), ("v1", "Pod"), ("x/v1", "PodList")]
    {
        assert_eq!(take_items(&mut list(api_version, kind)), None, "{api_version} {kind}");
    }
    assert_eq!(take_items(&mut json!({"apiVersion": "v1", "kind": "PodList"})), None);
}

#[test]
fn a_pod_template_of_another_s_kind_is_seen() {
    let template = ["spec", "template"];
    assert!(is_foreign_workload(&object("argoproj.io/v1alpha1", "Rollout", &template)));
    assert!(is_foreign_workload(&object("extensions/v1beta1", "Deployment", &template)));
    assert!(is_foreign_workload(&object("v1", "PodTemplate", &["template"])));
    assert!(!is_foreign_workload(&object("apps/v1", "Deployment", &template)));
    assert!(!is_foreign_workload(&json!({"apiVersion": "v1", "kind": "Service", "spec": {}})));
}

#[test]
fn issues_name_the_workload_and_the_field_in_it() {
    let mut object = object("apps/v1", "Deployment", &["spec", "template"]);
    let annotations = json!({"sidecar.istio.io/proxyCPU": "lots"});
    object["spec"]["template"]["metadata"]["annotations"] = annotations;
    let Outcome::Refused { issues } = run(&object) else { panic!("injected") };
    let shown = issues[0].to_string();
    let expected = "error IST0125 Deployment shop/web: \
                    spec.template.metadata.annotations[\"sidecar.istio.io/proxyCPU\"]: ";
    assert!(shown.starts_with(expected), "{shown}");
    object["spec"] = json!({"template": {"spec": null}});
    let Outcome::Refused { issues } = run(&object) else { panic!("injected") };
    assert_eq!(issues[0].path, "spec.template.spec");
    object["spec"] = json!("x");
    assert!(matches!(run(&object), Outcome::Refused { .. }));
}

#[test]
fn a_workload_that_declines_or_is_not_selected_stays() {
    let mut object = object("apps/v1", "Deployment", &["spec", "template"]);
    let settings = Settings::default();
    let labels = |value: &str| BTreeMap::from([("istio-injection".to_owned(), value.to_owned())]);
    let with = |object: &Value, value: &str| {
        let labels = labels(value);
        let manual = Manual { namespace: "shop", namespace_labels: Some(&labels) };
        workload(object, &manual, &settings)
    };
    assert!(matches!(with(&object, "enabled"), Outcome::Injected { .. }));
    assert_eq!(with(&object, "disabled"), Outcome::NotSelected);
    let declines = json!({"sidecar.istio.io/inject": "false"});
    object["spec"]["template"]["metadata"]["labels"] = declines;
    assert_eq!(run(&object), Outcome::Skipped { reason: Reason::Declined(Wish::Label) });
}
