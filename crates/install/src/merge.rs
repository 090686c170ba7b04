//! Lays settings over settings. In: two trees. Out: the first with the second on top of it.

use serde_json::{Map, Value};

/// Lists whose items are one thing each, by the fields that name an item; others are replaced whole.
const NAMED: &[(&str, &[&str])] = &[
    ("ingressGateways", &["name", "namespace"]),
    ("egressGateways", &["name", "namespace"]),
    ("env", &["name"]),
];

/// Merges objects field by field; null removes a field.
pub fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => fields(base, over),
        (base, over) => *base = over,
    }
}

fn fields(base: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        if value.is_null() {
            base.shift_remove(&key);
            continue;
        }
        let named = NAMED.iter().find(|(list, _)| *list == key).map(|(_, keys)| *keys);
        match (base.get_mut(&key), value, named) {
            (Some(Value::Array(old)), Value::Array(new), Some(keys)) => items(old, new, keys),
            (Some(old), value, _) => merge(old, value),
            (None, value, _) => drop(base.insert(key, without_nulls(value))),
        }
    }
}

fn items(base: &mut Vec<Value>, over: Vec<Value>, keys: &[&str]) {
    for item in over {
        let same = |old: &Value| keys.iter().all(|key| old.get(key) == item.get(key));
        // One of the same name that is nowhere yet is the one that is meant.
        let open = |old: &Value| {
            old.get(keys[0]) == item.get(keys[0])
                && keys[1..].iter().all(|key| old.get(key).is_none())
        };
        match base.iter().position(same).or_else(|| base.iter().position(open)) {
            Some(at) => merge(&mut base[at], item),
            None => base.push(without_nulls(item)),
        }
    }
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

    use super::merge;

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
}
