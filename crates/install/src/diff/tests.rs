//! Differences as they are shown.

use serde_json::{Value, json};

use super::{ChangeKind, diff};

fn object(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

#[test]
fn objects_are_added_removed_and_changed() {
    let live = [object("a", json!({"x": 1, "y": [1, 2]})), object("gone", json!({}))];
    let wanted = [object("a", json!({"x": 2, "y": [1]})), object("new", json!({}))];
    let changes = diff(&live, &wanted);
    let names: Vec<&str> = changes.iter().map(|change| change.object.name.as_str()).collect();
    assert_eq!(names, ["a", "new", "gone"]);
    let ChangeKind::Changed(fields) = &changes[0].kind else { panic!("{changes:?}") };
    let shown: Vec<String> = fields.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["data.x: 1 -> 2", "data.y[1]: 2 -> nothing"]);
    assert_eq!(changes[1].kind, ChangeKind::Added);
    assert_eq!(changes[2].kind, ChangeKind::Removed);
}

#[track_caller]
fn check(kind: &str, (before, after): (Value, Value), expected: &[&str]) {
    let (api_version, kind) = kind.rsplit_once('/').unwrap();
    let object = |spec: Value| {
        let metadata = json!({"name": "a"});
        json!({"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec})
    };
    let changes = diff(&[object(before)], &[object(after)]);
    let [super::Change { kind: ChangeKind::Changed(fields), .. }] = &*changes else {
        panic!("{changes:?}")
    };
    let shown: Vec<String> = fields.iter().map(ToString::to_string).collect();
    assert_eq!(shown, expected);
}

fn pod(container: Value) -> Value {
    json!({"template": {"spec": {"containers": [container]}}})
}

#[test]
fn what_is_put_into_a_list_of_named_items_is_one_change() {
    let env = |names: &[&str]| -> Value {
        names.iter().map(|name| json!({"name": name, "value": "1"})).collect()
    };
    let of = |names: &[&str]| pod(json!({"name": "c", "env": env(names)}));
    let at = "spec.template.spec.containers[name:c].env";
    check(
        "apps/v1/Deployment",
        (of(&["A", "B", "C"]), of(&["X", "A", "B", "C"])),
        &[&format!("{at}[name:X]: nothing -> {{\"name\":\"X\",\"value\":\"1\"}}")],
    );
    check(
        "apps/v1/Deployment",
        (of(&["A", "B"]), of(&["B", "A"])),
        &[&format!("{at} order: [\"[name:A]\",\"[name:B]\"] -> [\"[name:B]\",\"[name:A]\"]")],
    );
}

#[test]
fn items_are_told_apart_as_kubernetes_does() {
    let mount = |path: &str, name: &str| json!({"mountPath": path, "name": name});
    check(
        "apps/v1/Deployment",
        (
            pod(json!({"name": "c", "volumeMounts": [mount("/a", "x"), mount("/b", "x")]})),
            pod(json!({"name": "c", "volumeMounts": [mount("/b", "y")]})),
        ),
        &[
            "spec.template.spec.containers[name:c].volumeMounts[mountPath:/b].name: \"x\" -> \"y\"",
            "spec.template.spec.containers[name:c].volumeMounts[mountPath:/a]: \
             {\"mountPath\":\"/a\",\"name\":\"x\"} -> nothing",
        ],
    );
    let port = |number: u16, protocol: &str, node: u16| json!({"port": number, "protocol": protocol, "nodePort": node});
    check(
        "v1/Service",
        (
            json!({"ports": [port(80, "TCP", 1), port(53, "TCP", 2), port(53, "UDP", 3)]}),
            json!({"ports": [{"port": 80, "nodePort": 9}, port(53, "TCP", 2), port(53, "UDP", 4)]}),
        ),
        &[
            "spec.ports[port:80].nodePort: 1 -> 9",
            "spec.ports[port:80].protocol: \"TCP\" -> nothing",
            "spec.ports[port:53,protocol:UDP].nodePort: 3 -> 4",
        ],
    );
}

#[test]
fn of_a_list_without_names_what_is_between_equal_ends_is_told() {
    let of = |args: &[&str]| pod(json!({"name": "c", "args": args}));
    check(
        "apps/v1/Deployment",
        (of(&["a", "b", "c"]), of(&["a", "x", "b", "c"])),
        &["spec.template.spec.containers[name:c].args[1]: nothing -> \"x\""],
    );
    let twice = pod(json!({"name": "c", "env": [{"name": "A"}, {"name": "A"}]}));
    check(
        "apps/v1/Deployment",
        (twice, pod(json!({"name": "c", "env": [{"name": "A"}]}))),
        &["spec.template.spec.containers[name:c].env[1]: {\"name\":\"A\"} -> nothing"],
    );
}

#[test]
fn of_a_long_text_the_lines_that_differ_are_told() {
    let changes =
        diff(&[object("a", json!({"t": "a\nb\nc\n"}))], &[object("a", json!({"t": "a\nx\nc\n"}))]);
    let ChangeKind::Changed(fields) = &changes[0].kind else { panic!("{changes:?}") };
    assert_eq!(fields[0].to_string(), "data.t line 2: \"b\" -> \"x\"");
}

#[test]
fn what_the_api_writes_is_no_change() {
    let mut live = object("a", json!({}));
    live["metadata"]["resourceVersion"] = json!("7");
    live["metadata"]["managedFields"] = json!([]);
    live["status"] = json!({"x": 1});
    assert_eq!(diff(&[live], &[object("a", json!({}))]), []);
}
