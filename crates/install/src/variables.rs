//! Variables of Istio's programs that nothing of Lateen's reads. In: a plan. Out: a warning for each, by path, with what
//! is there in its place.

use lateen_api::issue::{Code, Issue};
use serde_json::Value;

use crate::plan::Plan;
use crate::render::enabled_gateways;

/// What the names of istiod's feature flags begin with.
const FLAGS: [&str; 13] = [
    "AUTO_",
    "CITADEL_",
    "DEFAULT_WORKLOAD_",
    "ENABLE_",
    "EXTERNAL_",
    "INJECT",
    "ISTIOD_",
    "ISTIO_",
    "MAX_WORKLOAD_",
    "PILOT_",
    "PROXY_CONFIG_",
    "UNSAFE_",
    "XDS_",
];
/// Those that are read.
const READ: [&str; 2] = ["ENABLE_NATIVE_SIDECARS", "ISTIOD_CUSTOM_HOST"];

const ROUTER_MODE: &str = "ISTIO_META_ROUTER_MODE";

pub fn check(plan: &Plan) -> Vec<Issue> {
    let mut found = Vec::new();
    let mut warn = |(name, path): (String, String), reason: &str| {
        let message = format!("{name} has no effect: {reason}");
        found.push(Issue::warning(plan.operator.clone(), path, Code::DEPRECATED, message));
    };
    if plan.flag("components.pilot.enabled") {
        let k8s = plan.object("components.pilot.k8s");
        let own = names(&k8s["env"], "spec.components.pilot.k8s.env");
        let older = names(&plan.object("values.pilot.env"), "spec.values.pilot.env");
        for variable in own.into_iter().chain(older) {
            let name = variable.0.as_str();
            if FLAGS.iter().any(|flag| name.starts_with(flag)) && !READ.contains(&name) {
                warn(variable, "Lateen's control plane has no such flag");
            }
        }
    }
    for gateway in enabled_gateways(plan) {
        let own = names(&gateway.settings()["env"], &format!("{}.k8s.env", gateway.place()));
        let older = format!("{}.env", gateway.values());
        let older = names(&plan.object(&older), &format!("spec.{older}"));
        for variable in own.into_iter().chain(older) {
            if variable.0 == ROUTER_MODE {
                warn(
                    variable,
                    "each server of a Gateway says by its tls.mode how TLS is routed, and \
                     AUTO_PASSTHROUGH, which sni-dnat is for, is not served yet",
                );
            }
        }
    }
    found
}

/// The names of variables and their paths, of a list or of an older map.
fn names(env: &Value, path: &str) -> Vec<(String, String)> {
    match env {
        Value::Array(items) => {
            let name = |(at, item): (usize, &Value)| {
                Some((item["name"].as_str()?.to_owned(), format!("{path}[{at}]")))
            };
            items.iter().enumerate().filter_map(name).collect()
        }
        Value::Object(map) => {
            map.keys().map(|name| (name.clone(), format!("{path}.{name}"))).collect()
        }
        _ => Vec::new(),
    }
}
