//! The decision's table: the expected column is Istio's documented rules, written by hand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Decision, INJECT, Reason, decide};
use crate::selector::Selector;
use crate::settings::{Policy, Settings};
use crate::{Subject, Wish};

fn pod(label: Option<&str>, annotation: Option<&str>, app: &str) -> Value {
    let mut metadata = json!({"labels": {"app": app}});
    if let Some(value) = label {
        metadata["labels"][INJECT] = json!(value);
    }
    if let Some(value) = annotation {
        metadata["annotations"] = json!({INJECT: value});
    }
    json!({"metadata": metadata, "spec": {"containers": []}})
}

fn settings(policy: Policy) -> Settings {
    let selector = |app: &str| {
        let expression = json!({"key": "app", "operator": "In", "values": [app, "both"]});
        Selector::parse(&json!({"matchExpressions": [expression]})).unwrap()
    };
    let (never, always) = (vec![selector("never")], vec![selector("always")]);
    Settings { policy, never, always, ..Settings::default() }
}

fn answer(namespace: &str, pod: &Value, settings: &Settings) -> Decision {
    let labels = BTreeMap::new();
    decide(&Subject { namespace, namespace_labels: &labels, pod }, settings)
}

#[test]
fn the_pod_s_wish_comes_before_the_selectors_and_those_before_the_policy() {
    use Reason::{AlwaysSelector, NeverSelector, PolicyDisabled, PolicyEnabled};
    let label =
        |yes: bool| if yes { Reason::Asked(Wish::Label) } else { Reason::Declined(Wish::Label) };
    let note = |yes: bool| match yes {
        true => Reason::Asked(Wish::Annotation),
        false => Reason::Declined(Wish::Annotation),
    };
    // label, annotation, app; with the policy enabled; with it disabled
    #[rustfmt::skip]
    let rows = [
        (None,          None,          "web",    true,  PolicyEnabled,  false, PolicyDisabled),
        (None,          None,          "never",  false, NeverSelector,  false, NeverSelector),
        (None,          None,          "always", true,  AlwaysSelector, true,  AlwaysSelector),
        (None,          None,          "both",   false, NeverSelector,  false, NeverSelector),
        (Some("true"),  None,          "web",    true,  label(true),    true,  label(true)),
        (Some("true"),  None,          "never",  true,  label(true),    true,  label(true)),
        (Some("true"),  Some("false"), "web",    true,  label(true),    true,  label(true)),
        (Some("false"), None,          "web",    false, label(false),   false, label(false)),
        (Some("false"), None,          "always", false, label(false),   false, label(false)),
        (Some("false"), Some("true"),  "web",    false, label(false),   false, label(false)),
        (None,          Some("true"),  "web",    true,  note(true),     true,  note(true)),
        (None,          Some("true"),  "never",  true,  note(true),     true,  note(true)),
        (None,          Some("false"), "web",    false, note(false),    false, note(false)),
        (None,          Some("false"), "always", false, note(false),    false, note(false)),
        (Some(""),      Some("true"),  "web",    true,  PolicyEnabled,  false, PolicyDisabled),
        (Some("yes"),   None,          "web",    true,  PolicyEnabled,  false, PolicyDisabled),
        (Some("True"),  None,          "web",    true,  PolicyEnabled,  false, PolicyDisabled),
        (Some("no"),    Some("false"), "web",    true,  PolicyEnabled,  false, PolicyDisabled),
        (Some("yes"),   None,          "never",  false, NeverSelector,  false, NeverSelector),
        (None,          Some("yes"),   "always", true,  AlwaysSelector, true,  AlwaysSelector),
    ];
    for (label, annotation, app, enabled, why, disabled, why_not) in rows {
        let pod = pod(label, annotation, app);
        for (policy, inject, reason) in
            [(Policy::Enabled, enabled, why), (Policy::Disabled, disabled, why_not)]
        {
            let got = answer("default", &pod, &settings(policy));
            let at = format!("label {label:?}, annotation {annotation:?}, app {app}, {policy:?}");
            assert_eq!((got.is_inject(), got.reason()), (inject, reason), "{at}");
        }
    }
}

#[test]
fn the_host_s_network_and_system_namespaces_are_beyond_any_wish() {
    let asks = pod(Some("true"), None, "always");
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"] {
        let got = answer(namespace, &asks, &settings(Policy::Enabled));
        assert_eq!(got, Decision::Skip { reason: Reason::SystemNamespace });
    }
    assert!(answer("kube-system-2", &asks, &settings(Policy::Enabled)).is_inject());
    let mut on_host = asks.clone();
    on_host["spec"]["hostNetwork"] = json!(true);
    let got = answer("kube-system", &on_host, &settings(Policy::Enabled));
    assert_eq!(got, Decision::Skip { reason: Reason::HostNetwork });
    on_host["spec"]["hostNetwork"] = json!(false);
    assert!(answer("default", &on_host, &settings(Policy::Enabled)).is_inject());
}

#[test]
fn reasons_are_said_in_words() {
    let reason = Reason::Declined(Wish::Annotation);
    assert_eq!(reason.to_string(), "its annotation sidecar.istio.io/inject is \"false\"");
}
