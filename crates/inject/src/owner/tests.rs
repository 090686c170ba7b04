//! Workloads from controllers.

use serde_json::json;

use super::Owner;

fn owner(kind: &str, name: &str, labels: serde_json::Value) -> Owner {
    let api_version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
    let controller =
        json!({"apiVersion": api_version, "kind": kind, "name": name, "controller": true});
    Owner::of_pod(&json!({"metadata": {
        "name": "pod-x", "generateName": "pod-", "labels": labels, "ownerReferences": [controller],
    }}))
}

#[test]
fn the_workload_is_found_behind_its_controller() {
    let hash = json!({"pod-template-hash": "7d4"});
    let web = Owner::new("apps/v1", "Deployment", "web");
    assert_eq!(owner("ReplicaSet", "web-7d4", hash.clone()), web);
    let other = Owner::new("apps/v1", "ReplicaSet", "web-9");
    assert_eq!(owner("ReplicaSet", "web-9", hash), other);
    let nightly = Owner::new("batch/v1", "CronJob", "nightly");
    assert_eq!(owner("Job", "nightly-28391234", json!({})), nightly);
    let once = Owner::new("batch/v1", "Job", "once-1234");
    assert_eq!(owner("Job", "once-1234", json!({})), once);
    let config = Owner::new("apps.openshift.io/v1", "DeploymentConfig", "web");
    let label = json!({"deploymentconfig": "web"});
    assert_eq!(owner("ReplicationController", "web-3", label), config);
    let rollout = Owner::new("argoproj.io/v1alpha1", "Rollout", "web");
    let hash = json!({"rollouts-pod-template-hash": "7d4"});
    assert_eq!(owner("ReplicaSet", "web-7d4", hash), rollout);
    let set = Owner::new("apps/v1", "StatefulSet", "db");
    assert_eq!(owner("StatefulSet", "db", json!({})), set);
}

#[test]
fn a_pod_without_a_controller_is_its_own_workload() {
    let pod = json!({"metadata": {"name": "web"}});
    assert_eq!(Owner::of_pod(&pod), Owner::new("v1", "Pod", "web"));
    let uri = Owner::of_pod(&pod).uri("default");
    assert_eq!(uri, "kubernetes://apis/v1/namespaces/default/pods/web");
}

#[test]
fn the_label_names_the_workload() {
    let label = "service.istio.io/workload-name";
    let named = json!({"pod-template-hash": "7d4", label: "shop"});
    assert_eq!(owner("ReplicaSet", "web-7d4", named), Owner::new("apps/v1", "Deployment", "shop"));
    let empty = json!({label: ""});
    assert_eq!(owner("StatefulSet", "db", empty), Owner::new("apps/v1", "StatefulSet", "db"));
}
