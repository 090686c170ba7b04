//! A null in a values file is as if it was not there: Helm itself takes the chart's own default
//! back with it, without which nothing would start.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Case, charts, check, helm, istiod};

const LAYERS: [&str; 2] = ["_internal_defaults_do_not_set", "defaults"];

#[track_caller]
fn made(chart: &'static str, values: Value) -> String {
    let (release, namespace, component) = ("release", "istio-system", "");
    let output = helm(&Case { chart, release, namespace, component, values, spec: json!({}) }, &[]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{chart}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn read(chart: &str, file: &str) -> Value {
    let text = std::fs::read_to_string(charts().join(chart).join(file)).unwrap();
    lateen_install::documents(&text).unwrap().remove(0)
}

/// The names in a tree by how deep they are. In a schema, they are below `properties`.
fn names(tree: &Value, in_schema: bool) -> BTreeMap<usize, BTreeSet<Vec<String>>> {
    let mut found = BTreeMap::<usize, BTreeSet<Vec<String>>>::new();
    let mut left = vec![(Vec::new(), tree)];
    while let Some((path, tree)) = left.pop() {
        let tree = if in_schema { &tree["properties"] } else { tree };
        for (name, inner) in tree.as_object().into_iter().flatten() {
            let path: Vec<String> = path.iter().chain([name]).cloned().collect();
            found.entry(path.len()).or_default().insert(path.clone());
            left.push((path, inner));
        }
    }
    found
}

/// These values as null, at the top and among the defaults, and the same tree without them.
fn nulls(paths: &BTreeSet<Vec<String>>) -> (Value, Value) {
    let (mut with, mut without) = (json!({}), json!({}));
    let layers = LAYERS.iter().map(|layer| vec![(*layer).to_owned()]).chain([Vec::new()]);
    for layer in layers {
        for path in paths {
            let path: Vec<&String> = layer.iter().chain(path).collect();
            path.iter().fold(&mut with, |place, step| &mut place[*step]);
            let outer = path[..path.len() - 1].iter();
            let place = outer.fold(&mut without, |place, step| &mut place[*step]);
            *place = if place.is_null() { json!({}) } else { place.take() };
        }
    }
    (with, without)
}

#[test]
fn a_null_is_the_charts_default_at_each_place() {
    for chart in ["base", "istiod", "cni", "gateway"] {
        let plain = made(chart, json!({}));
        let mut all = names(&read(chart, "values.schema.json")["$defs"]["values"], true);
        for (depth, paths) in names(&read(chart, "files/defaults.yaml"), false) {
            all.entry(depth).or_default().extend(paths);
        }
        assert!(!all.is_empty(), "{chart} has no values");
        for (depth, paths) in all {
            let (with, without) = nulls(&paths);
            assert_eq!(made(chart, with), made(chart, without), "{chart}, {depth} deep");
        }
        let values = json!({ LAYERS[0]: null, LAYERS[1]: null });
        assert_eq!(made(chart, values), plain, "{chart} without defaults");
    }
}

#[test]
fn a_section_without_anything_is_the_charts_default() {
    for section in [
        json!({"global": null, "pilot": null, "sidecarInjectorWebhook": null, "meshConfig": null}),
        json!({"global": {"proxy": null, "proxy_init": null, "logging": null}, "cpu": null}),
        json!({"pilot": {"cpu": null, "resources": null}, "meshConfig": {"defaultConfig": null}}),
    ] {
        check(&istiod(section, json!({"profile": "minimal"})));
    }
}

#[test]
fn beside_a_null_the_rest_is_what_a_user_sets() {
    let values = json!({
        "global": {"proxy": {"logLevel": null, "componentLogLevel": "misc:info"}},
        "pilot": {"resources": {"requests": {"memory": null, "cpu": "70m"}}},
        "meshConfig": {"trustDomain": null, "accessLogFile": "/dev/stdout"},
    });
    let spec = json!({
        "profile": "minimal", "meshConfig": {"accessLogFile": "/dev/stdout"},
        "components": {"pilot": {"k8s": {"resources": {"requests": {"cpu": "70m"}}}}},
        "values": {"global": {"proxy": {"componentLogLevel": "misc:info"}}},
    });
    check(&istiod(values, spec));
}
