//! What the pod around the proxy needs beside containers and volumes. In: the pod with its proxy. Out: the
//! pod with process namespace, DNS search domains and kernel settings.

use serde_json::{Value, json};

use super::Context;
use crate::settings::NAMESPACE;
use crate::{PROXY_CONTAINER, merge, pod};

/// Ports below this need a privilege, or the kernel setting.
const PRIVILEGED: u64 = 1024;
/// The lowest port that needs none.
const PORT_START: &str = "net.ipv4.ip_unprivileged_port_start";

pub fn of_sidecar(pod: &mut Value, context: &Context) {
    let spec = pod::object_at(pod, "spec");
    if context.ends_with.is_some() {
        spec["shareProcessNamespace"] = json!(true);
    }
    if context.settings.dns_searches.is_empty() {
        return;
    }
    let slot = &mut pod::object_at(spec, "dnsConfig")["searches"];
    if !slot.is_array() {
        *slot = json!([]);
    }
    let searches = slot.as_array_mut().expect("an array was put there");
    for search in &context.settings.dns_searches {
        let search = json!(search.replace(NAMESPACE, context.namespace));
        if !searches.contains(&search) {
            searches.push(search);
        }
    }
}

/// The proxy of a gateway has no privilege, so it may listen on low ports only where the pod lets
/// everybody. Which ports those are is known by Gateway objects, so that every gateway gets the setting;
/// with a security of the values, as in Istio, only one whose container names such a port.
pub fn of_gateway(pod: &mut Value, context: &Context) {
    let own = &pod["spec"]["securityContext"];
    let of_values = context.settings.gateway_security.as_ref();
    let mut security = of_values.cloned().unwrap_or_else(|| json!({}));
    if own.is_object() {
        merge::merge(&mut security, own);
    }
    let may_open = of_values.is_none() || has_low_port(pod);
    if security["sysctls"].is_null() && may_open && !is_root(pod) {
        security["sysctls"] = json!([{"name": PORT_START, "value": "0"}]);
    }
    if security != json!({}) {
        pod::object_at(pod, "spec")["securityContext"] = security;
    }
}

fn has_low_port(pod: &Value) -> bool {
    let Some(proxy) = pod::container(pod, PROXY_CONTAINER) else { return false };
    let ports = proxy["ports"].as_array().into_iter().flatten();
    let mut numbers = ports.filter_map(|port| port["containerPort"].as_u64());
    numbers.any(|port| port < PRIVILEGED)
}

/// Root needs no setting.
fn is_root(pod: &Value) -> bool {
    let proxy = pod::container(pod, PROXY_CONTAINER);
    proxy.is_some_and(|proxy| proxy["securityContext"]["runAsUser"] == 0)
}

#[cfg(test)]
mod tests;
