//! Subsets and ports of a shop.

use std::sync::Arc;

use lateen_api::kinds::{by_kind, split_api_version};
use lateen_api::resource::parse;
use lateen_model::{Change, World};
use serde_json::{Value, json};

use super::Known;

fn shop(only: Option<&str>) -> Known {
    let mut world = World::new();
    for (api_version, kind, name, spec) in [
        ("v1", "Service", "echo", service("10.96.0.9", 80)),
        ("v1", "Service", "other", service("10.96.0.8", 90)),
        (
            "networking.istio.io/v1",
            "DestinationRule",
            "d",
            json!({ "host": "echo", "subsets": [{ "name": "v2", "labels": { "a": "b", "c": "d" } }] }),
        ),
    ] {
        let (group, version) = split_api_version(api_version);
        let metadata = json!({ "name": name, "namespace": "shop" });
        let object =
            json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec });
        let (resource, _) = parse(by_kind(group, kind).unwrap(), version, object);
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    let only = only.map(|namespace| Arc::new([namespace.to_owned()].into()));
    Known::new(world.snapshot(), only)
}

fn service(address: &str, port: u16) -> Value {
    json!({ "clusterIP": address, "ports": [{ "name": "tcp", "port": port }] })
}

const ECHO: &str = "echo.shop.svc.cluster.local";

#[test]
fn a_subset_is_known_by_its_rule_and_labels() {
    let subset = shop(None).subset(ECHO, "v2").unwrap();
    assert_eq!(subset.rule.to_string(), "DestinationRule shop/d");
    assert_eq!(subset.labels, "a=b,c=d");
    assert_eq!(shop(None).subset(ECHO, "v3"), None);
    assert_eq!(shop(Some("shop")).subset(ECHO, "v2"), Some(subset));
    assert_eq!(shop(Some("other")).subset(ECHO, "v2"), None, "the reader may not look there");
}

#[test]
fn services_of_an_address_have_the_names_of_the_graph() {
    let at = |known: &Known, address: &str| known.services_at(address.parse().unwrap());
    assert_eq!(at(&shop(None), "10.96.0.9"), ["service/shop/echo"]);
    assert_eq!(at(&shop(Some("other")), "10.96.0.9"), [""; 0], "the reader may not look there");
    assert_eq!(at(&shop(None), "10.96.0.7"), [""; 0]);
}

#[test]
fn a_port_that_a_service_lacks_is_told_with_those_that_it_has() {
    let at = |known: &Known, port| known.without_port("10.96.0.9".parse().unwrap(), port);
    let found = at(&shop(None), 81).unwrap();
    assert_eq!((found.object.to_string().as_str(), found.ports), ("Service shop/echo", vec![80]));
    assert_eq!(at(&shop(None), 80), None);
    assert_eq!(at(&shop(Some("other")), 81), None);
    assert_eq!(shop(None).without_port("10.96.0.7".parse().unwrap(), 81), None);
}
