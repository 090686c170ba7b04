//! Selectors, with instants that the test chooses.

use std::sync::Arc;
use std::time::Duration;

use lateen_api::kinds::by_kind;
use lateen_api::resource::parse;
use lateen_model::service::Labels;
use lateen_model::{Change, Snapshot, World};
use serde_json::json;
use tokio::time::Instant;

use super::{PATIENCE, Verdicts};

fn snapshot(selectors: &[&str]) -> Arc<Snapshot> {
    let kind = by_kind("networking.istio.io", "Gateway").unwrap();
    let mut world = World::new();
    for name in selectors {
        let server =
            json!({ "port": { "number": 1, "name": "t", "protocol": "TCP" }, "hosts": ["*"] });
        let object = json!({
            "apiVersion": "networking.istio.io/v1",
            "kind": "Gateway",
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "selector": { "istio": name }, "servers": [server] },
        });
        let (resource, issues) = parse(kind, "v1", object);
        assert!(issues.is_empty(), "{issues:?}");
        world.apply(Change::Put(Box::new(resource.unwrap())));
    }
    world.snapshot()
}

fn gateway(name: &str) -> Labels {
    [("istio".to_owned(), name.to_owned())].into()
}

#[test]
fn a_selector_that_stays_unmatched_is_told_until_a_gateway_matches() {
    let snapshot = snapshot(&["ingressgateway", "egressgateway"]);
    let mut verdicts = Verdicts::default();
    let start = Instant::now();
    let ingress = || vec![gateway("ingressgateway")];
    assert!(verdicts.look(&snapshot, ingress(), start).is_empty(), "not at once");
    assert_eq!(verdicts.due(), Some(start + PATIENCE));
    let told = verdicts.look(&snapshot, ingress(), start + PATIENCE);
    let [issue] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((issue.code.0, issue.path.as_str()), ("IST0101", "spec.selector"));
    assert_eq!(issue.object.name, "egressgateway");
    assert!(issue.message.contains("istio=egressgateway"), "{issue}");
    assert_eq!(verdicts.due(), None);
    let both = vec![gateway("ingressgateway"), gateway("egressgateway")];
    assert!(verdicts.look(&snapshot, both, start + PATIENCE).is_empty());
}

#[test]
fn nothing_is_told_before_a_gateway_connects_or_while_one_starts_again() {
    let snapshot = snapshot(&["ingressgateway"]);
    let mut verdicts = Verdicts::default();
    let start = Instant::now();
    let hour = Duration::from_secs(3600);
    assert!(verdicts.look(&snapshot, vec![], start).is_empty());
    assert_eq!(verdicts.due(), None);
    assert!(verdicts.look(&snapshot, vec![], start + hour).is_empty());
    let ingress = vec![gateway("ingressgateway")];
    assert!(verdicts.look(&snapshot, ingress, start + hour).is_empty());
    assert!(verdicts.look(&snapshot, vec![], start + 2 * hour).is_empty());
    assert_eq!(verdicts.due(), None);
}

#[test]
fn what_was_told_stays_while_every_gateway_is_away_and_goes_with_its_object() {
    let with = snapshot(&["egressgateway"]);
    let mut verdicts = Verdicts::default();
    let start = Instant::now();
    verdicts.look(&with, vec![gateway("ingressgateway")], start);
    verdicts.look(&with, vec![gateway("ingressgateway")], start + PATIENCE);
    assert_eq!(verdicts.look(&with, vec![], start + PATIENCE).len(), 1);
    assert!(verdicts.look(&snapshot(&[]), vec![], start + PATIENCE).is_empty());
}
