//! Lays settings over settings. In: two trees. Out: the first with the second on top of it.

use serde_json::{Map, Value};

/// Lists whose items are one thing each, by the fields that name an item; others are replaced whole.
const NAMED: &[(&str, &[&str])] = &[
    ("ingressGateways", &["name", "namespace"]),
    ("egressGateways", &["name", "namespace"]),
    ("env", &["name"]),
];

/// What a null over a field does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Removes,
    Stays,
}

/// Merges objects field by field; null removes a field.
pub fn merge(base: &mut Value, over: Value) {
    whole(base, over, Null::Removes);
}

/// The same for what is to be merged over something else later: null stays, and removes the field there.
pub fn gather(base: &mut Value, over: Value) {
    whole(base, over, Null::Stays);
}

fn whole(base: &mut Value, over: Value, null: Null) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => fields(base, over, null),
        (base, over) => *base = set(over, null),
    }
}

fn fields(base: &mut Map<String, Value>, over: Map<String, Value>, null: Null) {
    for (key, value) in over {
        if value.is_null() && null == Null::Removes {
            base.shift_remove(&key);
            continue;
        }
        let named = NAMED.iter().find(|(list, _)| *list == key).map(|(_, keys)| *keys);
        match (base.get_mut(&key), value, named) {
            (Some(Value::Array(old)), Value::Array(new), Some(keys)) => items(old, new, keys, null),
            (Some(old), value, _) => whole(old, value, null),
            (None, value, _) => drop(base.insert(key, set(value, null))),
        }
    }
}

fn items(base: &mut Vec<Value>, over: Vec<Value>, keys: &[&str], null: Null) {
    for item in over {
        let same = |old: &Value| keys.iter().all(|key| old.get(key) == item.get(key));
        // One of the same name that is nowhere yet is the one that is meant.
        let open = |old: &Value| {
            old.get(keys[0]) == item.get(keys[0])
                && keys[1..].iter().all(|key| old.get(key).is_none())
        };
        match base.iter().position(same).or_else(|| base.iter().position(open)) {
            Some(at) => whole(&mut base[at], item, null),
            None => base.push(set(item, null)),
        }
    }
}

fn set(value: Value, null: Null) -> Value {
    if null == Null::Stays { value } else { without_nulls(value) }
}

/// A field that is null is not set.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let set = map.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(set.map(|(key, value)| (key, without_nulls(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{gather, merge};

    #[test]
    fn objects_merge_lists_replace_gateways_merge_by_name_and_null_removes() {
        let mut base = json!({
            "a": {"x": 1, "y": 2}, "l": [1, 2],
            "ingressGateways": [{"name": "a", "enabled": false, "k8s": {"p": 1}}],
        });
        let over = json!({
            "a": {"y": null, "z": 3}, "l": [3],
            "ingressGateways": [{"name": "a", "enabled": true}, {"name": "b", "k": null}],
        });
        merge(&mut base, over);
        let expected = json!({
            "a": {"x": 1, "z": 3}, "l": [3],
            "ingressGateways": [{"name": "a", "enabled": true, "k8s": {"p": 1}}, {"name": "b"}],
        });
        assert_eq!(base, expected);
    }

    #[test]
    fn null_that_is_gathered_removes_what_it_is_merged_over() {
        let mut user = json!({});
        gather(&mut user, json!({"a": {"x": null, "z": null}, "l": [{"y": null}], "n": 1}));
        gather(&mut user, json!({"a": {"z": 3}, "n": null}));
        let mut base = json!({"a": {"x": 1, "y": 2, "z": 0}, "l": [1], "n": 0});
        merge(&mut base, user);
        assert_eq!(base, json!({"a": {"y": 2, "z": 3}, "l": [{}]}));
    }
}
