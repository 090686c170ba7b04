//! Ownership after ordinary writes.

use serde_json::{Value, json};

use super::{kind, service};
use crate::patch::managed_fields_update;

fn update(old: Option<&Value>, new: &mut Value, manager: &str, subresource: Option<&str>) {
    let now = super::NOW;
    managed_fields_update(kind("", "Service"), old, new, manager, "Update", subresource, now);
}

fn managers(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    entries.iter().map(|entry| entry["manager"].as_str().unwrap()).collect()
}

fn fields<'a>(object: &'a Value, manager: &str) -> &'a Value {
    let entries = object["metadata"]["managedFields"].as_array().unwrap();
    &entries.iter().find(|entry| entry["manager"] == manager).unwrap()["fieldsV1"]
}

#[test]
fn the_creator_owns_all_but_identity() {
    let mut object = service(json!([{"port": 80, "protocol": "TCP"}]));
    object["metadata"]["uid"] = json!("u");
    object["metadata"]["labels"] = json!({"a": "b"});
    update(None, &mut object, "kubectl-create", None);
    assert_eq!(
        *fields(&object, "kubectl-create"),
        json!({
            "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
            "f:spec": {
                ".": {},
                "f:ports": {".": {}, "k:{\"port\":80,\"protocol\":\"TCP\"}": {
                    ".": {}, "f:port": {}, "f:protocol": {},
                }},
                "f:selector": {},
            },
        })
    );
}

#[test]
fn a_writer_takes_what_it_changes_and_only_that() {
    let mut old = service(json!([{"port": 80}]));
    old["metadata"]["labels"] = json!({"a": "1", "b": "1"});
    update(None, &mut old, "first", None);
    let mut new = old.clone();
    new["metadata"]["labels"]["a"] = json!("2");
    update(Some(&old), &mut new, "second", None);
    assert_eq!(*fields(&new, "second"), json!({"f:metadata": {"f:labels": {"f:a": {}}}}));
    assert_eq!(fields(&new, "first")["f:metadata"]["f:labels"], json!({".": {}, "f:b": {}}));
}

#[test]
fn removed_fields_have_no_owner() {
    let mut old = service(json!([{"port": 80}]));
    old["metadata"]["labels"] = json!({"a": "1"});
    update(None, &mut old, "first", None);
    let mut new = old.clone();
    new["metadata"].as_object_mut().unwrap().shift_remove("labels");
    update(Some(&old), &mut new, "second", None);
    assert_eq!(managers(&new), ["first"]);
    assert_eq!(fields(&new, "first").get("f:metadata"), None);
}

#[test]
fn a_write_without_change_keeps_the_times() {
    let mut old = service(json!([{"port": 80}]));
    update(None, &mut old, "first", None);
    let mut new = old.clone();
    let kind = kind("", "Service");
    managed_fields_update(kind, Some(&old), &mut new, "first", "Update", None, "later");
    assert_eq!(new, old);
}

#[test]
fn status_writes_are_owned_apart() {
    let mut old = service(json!([{"port": 80}]));
    update(None, &mut old, "first", None);
    let mut new = old.clone();
    new["status"] = json!({"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}});
    update(Some(&old), &mut new, "controller", Some("status"));
    let entries = new["metadata"]["managedFields"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["manager"] == "controller").unwrap();
    assert_eq!(entry["subresource"], "status");
    assert!(entry["fieldsV1"].get("f:spec").is_none());
    assert!(entry["fieldsV1"].get("f:status").is_some());
}

#[test]
fn clients_may_rewrite_or_reset_the_entries() {
    let mut old = service(json!([{"port": 80}]));
    update(None, &mut old, "kubectl-client-side-apply", None);
    // kubectl moves an object to server-side apply by a JSON patch of the entries.
    let mut moved = old.clone();
    moved["metadata"]["managedFields"][0]["manager"] = json!("kubectl");
    moved["metadata"]["managedFields"][0]["operation"] = json!("Apply");
    update(Some(&old), &mut moved, "kubectl", None);
    assert_eq!(managers(&moved), ["kubectl"]);
    let mut reset = old.clone();
    reset["metadata"]["managedFields"] = json!([{}]);
    update(Some(&old), &mut reset, "x", None);
    assert_eq!(reset["metadata"].get("managedFields"), None);
    let mut emptied = old.clone();
    emptied["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
    update(Some(&old), &mut emptied, "x", None);
    assert_eq!(managers(&emptied), ["kubectl-client-side-apply"]);
}
