//! The folding of kube's events into whole sets.

use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::watcher;
use lateen_api::kinds::by_kind;
use serde_json::{Value, json};

use super::{BACKOFF, Event, Folding, backoff, decode};

fn object(name: &str) -> DynamicObject {
    let resource = ApiResource::erase::<k8s_openapi::api::core::v1::Service>(&());
    DynamicObject { types: None, ..DynamicObject::new(name, &resource) }.data(json!({ "spec": {} }))
}

fn names(values: &[Value]) -> Vec<&str> {
    values.iter().map(|value| value["metadata"]["name"].as_str().unwrap()).collect()
}

#[test]
fn a_relist_comes_as_one_set_and_replaces_what_an_aborted_one_had() {
    let mut folding = Folding::new(by_kind("", "Service").unwrap());
    assert_eq!(folding.take(watcher::Event::Init), None);
    assert_eq!(folding.take(watcher::Event::InitApply(object("stale"))), None);
    assert_eq!(folding.take(watcher::Event::Init), None);
    assert_eq!(folding.take(watcher::Event::InitApply(object("a"))), None);
    assert_eq!(folding.take(watcher::Event::InitApply(object("b"))), None);
    let Some(Event::Replace(kind, values)) = folding.take(watcher::Event::InitDone) else {
        panic!("the end of the list is the set");
    };
    assert_eq!((kind.kind, names(&values)), ("Service", vec!["a", "b"]));
}

#[test]
fn an_object_of_a_list_is_given_its_type() {
    let mut folding = Folding::new(by_kind("networking.istio.io", "Gateway").unwrap());
    let Some(Event::Put(_, value)) = folding.take(watcher::Event::Apply(object("g"))) else {
        panic!("a change is an event");
    };
    assert_eq!(value["apiVersion"], "networking.istio.io/v1");
    assert_eq!(value["kind"], "Gateway");
    assert_eq!(value["spec"], json!({}));
}

#[test]
fn a_kind_that_is_not_served_is_said_once_per_row() {
    let mut folding = Folding::new(by_kind("", "Service").unwrap());
    assert!(folding.unserved().is_some());
    assert!(folding.unserved().is_none());
    folding.take(watcher::Event::InitDone);
    assert!(folding.unserved().is_some());
}

#[test]
fn pauses_grow_to_a_bound() {
    assert_eq!(backoff(0), BACKOFF.0);
    assert!(backoff(3) > backoff(2));
    assert_eq!(backoff(u32::MAX), BACKOFF.1);
}

#[test]
fn an_object_that_does_not_fit_its_type_still_names_itself() {
    let kind = by_kind("networking.istio.io", "Gateway").unwrap();
    let value = json!({ "metadata": { "namespace": "a", "name": "g" }, "spec": { "servers": 3 } });
    let decoded = decode(kind, value);
    assert_eq!(decoded.object.to_string(), "Gateway a/g");
    assert!(decoded.resource.is_none() && !decoded.issues.is_empty());
}
