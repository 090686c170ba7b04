//! What a pod cannot be injected with. In: the context of an injection. Out: an error for each value of the ProxyConfig
//! with which the proxy could not run, whoever wrote it (the pod, the mesh's settings or a ProxyConfig object), and
//! for a container whose name is needed.

use lateen_api::issue::Issue;
use lateen_api::istio::mesh::{Fault, unusable_proxy_config};

use super::{Context, Target};
use crate::annotation::PROXY_CONFIG;
use crate::{INVALID_ANNOTATION, LIMITED, interception, pod};

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
