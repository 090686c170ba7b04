//! Strategic merge patches, directives included.

use serde_json::{Value, json};

use super::{context, kind, service};
use crate::patch::{Patch, apply};

fn patch_service(current: &Value, patch: Value) -> Value {
    apply(kind("", "Service"), Patch::Strategic(patch), Some(current), &context("m", "v1")).unwrap()
}

fn patch_deployment(spec: Value, patch: Value) -> Value {
    let current = json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec});
    let patch = Patch::Strategic(json!({"spec": patch}));
    let kind = kind("apps", "Deployment");
    apply(kind, patch, Some(&current), &context("m", "apps/v1")).unwrap()["spec"].take()
}

fn ports(object: &Value) -> Vec<i64> {
    object["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["port"].as_i64().unwrap())
        .collect()
}

#[test]
fn keyed_lists_merge_and_others_are_replaced() {
    let current = service(json!([{"name": "a", "port": 1}, {"name": "b", "port": 2}]));
    let patch = json!({"spec": {
        "ports": [{"port": 2, "name": "c"}, {"port": 3}],
        "externalIPs": ["10.0.0.1"],
    }});
    let merged = patch_service(&current, patch);
    assert_eq!(
        merged["spec"]["ports"],
        json!([{"name": "a", "port": 1}, {"name": "c", "port": 2}, {"port": 3}])
    );
    let replaced = patch_service(&merged, json!({"spec": {"externalIPs": ["10.0.0.2"]}}));
    assert_eq!(replaced["spec"]["externalIPs"], json!(["10.0.0.2"]));
}

#[test]
fn kubectls_element_order_arranges_the_merged_list() {
    let current = service(json!([{"port": 1}, {"port": 2}]));
    // As `kubectl apply` sends it after a port was put between two others.
    let patch = json!({"spec": {
        "$setElementOrder/ports": [{"port": 1}, {"port": 3}, {"port": 2}],
        "ports": [{"port": 3}],
    }});
    assert_eq!(ports(&patch_service(&current, patch)), [1, 3, 2]);
    let only_order = json!({"spec": {"$setElementOrder/ports": [{"port": 2}, {"port": 1}]}});
    assert_eq!(ports(&patch_service(&current, only_order)), [2, 1]);
}

#[test]
fn items_that_only_the_server_knows_keep_their_place() {
    let current = service(json!([{"port": 9}, {"port": 1}, {"port": 2}]));
    let patch = json!({"spec": {
        "$setElementOrder/ports": [{"port": 2}, {"port": 1}],
        "ports": [{"port": 2, "name": "x"}],
    }});
    assert_eq!(ports(&patch_service(&current, patch)), [9, 2, 1]);
}

#[test]
fn delete_and_replace_directives_work_in_lists_and_maps() {
    let current = service(json!([{"port": 1}, {"port": 2}]));
    let delete = json!({"spec": {"ports": [{"$patch": "delete", "port": 1}]}});
    assert_eq!(ports(&patch_service(&current, delete)), [2]);
    let replace = json!({"spec": {"ports": [{"port": 7}, {"$patch": "replace"}]}});
    assert_eq!(ports(&patch_service(&current, replace)), [7]);
    let map = json!({"spec": {"selector": {"$patch": "replace", "tier": "db"}}});
    assert_eq!(patch_service(&current, map)["spec"]["selector"], json!({"tier": "db"}));
    let gone = json!({"spec": {"selector": null}});
    assert_eq!(patch_service(&current, gone)["spec"].get("selector"), None);
}

#[test]
fn directives_vanish_where_there_is_nothing_to_merge_with() {
    let current = json!({"apiVersion": "v1", "kind": "Service"});
    let patch = json!({"spec": {
        "$setElementOrder/ports": [{"port": 1}],
        "ports": [{"port": 1}, {"$patch": "delete", "port": 2}],
        "selector": null,
    }});
    assert_eq!(patch_service(&current, patch)["spec"], json!({"ports": [{"port": 1}]}));
}

#[test]
fn retained_keys_drop_the_rest() {
    let spec = json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}});
    let patch = json!({"strategy": {"$retainKeys": ["type"], "type": "Recreate"}});
    assert_eq!(patch_deployment(spec, patch)["strategy"], json!({"type": "Recreate"}));
}

#[test]
fn nested_lists_merge_by_their_own_keys() {
    let container = |env: Value| {
        json!({"template": {"spec": {"containers": [
            {"name": "a", "image": "x", "env": env},
        ]}}})
    };
    let spec = container(json!([{"name": "A", "value": "1"}]));
    let patch = json!({"template": {"spec": {
        "$setElementOrder/containers": [{"name": "a"}],
        "containers": [{
            "$setElementOrder/env": [{"name": "B"}, {"name": "A"}],
            "name": "a",
            "env": [{"name": "B", "value": "2"}],
        }],
    }}});
    let expected = container(json!([{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]));
    assert_eq!(patch_deployment(spec, patch), expected);
}

#[test]
fn primitives_leave_a_merging_list_by_directive() {
    let mut current = service(json!([]));
    current["metadata"]["finalizers"] = json!(["a/x", "b/y"]);
    let patch = json!({"metadata": {
        "$deleteFromPrimitiveList/finalizers": ["a/x"],
        "$setElementOrder/finalizers": ["c/z", "b/y"],
        "finalizers": ["c/z"],
    }});
    assert_eq!(patch_service(&current, patch)["metadata"]["finalizers"], json!(["c/z", "b/y"]));
}

#[test]
fn custom_kinds_take_no_strategic_patch() {
    let kind = kind("networking.istio.io", "Gateway");
    let context = context("m", "networking.istio.io/v1");
    let error = apply(kind, Patch::Strategic(json!({})), Some(&json!({})), &context).unwrap_err();
    assert_eq!((error.code, error.reason), (415, "UnsupportedMediaType"));
    assert_eq!(
        error.message,
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    );
}

#[test]
fn unknown_directives_and_missing_keys_are_refused() {
    let current = service(json!([{"port": 1}]));
    let check = |patch: Value, message: &str| {
        let patch = Patch::Strategic(patch);
        let error = apply(kind("", "Service"), patch, Some(&current), &context("m", "v1"));
        assert_eq!(error.unwrap_err().message, message);
    };
    check(json!({"$patch": "frob"}), "unknown patch type found: frob");
    check(
        json!({"spec": {"ports": [{"name": "x"}]}}),
        "map: {\"name\":\"x\"} does not contain declared merge key: port",
    );
}
