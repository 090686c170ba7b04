//! DaemonSets and nodes as the API has them, and whether a pod comes.

use serde_json::{Value, json};

use super::wants;

/// Whether a DaemonSet with these settings of its pods wants one on the node.
fn on(node: &Value, pod: &Value) -> bool {
    wants(&json!({"spec": {"template": {"spec": pod}}}), node)
}

fn node(taints: &Value) -> Value {
    json!({
        "metadata": {"name": "n1", "labels": {"os": "linux", "gen": "7"}},
        "spec": {"taints": taints},
    })
}

#[test]
fn a_node_has_all_labels_of_the_selector() {
    let plain = node(&json!(null));
    assert!(on(&plain, &json!({})));
    assert!(on(&plain, &json!({"nodeSelector": {"os": "linux"}})));
    assert!(!on(&plain, &json!({"nodeSelector": {"os": "linux", "mesh": "yes"}})));
    assert!(!on(&json!({"metadata": {"name": "bare"}}), &json!({"nodeSelector": {"os": "linux"}})));
}

#[test]
fn one_term_of_the_affinity_matches() {
    let plain = node(&json!([]));
    let with = |terms: &[Value]| {
        let required = json!({"nodeSelectorTerms": terms});
        let affinity = json!({"requiredDuringSchedulingIgnoredDuringExecution": required});
        on(&plain, &json!({"affinity": {"nodeAffinity": affinity}}))
    };
    let rule = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
    for (key, operator, values, expected) in [
        ("os", "In", &["windows", "linux"][..], true),
        ("os", "In", &["windows"], false),
        ("no", "In", &["linux"], false),
        ("os", "NotIn", &["linux"], false),
        ("no", "NotIn", &["linux"], true),
        ("os", "Exists", &[], true),
        ("no", "Exists", &[], false),
        ("os", "DoesNotExist", &[], false),
        ("gen", "Gt", &["6"], true),
        ("gen", "Gt", &["7"], false),
        ("gen", "Lt", &["10"], true),
        ("os", "Lt", &["10"], false),
    ] {
        assert_eq!(with(&[rule(key, operator, values)]), expected, "{key} {operator} {values:?}");
    }
    let name = |name: &str| json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]});
    assert!(with(&[name("n1")]) && !with(&[name("n2")]));
    assert!(with(&[name("n2"), rule("os", "Exists", &[])]), "one term is enough");
    assert!(!with(&[json!({})]), "an empty term matches nothing");
    let preferred = json!({"preferredDuringSchedulingIgnoredDuringExecution": []});
    assert!(on(&plain, &json!({"affinity": {"nodeAffinity": preferred}})));
}

#[test]
fn every_taint_that_keeps_pods_out_is_tolerated() {
    let tainted = |effect: &str| node(&json!([{"key": "gpu", "value": "a", "effect": effect}]));
    let with = |effect: &str, toleration: Value| {
        on(&tainted(effect), &json!({"tolerations": [toleration]}))
    };
    assert!(!on(&tainted("NoSchedule"), &json!({})) && !on(&tainted("NoExecute"), &json!({})));
    assert!(on(&tainted("PreferNoSchedule"), &json!({})));
    assert!(with("NoExecute", json!({"operator": "Exists"})));
    assert!(with("NoSchedule", json!({"operator": "Exists", "effect": "NoSchedule"})));
    assert!(!with("NoExecute", json!({"operator": "Exists", "effect": "NoSchedule"})));
    assert!(with("NoSchedule", json!({"key": "gpu", "value": "a"})));
    assert!(!with("NoSchedule", json!({"key": "gpu", "value": "b"})));
    assert!(!with("NoSchedule", json!({"key": "other", "operator": "Exists"})));
    let usual = |key: &str, effect: &str| node(&json!([{"key": key, "effect": effect}]));
    assert!(
        on(&usual("node.kubernetes.io/unschedulable", "NoSchedule"), &json!({})),
        "a drained node"
    );
    assert!(on(&usual("node.kubernetes.io/not-ready", "NoExecute"), &json!({})));
    let network = usual("node.kubernetes.io/network-unavailable", "NoSchedule");
    assert!(!on(&network, &json!({})) && on(&network, &json!({"hostNetwork": true})));
}
