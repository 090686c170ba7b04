//! What is patched, and what is left alone.

use serde_json::{Value, json};

use super::{Wanted, is_ours, repair};

/// Base64 of `CA`.
const BUNDLE: &str = "Q0E=";

fn wanted(validating: bool) -> Wanted {
    Wanted::new("istiod".to_owned(), "istio-system".to_owned(), "CA", validating)
}

fn hook(name: &str, client: Value) -> Value {
    json!({"name": name, "clientConfig": client, "failurePolicy": "Ignore", "sideEffects": "None"})
}

fn ours(bundle: Value) -> Value {
    json!({"service": {"name": "istiod", "namespace": "istio-system"}, "caBundle": bundle})
}

fn configuration(kind: &str, hooks: &[Value]) -> Value {
    json!({"kind": kind, "metadata": {"name": "c", "resourceVersion": "7"}, "webhooks": hooks})
}

#[test]
fn a_missing_or_foreign_bundle_is_replaced_if_nothing_came_in_between() {
    for bundle in [Value::Null, json!("b3RoZXI=")] {
        let hooks = [hook("a", ours(bundle)), hook("b", ours(json!(BUNDLE)))];
        let before = configuration("MutatingWebhookConfiguration", &hooks);
        let patch = repair(&before, &wanted(true)).unwrap();
        assert_eq!(patch["metadata"]["resourceVersion"], "7");
        let webhooks = patch["webhooks"].as_array().unwrap();
        assert_eq!(webhooks.len(), 2);
        assert!(webhooks.iter().all(|hook| hook["clientConfig"]["caBundle"] == BUNDLE));
        assert!(webhooks.iter().all(|hook| hook["failurePolicy"] == "Ignore"), "only validators");
        let after = configuration("MutatingWebhookConfiguration", webhooks);
        assert_eq!(repair(&after, &wanted(true)), None);
    }
}

#[test]
fn a_validator_fails_closed_once_it_is_asked() {
    let before = configuration("ValidatingWebhookConfiguration", &[hook("a", ours(json!(BUNDLE)))]);
    assert_eq!(repair(&before, &wanted(false)), None);
    let patch = repair(&before, &wanted(true)).unwrap();
    assert_eq!(patch["webhooks"][0]["failurePolicy"], "Fail");
}

#[test]
fn other_webhooks_and_those_with_a_url_are_left_alone() {
    let hooks = [
        hook("url", json!({"url": "https://mesh.example/inject", "caBundle": "bXkgb3du"})),
        hook("other", json!({"service": {"name": "istiod-blue", "namespace": "istio-system"}})),
        hook("far", json!({"service": {"name": "istiod", "namespace": "elsewhere"}})),
        json!("odd"),
    ];
    let others = configuration("ValidatingWebhookConfiguration", &hooks);
    assert_eq!(repair(&others, &wanted(true)), None);
    assert!(!is_ours(&others, &wanted(true)));
    let mixed = [hooks[0].clone(), hook("a", ours(Value::Null))];
    let mixed = configuration("ValidatingWebhookConfiguration", &mixed);
    let patch = repair(&mixed, &wanted(true)).unwrap();
    assert_eq!(patch["webhooks"][0], hooks[0]);
    assert!(is_ours(&mixed, &wanted(true)));
}
