//! Patches against an apply of their own, written from RFC 6902.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};

use super::patch;

/// Applies `add`, `remove` and `replace`, and fails where the RFC says so.
fn apply(mut document: Value, operations: &Value) -> Value {
    for operation in operations.as_array().unwrap() {
        let pointer = operation["path"].as_str().unwrap();
        let kind = operation["op"].as_str().unwrap();
        let value = operation.get("value").cloned();
        let Some((parent, last)) = pointer.rsplit_once('/') else {
            assert_eq!(kind, "replace");
            document = value.unwrap();
            continue;
        };
        let last = last.replace("~1", "/").replace("~0", "~");
        match document.pointer_mut(parent).expect("the parent exists") {
            Value::Object(map) => match kind {
                "add" => drop(map.insert(last, value.unwrap())),
                "remove" => drop(map.shift_remove(&last).expect("what is removed exists")),
                "replace" => {
                    *map.get_mut(&last).expect("what is replaced exists") = value.unwrap();
                }
                other => panic!("{other}"),
            },
            Value::Array(list) => {
                let at: usize = last.parse().unwrap();
                match kind {
                    "add" => list.insert(at, value.unwrap()),
                    "remove" => drop(list.remove(at)),
                    "replace" => list[at] = value.unwrap(),
                    other => panic!("{other}"),
                }
            }
            other => panic!("{other} has no members"),
        }
    }
    document
}

fn random(random_numbers: &mut StdRng, depth: u32) -> Value {
    let keys = ["name", "a/b", "c~d", "", "image"];
    match random_numbers.random_range(0..if depth == 0 { 4 } else { 6 }) {
        0 => json!(random_numbers.random_range(0..3)),
        1 => json!(["x", "y", "z"][random_numbers.random_range(0..3)]),
        2 => Value::Null,
        3 => json!(random_numbers.random_bool(0.5)),
        4 => (0..random_numbers.random_range(0..5))
            .map(|_| random(random_numbers, depth - 1))
            .collect(),
        _ => {
            let mut map = Map::new();
            for key in keys {
                if random_numbers.random_bool(0.4) {
                    map.insert(key.to_owned(), random(random_numbers, depth - 1));
                }
            }
            Value::Object(map)
        }
    }
}

/// A copy with a few places changed, so that alignment has something to find.
fn changed(random_numbers: &mut StdRng, value: &Value, depth: u32) -> Value {
    if random_numbers.random_bool(0.1) {
        return random(random_numbers, depth);
    }
    match value {
        Value::Array(items) => {
            let mut items: Vec<Value> =
                items.iter().map(|item| changed(random_numbers, item, depth)).collect();
            if random_numbers.random_bool(0.3) {
                items.insert(
                    random_numbers.random_range(0..=items.len()),
                    random(random_numbers, 1),
                );
            }
            if !items.is_empty() && random_numbers.random_bool(0.3) {
                items.remove(random_numbers.random_range(0..items.len()));
            }
            Value::Array(items)
        }
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), changed(random_numbers, value, depth)))
            .collect(),
        other => other.clone(),
    }
}

#[test]
fn a_patch_makes_the_second_of_the_first() {
    let mut random_numbers = StdRng::seed_from_u64(6902);
    for round in 0..3000 {
        let before = random(&mut random_numbers, 4);
        let after = match round % 3 {
            0 => random(&mut random_numbers, 4),
            _ => changed(&mut random_numbers, &before, 3),
        };
        let operations = patch(&before, &after);
        assert_eq!(apply(before.clone(), &operations), after, "{before}\n{operations}");
        if before == after {
            assert_eq!(operations, json!([]));
        }
    }
}

#[test]
fn only_what_differs_is_named() {
    let args = json!(["a", "long", "list", "of", "arguments", "that", "stays", "as", "it", "is"]);
    let before = json!({
        "labels": {"a/b": "1", "c~d": "2"},
        "containers": [{"name": "app", "image": "1", "args": args}],
    });
    let after = json!({
        "labels": {"a/b": "1", "c~d": "3", "new": "4"},
        "containers": [{"name": "proxy"}, {"name": "app", "image": "2", "args": args}],
    });
    let expected = json!([
        {"op": "replace", "path": "/labels/c~0d", "value": "3"},
        {"op": "add", "path": "/labels/new", "value": "4"},
        {"op": "add", "path": "/containers/0", "value": {"name": "proxy"}},
        {"op": "replace", "path": "/containers/1/image", "value": "2"},
    ]);
    assert_eq!(patch(&before, &after), expected);
}

#[test]
fn a_list_is_replaced_where_that_is_shorter() {
    let operations = patch(&json!({"args": ["a", "b", "c"]}), &json!({"args": ["d", "e", "f"]}));
    let expected = json!([{"op": "replace", "path": "/args", "value": ["d", "e", "f"]}]);
    assert_eq!(operations, expected);
}

#[test]
fn lists_too_long_to_align_are_replaced() {
    let long = |shift: usize| json!((shift..shift + 2000).collect::<Vec<_>>());
    let operations = patch(&long(0), &long(1));
    assert_eq!(operations, json!([{"op": "replace", "path": "", "value": long(1)}]));
}
