//! What a pod holds that will not be as its author may think. In: the context of its injection, before
//! anything is added. Out: warnings, none of which keeps it from being injected.

use lateen_api::issue::{Code, Issue};
use serde_json::Value;

use super::{Context, Target};
use crate::annotation as names;
use crate::settings::is_istio_image;
use crate::{INVALID_ANNOTATION, LIMITED, MISPLACED, NO_EFFECT, PROXY_CONTAINER, pod, proxy};

/// Istio's code for an application that runs as the proxy's user.
const INVALID_USER: Code = Code("IST0144");
/// The user and group of the proxy, by which its own connections are told.
const PROXY_USER: u64 = 1337;

/// Of every pod that gets a proxy.
pub fn of_proxy(context: &Context, target: &Target) -> Vec<Issue> {
    let mut issues = own_image(context, target);
    issues.extend(replaced_volumes(context, target));
    issues.extend(namespace_label(context, target));
    issues
}

/// Of those whose traffic is intercepted.
pub fn of_sidecar(context: &Context, target: &Target) -> Vec<Issue> {
    let mut issues = proxy_user(context, target);
    issues.extend(before_proxy(context, target));
    issues
}

fn own_image(context: &Context, target: &Target) -> Vec<Issue> {
    let mut issues = Vec::new();
    for field in ["containers", "initContainers"] {
        for (index, container) in pod::list(context.base, field).iter().enumerate() {
            let image = container["image"].as_str().filter(|image| is_istio_image(image));
            let Some(image) = image.filter(|_| pod::INJECTED.contains(&pod::name(container)))
            else {
                continue;
            };
            let path = format!("spec.{field}[{index}].image");
            let message = format!("{image:?} is Istio's image: {} is used", context.image);
            issues.push(target.warning(&path, NO_EFFECT, message));
        }
    }
    issues
}

fn replaced_volumes(context: &Context, target: &Target) -> Vec<Issue> {
    let injected = proxy::volumes(context);
    let injected = pod::by_name(&injected);
    let mut issues = Vec::new();
    for (index, volume) in pod::list(context.base, "volumes").iter().enumerate() {
        let name = pod::name(volume);
        if injected.get(name).is_some_and(|injected| *injected != volume) {
            let message = format!(
                "the proxy has a volume {name:?} of its own, which takes the place of this one: give this \
                 one another name"
            );
            issues.push(target.warning(&format!("spec.volumes[{index}]"), LIMITED, message));
        }
    }
    issues
}

/// A pod has no say by the label of namespaces.
fn namespace_label(context: &Context, target: &Target) -> Option<Issue> {
    let label = &*context.settings.inject_label;
    pod::label(context.base, label)?;
    let path = format!("metadata.labels[{label:?}]");
    let message = "has no effect on a pod, it is a namespace's label: use sidecar.istio.io/inject";
    Some(target.warning(&path, MISPLACED, message))
}

/// Init containers may well do so, to have the network without the proxy.
fn proxy_user(context: &Context, target: &Target) -> Vec<Issue> {
    if context.mode == "NONE" {
        return Vec::new();
    }
    let mut issues = Vec::new();
    let whole = &context.base["spec"]["securityContext"];
    for (index, container) in pod::list(context.base, "containers").iter().enumerate() {
        if pod::name(container) == PROXY_CONTAINER {
            continue;
        }
        for (field, what) in [("runAsUser", "user"), ("runAsGroup", "group")] {
            let own = &container["securityContext"][field];
            let effective = if own.is_null() { &whole[field] } else { own };
            if *effective == PROXY_USER {
                let path = format!("spec.containers[{index}].securityContext.{field}");
                let message = format!(
                    "{PROXY_USER} is the proxy's {what}: this container's connections do not go through the \
                     proxy, so run it as another"
                );
                issues.push(target.warning(&path, INVALID_USER, message));
            }
        }
    }
    issues
}

fn before_proxy(context: &Context, target: &Target) -> Vec<Issue> {
    let wanted = context.annotations.get(names::BEFORE_PROXY).unwrap_or_default();
    let init = pod::by_name(pod::list(context.base, "initContainers"));
    let wanted = wanted.split(',').map(str::trim).filter(|name| !name.is_empty());
    let (there, missing): (Vec<&str>, Vec<&str>) = wanted.partition(|name| init.contains_key(name));
    let path = target.annotation(names::BEFORE_PROXY);
    let mut issues = Vec::new();
    if let Some(missing) = missing.first() {
        let message = format!("the pod has no init container {missing:?}: check its spelling");
        issues.push(target.warning(&path, INVALID_ANNOTATION, message));
    }
    let as_proxy = |name: &str| {
        let of_both = [&init[name]["securityContext"], &context.base["spec"]["securityContext"]];
        of_both.iter().find_map(|one| one["runAsUser"].as_u64()) == Some(PROXY_USER)
    };
    let captured = context.native && context.settings.node_agent && context.mode != "NONE";
    if let Some(name) = there.into_iter().find(|name| captured && !as_proxy(name)) {
        let message = format!(
            "{name:?} has no network: the node agent lays the rules before any container starts, and the proxy \
             that they lead to starts after this one: leave it out here, and it has the network through the \
             proxy, or run it as user {PROXY_USER}, and it has it without the mesh"
        );
        issues.push(target.warning(&path, LIMITED, message));
    }
    issues
}

/// Whether a container of the pod's own says which image it wants, and may have it.
pub fn wants_image(container: &Value) -> bool {
    let image = container["image"].as_str().unwrap_or_default();
    !matches!(image, "auto" | "") && !is_istio_image(image)
}

#[cfg(test)]
mod tests;
