//! Patches: an object and a patch in, the object or the refusal out.

mod apply;
mod owners;
mod strategic;

use lateen_api::kinds::{Kind, by_kind};
use lateen_testkit::fuzz::{self, fuzz};
use serde_json::{Value, json};

use super::{Patch, PatchContext, PatchError};
use crate::object::{MAX_DEPTH, depth};
use crate::selector::{FieldSelector, LabelSelector};

pub const NOW: &str = "2026-01-02T03:04:05Z";

pub fn kind(group: &str, name: &str) -> &'static Kind {
    by_kind(group, name).unwrap()
}

pub fn context<'a>(manager: &'a str, api_version: &'a str) -> PatchContext<'a> {
    PatchContext { manager, force: false, subresource: None, now: NOW, api_version }
}

pub fn service(ports: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "echo", "namespace": "default"},
        "spec": {"selector": {"app": "echo"}, "ports": ports},
    })
}

fn patched(current: &Value, patch: Patch) -> Result<Value, PatchError> {
    super::apply(kind("", "Service"), patch, Some(current), &context("m", "v1"))
}

#[test]
fn json_patches_apply_in_order() {
    let cases = [
        (
            json!({"a": 1}),
            json!([{"op": "add", "path": "/b", "value": 2}]),
            json!({"a": 1, "b": 2}),
        ),
        (
            json!({"a": [1, 3]}),
            json!([{"op": "add", "path": "/a/1", "value": 2}]),
            json!({"a": [1, 2, 3]}),
        ),
        (
            json!({"a": [1]}),
            json!([{"op": "add", "path": "/a/-", "value": 2}]),
            json!({"a": [1, 2]}),
        ),
        (json!({"a": 1}), json!([{"op": "replace", "path": "/a", "value": 2}]), json!({"a": 2})),
        (json!({"a": 1, "b": 2}), json!([{"op": "remove", "path": "/a"}]), json!({"b": 2})),
        (
            json!({"a": {"x": 1}}),
            json!([{"op": "move", "from": "/a/x", "path": "/y"}]),
            json!({"a": {}, "y": 1}),
        ),
        (
            json!({"a": 1}),
            json!([{"op": "copy", "from": "/a", "path": "/b"}]),
            json!({"a": 1, "b": 1}),
        ),
        (
            json!({"a/b": 1, "m~n": 2}),
            json!([
                {"op": "test", "path": "/a~1b", "value": 1},
                {"op": "replace", "path": "/m~0n", "value": 3},
            ]),
            json!({"a/b": 1, "m~n": 3}),
        ),
    ];
    for (current, operations, expected) in cases {
        assert_eq!(
            patched(&current, Patch::Json(operations.clone())).unwrap(),
            expected,
            "{operations}"
        );
    }
}

#[test]
fn json_patches_that_do_not_fit_are_unprocessable() {
    let cases = [
        (json!([{"op": "test", "path": "/a", "value": 2}]), "testing value /a failed: test failed"),
        (
            json!([{"op": "replace", "path": "/b", "value": 2}]),
            "replace operation does not apply: doc is missing key: /b: missing value",
        ),
        (
            json!([{"op": "remove", "path": "/b"}]),
            "remove operation does not apply: unable to remove nonexistent key: b: missing value",
        ),
        (
            json!([{"op": "add", "path": "/b/c", "value": 2}]),
            "add operation does not apply: doc is missing path: \"/b/c\": missing value",
        ),
    ];
    for (operations, cause) in cases {
        let error = patched(&json!({"a": 1}), Patch::Json(operations)).unwrap_err();
        assert_eq!((error.code, error.reason), (422, "Invalid"));
        assert_eq!(error.causes[0].message, cause);
    }
}

#[test]
fn malformed_json_patches_are_bad_requests() {
    for operations in [
        json!({"op": "add"}),
        json!([{"op": "frob", "path": "/a"}]),
        json!([{"op": "add", "path": "/a"}]),
        json!([{"op": "add", "value": 1}]),
        json!([{"op": "add", "path": "a", "value": 1}]),
    ] {
        let error = patched(&json!({"a": 1}), Patch::Json(operations.clone())).unwrap_err();
        assert_eq!(error.code, 400, "{operations}");
    }
}

