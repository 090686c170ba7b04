//! Replicas in EndpointSlices.

use std::collections::BTreeMap;

use lateen_kube::watch::Event;
use serde_json::{Value, json};

use super::{kind, replicas, take};

fn slice(name: &str, service: &str, port: (&str, u16), endpoints: &[(&str, &str, Value)]) -> Value {
    let endpoint = |(pod, address, ready): &(&str, &str, Value)| {
        json!({
            "addresses": [address],
            "conditions": { "ready": ready },
            "targetRef": { "kind": "Pod", "name": pod },
        })
    };
    json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/service-name": service } },
        "ports": [{ "name": "https-webhook", "port": 15017 }, { "name": port.0, "port": port.1 }],
        "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn found(slices: &BTreeMap<String, Value>) -> Vec<String> {
    let found = replicas(slices.values(), "istiod", "istiod-0");
    found.into_iter().map(|(name, address)| format!("{name} {address}")).collect()
}

#[test]
fn the_others_that_are_ready_are_found_and_come_and_go() {
    let mut slices = BTreeMap::new();
    let port = ("https-dns", 15012);
    let own = ("istiod-0", "10.0.0.1", json!(true));
    let other = ("istiod-1", "10.0.0.2", json!(true));
    let unready = ("istiod-2", "10.0.0.3", json!(false));
    let first = slice("a", "istiod", port, &[own.clone(), other.clone(), unready]);
    let foreign = slice("b", "istiod-canary", port, &[("x", "10.0.0.9", json!(true))]);
    let ports = slice("c", "istiod", ("http", 80), &[("y", "10.0.0.8", json!(true))]);
    take(&mut slices, Event::Replace(kind(), vec![first, foreign, ports]));
    assert_eq!(found(&slices), ["istiod-1 10.0.0.2:15012"]);
    // Nothing is said of the readiness, and the same pod has an address of another family.
    let more = [("istiod-3", "fd00::3", Value::Null), ("istiod-1", "fd00::2", json!(true))];
    take(&mut slices, Event::Put(kind(), slice("d", "istiod", ("https-dns", 16012), &more)));
    assert_eq!(found(&slices), ["istiod-1 10.0.0.2:15012", "istiod-3 [fd00::3]:16012"]);
    take(&mut slices, Event::Put(kind(), slice("a", "istiod", port, &[own])));
    take(&mut slices, Event::Delete(kind(), slice("d", "istiod", port, &[])));
    assert!(found(&slices).is_empty());
}

#[test]
fn what_is_no_address_is_none() {
    let broken = json!({
        "metadata": { "name": "a", "labels": { "kubernetes.io/service-name": "istiod" } },
        "ports": [{ "name": "https-dns", "port": 15012 }],
        "endpoints": [
            { "addresses": ["example.com"], "targetRef": { "name": "istiod-1" } },
            { "addresses": [], "targetRef": { "name": "istiod-2" } },
            { "addresses": ["10.0.0.3"] },
        ],
    });
    assert!(found(&BTreeMap::from([("a".to_owned(), broken)])).is_empty());
}
