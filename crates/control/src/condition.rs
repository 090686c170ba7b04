//! Conditions of a status, as Kubernetes has them. In: the present status and what is to be said. Out: what to write,
//! if anything.

use serde_json::{Value, json};

/// A condition whose time moves only when its status does.
pub fn condition(
    status: &Value,
    name: &str,
    truth: &str,
    reason: &str,
    text: &str,
    now: &str,
) -> Value {
    let conditions = status["conditions"].as_array();
    let before = conditions.and_then(|all| all.iter().find(|have| have["type"] == name));
    let since = before
        .filter(|before| before["status"] == truth)
        .and_then(|before| before["lastTransitionTime"].as_str())
        .unwrap_or(now);
    json!({
        "type": name,
        "status": truth,
        "reason": reason,
        "message": text,
        "lastTransitionTime": since,
    })
}

/// Whether merging `wanted` into `present` would change nothing. By protobuf's JSON rules an int64 may
/// have been stored as text.
pub fn covers(present: &Value, wanted: &Value) -> bool {
    let same = |(name, value): (&String, &Value)| match (&present[name], value) {
        (Value::String(text), Value::Number(number)) => number.to_string() == *text,
        // Protobuf's JSON leaves empty lists out.
        (Value::Null, Value::Array(list)) => list.is_empty(),
        (present, value) => present == value,
    };
    wanted.as_object().is_some_and(|fields| fields.iter().all(same))
}