#[test]
fn copies_of_copies_are_bounded() {
    let copy = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    let operations: Vec<_> = std::iter::repeat_n(copy, 64).collect();
    let error = patched(&json!({"a": [1]}), Patch::Json(json!(operations))).unwrap_err();
    assert_eq!(error.code, 413);
}

/// A pointer of so many steps, all of them `a`.
fn chain(steps: usize) -> String {
    "/a".repeat(steps)
}

/// Objects in each other, so many levels of them.
fn nested(levels: usize) -> Value {
    (1..levels).fold(json!({}), |inner, _| json!({"a": inner}))
}

#[test]
fn no_operation_makes_an_object_deeper_than_can_be_stored() {
    let refused = "operation does not apply: the object would be nested deeper than 100 levels";
    let half = MAX_DEPTH / 2;
    let cases = [
        json!([{"op": "add", "path": "/a", "value": nested(MAX_DEPTH)}]),
        json!([{"op": "replace", "path": "", "value": nested(MAX_DEPTH + 1)}]),
        json!([{"op": "copy", "from": "/a", "path": chain(half + 1)}]),
        json!([{"op": "move", "from": "/b", "path": chain(half + 1)}]),
    ];
    let current = json!({"a": nested(half), "b": nested(half)});
    for operations in cases {
        let error = patched(&current, Patch::Json(operations)).unwrap_err();
        assert_eq!(error.code, 422);
        assert!(error.causes[0].message.ends_with(refused), "{}", error.causes[0].message);
    }
    let deepest = json!([
        {"op": "copy", "from": "/a", "path": chain(half)},
        {"op": "move", "from": "/b", "path": "/c"},
    ]);
    assert_eq!(depth(&patched(&current, Patch::Json(deepest)).unwrap()), MAX_DEPTH);
}

/// Each copy onto its own end doubles a chain: unbounded, these thirteen use up a thread's stack.
#[test]
fn a_chain_that_is_copied_onto_its_own_end_is_refused_before_it_grows() {
    let copies = (0..13).map(|round| {
        json!({"op": "copy", "from": "/a", "path": chain((MAX_DEPTH - 1) * (1 << round) + 1)})
    });
    let start = json!({"op": "add", "path": "/a", "value": nested(MAX_DEPTH - 1)});
    let operations: Vec<Value> = std::iter::once(start).chain(copies).collect();
    assert_eq!(patched(&json!({}), Patch::Json(json!(operations))).unwrap_err().code, 422);
}

#[test]
fn moves_back_and_forth_are_bounded() {
    let there = json!({"op": "move", "from": "/a", "path": "/b/a"});
    let back = json!({"op": "move", "from": "/b/a", "path": "/a"});
    let operations: Vec<_> = std::iter::repeat_n([there, back], 64).flatten().collect();
    let current = json!({"a": "x".repeat(1 << 16), "b": {}});
    assert_eq!(patched(&current, Patch::Json(json!(operations))).unwrap_err().code, 413);
}

