//! Takes an injection out again, so that a pod that comes back is injected anew to the same pod. In: a
//! pod. Out: the pod as it was, by what the annotation `sidecar.istio.io/status` tells; a pod without it
//! is as it was, with the containers of `proxy.istio.io/overrides` if it has that, as in Istio. It reads what Istio's injector left, too.

use std::collections::HashSet;

use serde_json::Value;

use crate::annotation::{OVERRIDES, STATUS};
use crate::{PROXY_CONTAINER, pod, probes, prometheus};

/// The lists in which the status counts what was injected.
pub const LISTS: [&str; 4] = ["initContainers", "containers", "volumes", "imagePullSecrets"];

/// The pod without an injection. A list of injected items alone stays, empty, in its place: injected again,
/// the pod is the same text.
pub fn strip(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let status = pod::annotation(&pod, STATUS);
    let status = status.and_then(|text| serde_json::from_str::<Value>(text).ok());
    if status.is_none() && pod::annotation(&pod, OVERRIDES).is_none() {
        return pod;
    }
    let status = status.unwrap_or_default();
    if !status.is_null() {
        restore_application(&mut pod);
    }
    for field in LISTS {
        let injected: HashSet<&str> =
            status[field].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if injected.is_empty() {
            continue;
        }
        pod::list_mut(&mut pod, field).retain(|item| !injected.contains(pod::name(item)));
    }
    restore_overrides(&mut pod);
    let annotations = pod::metadata_mut(&mut pod, "annotations");
    annotations.shift_remove(STATUS);
    annotations.shift_remove(OVERRIDES);
    pod
}

/// Probes and scrape annotations, from the proxy's variables.
fn restore_application(pod: &mut Value) {
    let Some(proxy) = pod::container(pod, PROXY_CONTAINER) else { return };
    let probers = pod::variable(proxy, probes::VARIABLE).map(str::to_owned);
    let scrape = pod::variable(proxy, prometheus::VARIABLE).map(str::to_owned);
    if let Some(probers) = probers {
        probes::restore(pod, &probers);
    }
    prometheus::restore(pod, scrape.as_deref());
}

/// The user's own parts of injected containers.
fn restore_overrides(pod: &mut Value) {
    let overrides = pod::annotation(pod, OVERRIDES);
    let Some(overrides) = overrides.and_then(|text| serde_json::from_str::<Value>(text).ok())
    else {
        return;
    };
    let fields = ["containers", "initContainers"];
    let there = fields.iter().flat_map(|field| pod::list(pod, field)).map(pod::name);
    let mut there: HashSet<String> = there.map(str::to_owned).collect();
    for field in fields {
        for container in overrides[field].as_array().into_iter().flatten() {
            if there.insert(pod::name(container).to_owned()) {
                pod::list_mut(pod, field).push(container.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
