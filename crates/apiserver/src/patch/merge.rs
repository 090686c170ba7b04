//! JSON merge patch (RFC 7386). In: the current value and the patch. Out: the merged value.

use serde_json::{Map, Value};

/// The result of merging `patch` into `target`; `null` in the patch removes.
pub fn merge(target: Value, patch: Value) -> Value {
    let Value::Object(patch) = patch else {
        return patch;
    };
    let mut merged = match target {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    for (key, value) in patch {
        match value {
            Value::Null => {
                merged.shift_remove(&key);
            }
            value => {
                let old = merged.get_mut(&key).map(Value::take).unwrap_or(Value::Null);
                merged.insert(key, merge(old, value));
            }
        }
    }
    Value::Object(merged)
}
