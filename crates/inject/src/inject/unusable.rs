//! What a pod cannot be injected with. In: the context of an injection. Out: an error for each value with which the
//! proxy could not run, or its pod be created, whoever wrote it (the pod, the mesh's settings or a ProxyConfig
//! object), and for a container whose name is needed.

use lateen_api::issue::Issue;
use lateen_api::istio::mesh::{Fault, unusable_proxy_config};
use serde_json::Value;

use super::{Context, Target};
use crate::annotation::{self as names, PROXY_CONFIG};
use crate::{INVALID_ANNOTATION, LIMITED, PROXY_CONTAINER, interception, pod, proxy, quantity};

const FROM_OTHERS: &str = " (it comes from meshConfig.defaultConfig or from a ProxyConfig object)";

pub fn of_config(context: &Context, target: &Target) -> Vec<Issue> {
    let own = unusable_proxy_config(&context.annotations.proxy_config);
    let issues =
        unusable_proxy_config(&context.config).into_iter().map(|Fault { path, message }| {
            let is_own = own.iter().any(|of| of.path == path);
            let from = if is_own { "" } else { FROM_OTHERS };
            let message = format!("{path}: {message}{from}");
            target.error(&target.annotation(PROXY_CONFIG), INVALID_ANNOTATION, message)
        });
    issues.collect()
}

/// Annotations, or a field of the pod's own `istio-proxy`, by which the proxy would ask for more than its limit, which
/// Kubernetes refuses without naming them. In: the injected pod.
pub fn of_resources(pod: &Value, context: &Context, target: &Target) -> Vec<Issue> {
    let Some(proxy) = pod::container(pod, PROXY_CONTAINER) else { return Vec::new() };
    let rows =
        [("cpu", names::CPU, names::CPU_LIMIT), ("memory", names::MEMORY, names::MEMORY_LIMIT)];
    let issues = rows.into_iter().filter_map(|(resource, request_name, limit_name)| {
        let request = &proxy["resources"]["requests"][resource];
        let limit = &proxy["resources"]["limits"][resource];
        let (amount, most) = (quantity::of(request)?, quantity::of(limit)?);
        if !quantity::is_more(amount, most) {
            return None;
        }
        let refused = format!(
            "the proxy would ask for {request} of {resource} and be limited to {limit}, which Kubernetes refuses"
        );
        let mut written = [(request_name, request), (limit_name, limit)].into_iter();
        let by_annotation = written.find(|(name, value)| {
            value.is_string() && context.annotations.get(name) == value.as_str()
        });
        if let Some((name, _)) = by_annotation {
            let message = format!("{refused}: lower {request_name} or raise {limit_name}");
            return Some(target.error(&target.annotation(name), INVALID_ANNOTATION, message));
        }
        let (field, other) = own_side(context.base, resource)?;
        let message = format!("{refused}: write {other}.{resource} beside it");
        Some(target.error(&format!("{field}.{resource}"), LIMITED, message))
    });
    issues.collect()
}

/// Which of the two the pod's own container says of a resource, and what it leaves to the defaults. What it says of both
/// is named by the API.
fn own_side(base: &Value, resource: &str) -> Option<(String, &'static str)> {
    let mut lists = ["containers", "initContainers"].into_iter();
    let (list, own) =
        lists.find_map(|list| Some((list, pod::find(pod::list(base, list), PROXY_CONTAINER)?)))?;
    let says = |group: &str| !own["resources"][group][resource].is_null();
    let (group, other) = match (says("requests"), says("limits")) {
        (false, true) => ("limits", "requests"),
        (true, false) => ("requests", "limits"),
        (true, true) | (false, false) => return None,
    };
    let place = pod::Places::of(base).path(list, PROXY_CONTAINER);
    Some((format!("{place}.resources.{group}"), other))
}

/// Mounts that an annotation asks for of volumes that the injected pod has not. A StatefulSet adds its claims to its pods
/// by itself.
pub fn of_mounts(pod: &Value, context: &Context, target: &Target) -> Vec<Issue> {
    let mounts = proxy::user_objects(context, names::USER_VOLUME_MOUNT);
    let volumes = pod::names(pod::list(pod, "volumes"));
    let is_missing = |name: &&str| !volumes.contains(name);
    let missing = mounts.iter().map(pod::name).filter(is_missing);
    let error = |name: &str| {
        let message = format!(
            "the pod has no volume {name:?}: add it to the pod's volumes, or to {}",
            names::USER_VOLUME
        );
        target.error(&target.annotation(names::USER_VOLUME_MOUNT), INVALID_ANNOTATION, message)
    };
    missing.filter(|_| context.owner.kind != "StatefulSet").map(error).collect()
}

/// A container of the application cannot have the name of the init container that is injected: names are unique in
/// a pod. Under `initContainers` it has settings of its author's for that one.
pub fn of_names(context: &Context, target: &Target) -> Option<Issue> {
    let wanted = interception::name(context)?;
    let containers = pod::list(context.base, "containers");
    let index = containers.iter().position(|container| pod::name(container) == wanted)?;
    let message = format!(
        "{wanted:?} is the name of the init container that is injected: give this one another name, or write it \
         under initContainers if it is meant to change that one"
    );
    Some(target.error(&format!("spec.containers[{index}].name"), LIMITED, message))
}
