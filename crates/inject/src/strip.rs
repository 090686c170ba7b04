//! Takes an injection out again, so that a pod that comes back is injected anew to the same pod. In: a
//! pod. Out: the pod as it was, by what the annotation `sidecar.istio.io/status` tells; a pod without it
//! is as it was, with the containers of `proxy.istio.io/overrides` if it has that, as in Istio. It reads what
//! Istio's injector left, too.

use std::collections::HashSet;

use serde_json::Value;

use crate::annotation::{OVERRIDES, STATUS, USER_VOLUME, syntax};
use crate::settings::{Settings, Template};
use crate::{PROXY_CONTAINER, pod, probes, prometheus};

/// The lists in which the status counts what was injected.
pub const LISTS: [&str; 4] = ["initContainers", "containers", "volumes", "imagePullSecrets"];

/// Containers of Istio's injector that Lateen's does not have.
const OTHER_CONTAINERS: [&str; 1] = ["enable-core-dump"];
/// Volumes of both injectors, today's and earlier ones.
const VOLUMES: [&str; 10] = [
    "workload-socket",
    "credential-socket",
    "workload-certs",
    "istio-envoy",
    "istio-data",
    "istio-podinfo",
    "istio-token",
    "istiod-ca-cert",
    "istio-ca-crl",
    "istio-certs",
];

/// The pod without an injection. A list of injected items alone stays, empty, in its place: injected again,
/// the pod is the same text. What the status names and no injector adds is the pod's own and stays.
pub fn strip(pod: &Value, settings: &Settings) -> Value {
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
        let named = status[field].as_array().into_iter().flatten().filter_map(Value::as_str);
        let injected: HashSet<&str> =
            named.filter(|name| is_injectable(&pod, field, name, settings)).collect();
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

/// Whether an injection adds an item of this name: of itself, for an annotation, or by a template.
fn is_injectable(pod: &Value, field: &str, name: &str, settings: &Settings) -> bool {
    let built_in = match field {
        "volumes" => VOLUMES.contains(&name) || is_user_volume(pod, name),
        "imagePullSecrets" => settings.image.pull_secrets.iter().any(|secret| secret == name),
        _ => pod::INJECTED.contains(&name) || OTHER_CONTAINERS.contains(&name),
    };
    // A container without an image is merged into one that the pod has.
    let is_added = |item: &Value| !field.ends_with("ontainers") || item["image"].is_string();
    let of_template = |template: &Template| match template {
        Template::Overlay(overlay) => {
            pod::list(overlay, field).iter().any(|item| pod::name(item) == name && is_added(item))
        }
        Template::Refused(_) => false,
    };
    built_in || settings.templates.values().any(of_template)
}

fn is_user_volume(pod: &Value, name: &str) -> bool {
    let volumes = pod::annotation(pod, USER_VOLUME).and_then(|text| syntax::objects(text).ok());
    volumes.into_iter().flatten().any(|volume| pod::name(&volume) == name)
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
