//! Strategic merge.

use serde_json::{Value, json};

use super::merge;

fn merged(base: Value, overlay: Value) -> Value {
    let mut base = base;
    merge(&mut base, &overlay);
    base
}

#[test]
fn lists_with_a_key_merge_and_keep_their_order() {
    let base = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
    let overlay = json!({"env": [{"name": "C", "value": "3"}, {"name": "A", "value": "4"}]});
    let expected = json!({"env": [
        {"name": "A", "value": "4"}, {"name": "B", "value": "2"}, {"name": "C", "value": "3"},
    ]});
    assert_eq!(merged(base, overlay), expected);
}

#[test]
fn other_lists_are_replaced() {
    let base = json!({"args": ["a", "b"], "securityContext": {"capabilities": {"drop": ["ALL"]}}});
    let overlay = json!({"args": ["c"], "securityContext": {"capabilities": {"drop": ["X"]}}});
    assert_eq!(merged(base, overlay.clone()), overlay);
}

#[test]
fn a_null_and_the_directives_remove() {
    let base = json!({"image": "a", "env": [{"name": "A"}, {"name": "B"}], "resources": {"limits": {"cpu": "1"}}});
    let overlay = json!({
        "image": null,
        "env": [{"name": "A", "$patch": "delete"}],
        "resources": {"$patch": "replace", "requests": {"cpu": "2"}},
    });
    let expected = json!({"env": [{"name": "B"}], "resources": {"requests": {"cpu": "2"}}});
    assert_eq!(merged(base, overlay), expected);
    let all = json!({"env": [{"$patch": "replace"}, {"name": "C"}]});
    assert_eq!(merged(json!({"env": [{"name": "A"}]}), all), json!({"env": [{"name": "C"}]}));
}

#[test]
fn a_volume_has_one_source_after_a_merge() {
    let base = json!({"volumes": [{"name": "workload-socket", "emptyDir": {}}]});
    let overlay = json!({"volumes": [{"name": "workload-socket", "csi": {"driver": "d"}}]});
    assert_eq!(merged(base, overlay.clone()), overlay);
}

#[test]
fn a_variable_has_one_source_after_a_merge() {
    let from = json!({"fieldRef": {"fieldPath": "metadata.name"}});
    let base = json!({"env": [{"name": "A", "valueFrom": from}, {"name": "B", "value": "1"}]});
    let overlay = json!({"env": [{"name": "A", "value": "x"}, {"name": "B"}]});
    let expected = json!({"env": [{"name": "A", "value": "x"}, {"name": "B", "value": "1"}]});
    assert_eq!(merged(base, overlay), expected);
}

#[test]
fn an_item_may_come_again_after_it_was_removed() {
    let base = json!({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]});
    let overlay = json!({"env": [{"name": "A", "$patch": "delete"}, {"name": "A", "value": "3"}]});
    let expected = json!({"env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]});
    assert_eq!(merged(base, overlay), expected);
}
