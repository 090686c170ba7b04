//! The table of kinds: lookups, uniqueness, printer columns.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::columns::lookup;
use super::{KINDS, Source, by_kind, find, priority, split_api_version};

#[test]
fn the_same_plural_in_two_groups_is_two_kinds() {
    let istio = find("networking.istio.io", "v1alpha3", "gateways").unwrap();
    let gateway_api = find("gateway.networking.k8s.io", "v1", "gateways").unwrap();
    assert_ne!(istio, gateway_api);
    assert_eq!(istio.source, Source::Istio);
    assert_eq!(by_kind("networking.istio.io", "Gateway"), Some(istio));
}

#[test]
fn a_version_that_is_not_served_is_not_found() {
    assert!(find("networking.istio.io", "v1alpha3", "proxyconfigs").is_none());
    assert!(find("", "v2", "services").is_none());
}

#[test]
fn names_are_unique_within_their_reach() {
    let mut plurals = HashSet::new();
    let mut short_names = HashSet::new();
    for kind in KINDS {
        assert!(plurals.insert((kind.group, kind.plural)), "{kind:?} twice");
        assert!(!kind.singular.is_empty() && !kind.versions.is_empty(), "{kind:?}");
        for short in kind.short_names {
            let reach = kind.stored_as.map_or((kind.group, kind.plural), |stored| stored);
            if kind.stored_as.is_none() {
                assert!(short_names.insert(*short), "{short} of {reach:?} is taken");
            }
        }
    }
}

#[test]
fn an_alias_points_at_a_kind_of_its_own_storage() {
    for kind in KINDS {
        if let Some((group, plural)) = kind.stored_as {
            let target = KINDS.iter().find(|k| k.group == group && k.plural == plural).unwrap();
            assert!(target.stored_as.is_none());
        }
    }
}

#[test]
fn a_column_prints_lists_as_kubectl_users_see_them() {
    let kind = by_kind("networking.istio.io", "VirtualService").unwrap();
    let object = json!({
        "metadata": { "creationTimestamp": "2026-01-02T03:04:05Z" },
        "spec": { "hosts": ["*"], "gateways": ["a", "b"] },
    });
    let cells: Vec<Value> = kind.columns.iter().map(|column| column.cell(&object)).collect();
    assert_eq!(cells, [json!("[\"a\",\"b\"]"), json!("[\"*\"]"), json!("2026-01-02T03:04:05Z")]);
}

#[test]
fn a_path_selects_by_index_star_and_key() {
    let object = json!({
        "status": {
            "addresses": [{ "type": "IP" }, { "value": "10.0.0.1" }],
            "conditions": [{ "type": "A", "status": "False" }, { "type": "B", "status": "True" }],
        },
    });
    assert_eq!(lookup(".status.addresses[*].value", &object), Some(&json!("10.0.0.1")));
    let path = r#".status.conditions[?(@.type=="B")].status"#;
    assert_eq!(lookup(path, &object), Some(&json!("True")));
    assert_eq!(lookup(".status.nothing.at.all", &object), None);
    assert_eq!(lookup("][", &object), None);
}

#[test]
fn an_api_version_splits_into_group_and_version() {
    assert_eq!(split_api_version("v1"), ("", "v1"));
    assert_eq!(split_api_version("apps/v1"), ("apps", "v1"));
}

#[test]
fn the_preferred_version_is_the_newest_of_the_most_stable() {
    for (group, kind, version) in [
        ("telemetry.istio.io", "Telemetry", "v1"),
        ("networking.istio.io", "EnvoyFilter", "v1alpha3"),
        ("networking.istio.io", "ProxyConfig", "v1beta1"),
        ("networking.istio.io", "VirtualService", "v1"),
        ("", "Service", "v1"),
    ] {
        assert_eq!(by_kind(group, kind).unwrap().preferred_version(), version, "{kind}");
    }
    let mut sorted = ["v1", "v2", "v1beta1", "v1alpha3", "v2beta1", "v1alpha1"];
    sorted.sort_by_key(|version| priority(version));
    assert_eq!(sorted, ["v1alpha1", "v1alpha3", "v1beta1", "v2beta1", "v1", "v2"]);
}
