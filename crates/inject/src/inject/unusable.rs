//! Values of the ProxyConfig with which the proxy could not run. In: the context of an injection. Out: an error
//! for each, whoever wrote it: the pod, the mesh's settings or a ProxyConfig object.

use lateen_api::issue::Issue;
use lateen_api::istio::mesh::{Fault, unusable_proxy_config};

use super::{Context, Target};
use crate::INVALID_ANNOTATION;
use crate::annotation::PROXY_CONFIG;

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
