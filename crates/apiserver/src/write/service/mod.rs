//! Services: in, one as sent and the one it replaces; out, the fields that Kubernetes fills in or
//! clears, and what is wrong with it.

mod check;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

pub use check::causes;

use super::defaults::set;
use crate::object;

/// Fills in defaults.
pub fn defaults(value: &mut Value, old: Option<&Value>) {
    let spec = object::child_mut(value, "spec");
    set(spec, &[("type", json!("ClusterIP")), ("sessionAffinity", json!("None"))]);
    if spec["sessionAffinity"] == "ClientIP" {
        let config = json!({"clientIP": {"timeoutSeconds": 10800}});
        set(spec, &[("sessionAffinityConfig", config)]);
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(port) = port.as_object_mut() {
            port_defaults(port);
        }
    }
    if let Some(old) = old {
        clear(spec, &old["spec"]);
    }
    if spec["type"] == "ExternalName" {
        return;
    }
    set(spec, &[("internalTrafficPolicy", json!("Cluster"))]);
    if is_external(&spec["type"]) {
        set(spec, &[("externalTrafficPolicy", json!("Cluster"))]);
    }
    if spec["type"] == "LoadBalancer" {
        set(spec, &[("allocateLoadBalancerNodePorts", json!(true))]);
    }
    set(spec, &[("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))]);
    // A client that replaces a Service without its address means to keep it.
    for field in ["clusterIP", "clusterIPs"] {
        if let Some(kept) = old.and_then(|old| object::at(old, &["spec", field])) {
            set(spec, &[(field, kept.clone())]);
        }
    }
}

fn port_defaults(port: &mut Map<String, Value>) {
    set(port, &[("protocol", json!("TCP"))]);
    let own = port.get("port").cloned().unwrap_or_default();
    let target = port.get("targetPort");
    if target.is_none_or(|target| target.is_null() || *target == 0 || *target == "") {
        port.insert("targetPort".to_owned(), own);
    }
}

fn is_external(kind: &Value) -> bool {
    kind == "NodePort" || kind == "LoadBalancer"
}

/// Clears what belongs to the type that a Service had, if the client left it as it was: whoever
/// patches only the type does not have to know what else came with it.
fn clear(spec: &mut Map<String, Value>, old: &Value) {
    let same = |spec: &Map<String, Value>, field: &str| {
        spec.get(field).is_some_and(|value| *value == old[field])
    };
    if spec["type"] == "ExternalName" && old["type"] != "ExternalName" && same(spec, "clusterIP") {
        let fields =
            ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"];
        for field in fields {
            spec.shift_remove(field);
        }
    }
    if is_external(&old["type"]) && !is_external(&spec["type"]) {
        if same(spec, "externalTrafficPolicy") {
            spec.shift_remove("externalTrafficPolicy");
        }
        clear_node_ports(spec, old);
    }
    if old["type"] == "LoadBalancer" && spec["type"] != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if same(spec, field) {
                spec.shift_remove(field);
            }
        }
    }
    if spec["sessionAffinity"] == "None" && same(spec, "sessionAffinityConfig") {
        spec.shift_remove("sessionAffinityConfig");
    }
}

/// A node port that the Service did not have is the client's own mistake, and stays to be refused.
fn clear_node_ports(spec: &mut Map<String, Value>, old: &Value) {
    let had = old["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let inherited = had.iter().any(|old| old["nodePort"] == port["nodePort"]);
        if let Some(port) = port.as_object_mut().filter(|_| inherited) {
            port.shift_remove("nodePort");
        }
    }
}
