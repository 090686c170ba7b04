//! Values of the ProxyConfig with which the proxy could not run. In: the context of an injection. Out: an error
//! for each, whoever wrote it: the pod, the mesh's settings or a ProxyConfig object.

use lateen_api::issue::Issue;

use super::{Context, Target};
use crate::INVALID_ANNOTATION;
use crate::annotation::{PROXY_CONFIG, config};

const FROM_OTHERS: &str = " (it comes from meshConfig.defaultConfig or from a ProxyConfig object)";

pub fn of_config(context: &Context, target: &Target) -> Vec<Issue> {
    let own: Vec<_> = config::unusable(&context.annotations.proxy_config).collect();
    let issues = config::unusable(&context.config).map(|(field, message)| {
        let is_own = own.iter().any(|(of, _)| *of == field);
        let from = if is_own { "" } else { FROM_OTHERS };
        let message = format!("{field}: {message}{from}");
        target.error(&target.annotation(PROXY_CONFIG), INVALID_ANNOTATION, message)
    });
    issues.collect()
}
