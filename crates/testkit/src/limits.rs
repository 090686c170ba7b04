//! Objects for the rules and bounds of Istio's CustomResourceDefinitions: for each one that is accepted and one that
//! is refused, and what is said of it, by a real Kubernetes and by the embedded API.

use anyhow::Result;
use serde_json::{Value, json};

/// Two objects, `good-0` and `bad-0` of the first case.
pub struct Case {
    pub accepted: Value,
    pub refused: Value,
    /// Words of the refusal.
    pub said: String,
}

/// Version, kind, the two specs, the words.
type Row = (String, String, Value, Value, String);

pub fn cases() -> Result<Vec<Case>> {
    let rows: Vec<Row> = serde_json::from_str(include_str!("limits.json"))?;
    let case = |(index, (version, kind, good, bad, said)): (usize, Row)| {
        let object = |name: &str, spec: &Value| {
            let metadata = json!({ "name": format!("{name}-{index}") });
            let mut object = json!({ "apiVersion": version, "kind": kind, "metadata": metadata });
            if !spec.is_null() {
                object["spec"] = grown(spec);
            }
            object
        };
        Case { accepted: object("good", &good), refused: object("bad", &bad), said }
    };
    Ok(rows.into_iter().enumerate().map(case).collect())
}

/// `X*300` is a text of 300 letters.
fn grown(value: &Value) -> Value {
    match value {
        Value::String(text) => match text.strip_prefix("X*").and_then(|n| n.parse().ok()) {
            Some(length) => json!("x".repeat(length)),
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(grown).collect(),
        Value::Object(map) => map.iter().map(|(key, inner)| (key.clone(), grown(inner))).collect(),
        other => other.clone(),
    }
}
