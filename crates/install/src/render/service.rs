//! Services as a file changes them. In: a Service's spec and the component's `k8s.service`. Out: the spec
//! with both.

use serde_json::{Value, json};

use crate::merge::merge;

/// Lays `over` over the spec. Ports of one number and protocol are one port, others are added, as in
/// Istio since 1.12.
pub fn overlay(spec: &mut Value, over: &Value) {
    let Some(fields) = over.as_object() else { return };
    let mut fields = fields.clone();
    let ports = fields.shift_remove("ports").and_then(|ports| ports.as_array().cloned());
    merge(spec, Value::Object(fields));
    let mut all = spec["ports"].as_array().cloned().unwrap_or_default();
    for port in ports.into_iter().flatten().filter(|port| !port.is_null()) {
        match all.iter_mut().find(|old| key(old) == key(&port)) {
            Some(old) => merge(old, port),
            None => all.push(port),
        }
    }
    spec["ports"] = json!(all);
}

fn key(port: &Value) -> (&Value, &str) {
    let protocol = port["protocol"].as_str().filter(|protocol| !protocol.is_empty());
    (&port["port"], protocol.unwrap_or("TCP"))
}
