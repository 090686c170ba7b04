//! The direction of dependency: a table of crates by layer, and the rules over `cargo metadata`.

use std::collections::BTreeMap;

use serde_json::Value;

/// Every crate of the workspace with its layer; a crate may depend on lower layers, and on its own
/// layer only from below it in this table.
const LAYERS: &[(&str, u8)] = &[
    ("lateen-telemetry", 0),
    ("lateen-api", 0),
    ("lateen-model", 1),
    ("lateen-translate", 1),
    ("lateen-routing", 1),
    ("lateen-inject", 1),
    ("lateen-install", 1),
    ("lateen-registry", 1),
    ("lateen-cni", 1),
    ("lateen-runtime", 2),
    ("lateen-identity", 2),
    ("lateen-xds", 2),
    ("lateen-kube", 2),
    ("lateen-apiserver", 2),
    ("lateen-netns", 2),
    ("lateen-control", 3),
    ("lateen-proxy", 3),
    ("lateen-graph", 3),
    ("lateen-cli", 4),
    ("lateen-testkit", 5),
    ("lateen-e2e", 5),
    ("xtask", 5),
];

/// Pairs that must not depend on each other although the layers would allow it.
const APART: &[(&str, &str)] =
    &[("lateen-control", "lateen-proxy"), ("lateen-kube", "lateen-apiserver")];

/// What pure crates (layers 0 and 1) must not depend on directly.
const IMPURE: &[&str] =
    &["tokio", "hyper", "hyper-util", "rustls", "tokio-rustls", "kube", "nix", "socket2", "redb"];

/// The only crate that uses kube-rs.
const KUBE_USER: &str = "lateen-kube";

/// Violations of the table in the output of `cargo metadata`.
pub fn check(metadata: &Value) -> Vec<String> {
    let order: BTreeMap<&str, (usize, u8)> =
        LAYERS.iter().enumerate().map(|(at, (name, layer))| (*name, (at, *layer))).collect();
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let mut problems = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(place) = order.get(name) else {
            problems.push(format!("{name} is not in the layer table of xtask/src/layers.rs"));
            continue;
        };
        for dependency in normal_dependencies(package) {
            problems.extend(violation(name, *place, dependency, &order));
        }
    }
    problems
}

fn normal_dependencies(package: &Value) -> impl Iterator<Item = &str> {
    let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
    dependencies
        .iter()
        .filter(|dependency| dependency["kind"].is_null())
        .filter_map(|dependency| dependency["name"].as_str())
}

fn violation(
    name: &str,
    (at, layer): (usize, u8),
    dependency: &str,
    order: &BTreeMap<&str, (usize, u8)>,
) -> Option<String> {
    if layer <= 1 && IMPURE.contains(&dependency) {
        return Some(format!("{name} is pure (layer {layer}) and must not depend on {dependency}"));
    }
    if dependency == "kube" && name != KUBE_USER {
        return Some(format!("{name} must not use kube-rs: only {KUBE_USER} does"));
    }
    let (other_at, other_layer) = *order.get(dependency)?;
    let apart =
        APART.iter().any(|(a, b)| (*a, *b) == (name, dependency) || (*b, *a) == (name, dependency));
    let upwards = other_layer > layer || (other_layer == layer && other_at > at);
    (apart || upwards)
        .then(|| format!("{name} must not depend on {dependency} (see ARCHITECTURE.md)"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn metadata(name: &str, dependency: &str) -> Value {
        json!({ "packages": [{ "name": name, "dependencies": [{ "name": dependency, "kind": null }] }] })
    }

    #[test]
    fn downwards_is_allowed_and_upwards_is_not() {
        assert!(check(&metadata("lateen-control", "lateen-xds")).is_empty());
        assert_eq!(check(&metadata("lateen-xds", "lateen-control")).len(), 1);
        assert_eq!(check(&metadata("lateen-control", "lateen-proxy")).len(), 1);
    }

    #[test]
    fn pure_crates_stay_pure() {
        assert_eq!(check(&metadata("lateen-model", "tokio")).len(), 1);
    }

    #[test]
    fn an_unknown_crate_is_reported() {
        assert_eq!(check(&metadata("lateen-new", "serde")).len(), 1);
    }
}