#[test]
fn merge_patches_follow_rfc_7386() {
    let cases = [
        (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
        (json!({"a": "b"}), json!({"a": null}), json!({})),
        (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
        (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
        (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
        (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
        (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
    ];
    for (current, patch, expected) in cases {
        assert_eq!(patched(&current, Patch::Merge(patch.clone())).unwrap(), expected, "{patch}");
    }
    assert_eq!(patched(&json!({}), Patch::Merge(json!([1]))).unwrap_err().code, 400);
}

#[test]
fn only_server_side_apply_creates() {
    let error =
        super::apply(kind("", "Service"), Patch::Merge(json!({})), None, &context("m", "v1"))
            .unwrap_err();
    assert_eq!(error.code, 404);
}

/// Whatever a client sends, and whatever an older version stored.
#[test]
fn patches_that_make_no_sense_are_refused_or_applied_but_never_a_panic() {
    let current = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "echo", "namespace": "default", "finalizers": ["a", "b"],
            "managedFields": [{
                "manager": "kubectl", "operation": "Apply", "apiVersion": "v1", "time": NOW, "fieldsType": "FieldsV1",
                "fieldsV1": {
                    "f:metadata": {"f:finalizers": {".": {}, "v:\"a\"": {}}},
                    "f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}}},
                },
            }],
        },
        "spec": {"selector": {"app": "echo"}, "ports": [{"port": 80, "protocol": "TCP"}, {"name": "b", "port": 81}]},
    });
    let merge = json!({
        "spec": {
            "$setElementOrder/ports": [{"port": 81}, {"port": 80}],
            "ports": [{"port": 80, "$patch": "delete"}, {"port": 82, "name": "c"}],
            "selector": {"$retainKeys": ["app"], "app": null},
        },
        "metadata": {"$deleteFromPrimitiveList/finalizers": ["a"]},
    });
    let operations = json!([
        {"op": "test", "path": "/spec/ports/0/port", "value": 80},
        {"op": "move", "from": "/spec/ports/0", "path": "/spec/ports/-"},
        {"op": "copy", "from": "/metadata/name", "path": "/metadata/labels"},
        {"op": "remove", "path": "/spec/selector/app"},
    ]);
    let samples =
        [&merge, &operations, &current].map(|patch| json!({"on": current, "patch": patch}));
    fuzz(1500, fuzz::objects(samples.to_vec()), |case| {
        let patch = || case["patch"].clone();
        let _ = patched(&case["on"], Patch::Json(patch()));
        let _ = patched(&case["on"], Patch::Apply(patch()));
        for merge in [Patch::Merge(patch()), Patch::Strategic(patch())] {
            if let Ok(merged) = patched(&case["on"], merge) {
                let inputs = depth(&case["on"]).max(depth(&case["patch"]));
                assert!(depth(&merged) <= inputs, "a merge goes no deeper than what it merges");
            }
        }
    });
}

/// Three bytes are one operation: which one, from how deep, to how deep.
fn operations(bytes: &[u8]) -> Value {
    let operation = |op: &[u8]| {
        let (from, path) = (chain(op[1].into()), chain(op[2].into()));
        match op[0] % 4 {
            0 => json!({"op": "add", "path": path, "value": nested(op[1].into())}),
            1 => json!({"op": "replace", "path": path, "value": nested(op[1].into())}),
            2 => json!({"op": "copy", "from": from, "path": path}),
            _ => json!({"op": "move", "from": from, "path": path + "/b"}),
        }
    };
    bytes.chunks_exact(3).map(operation).collect()
}

#[test]
fn json_patches_of_any_operations_stay_within_the_depth() {
    let samples = [
        vec![0, 95, 1, 2, 1, 95, 2, 1, 190],
        vec![0, 60, 1, 2, 1, 40, 2, 1, 99, 1, 50, 50],
        vec![0, 30, 1, 3, 15, 10, 3, 5, 4, 2, 1, 14, 2, 1, 14],
    ];
    fuzz(3000, fuzz::bytes(samples.to_vec()), |bytes| {
        let patch = operations(&bytes);
        let patches = patch.as_array().unwrap();
        // A patch is all or nothing: its beginnings show how far the object came.
        for end in 1..=patches.len() {
            let patch = Patch::Json(json!(patches[..end]));
            if let Ok(object) = patched(&json!({}), patch) {
                assert!(depth(&object) <= MAX_DEPTH, "{} levels", depth(&object));
            }
        }
    });
}

#[test]
fn selectors_that_make_no_sense_are_refused_or_read_but_never_a_panic() {
    let samples = ["app in (a, b),!c,d notin (e),f==g", "metadata.name=a,spec.nodeName!=b"];
    let samples = samples.map(|sample| sample.as_bytes().to_vec()).to_vec();
    fuzz(2000, fuzz::bytes(samples), |bytes| {
        let text = String::from_utf8_lossy(&bytes);
        let _ = LabelSelector::parse(&text);
        let _ = FieldSelector::parse(&text);
    });
}
