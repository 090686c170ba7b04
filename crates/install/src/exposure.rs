//! What of a Service its cluster alone knows to be right: a node's port, which is of a range and may be taken, and what a
//! load balancer reads. In: a plan. Out: a warning for each that few clusters take, by path.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use lateen_api::issue::{Code, Issue};
use serde_json::Value;

use crate::plan::Plan;
use crate::render::enabled_gateways;

/// Of a cluster that is not told otherwise.
const USUAL: RangeInclusive<i64> = 30000..=32767;

pub fn check(plan: &Plan) -> Vec<Issue> {
    let mut found = Vec::new();
    if plan.flag("components.pilot.enabled") {
        let k8s = plan.object("components.pilot.k8s");
        of_service(plan, &k8s["service"], "spec.components.pilot.k8s.service", &mut found);
    }
    for gateway in enabled_gateways(plan) {
        let path = format!("{}.k8s.service", gateway.place());
        of_service(plan, &gateway.settings()["service"], &path, &mut found);
    }
    found
}

fn of_service(plan: &Plan, service: &Value, path: &str, found: &mut Vec<Issue>) {
    let mut warn = |field: String, message: String| {
        let path = format!("{path}.{field}");
        found.push(Issue::warning(plan.operator.clone(), path, Code::SCHEMA_WARNING, message));
    };
    let address = service["loadBalancerIP"].as_str().unwrap_or_default();
    if !address.is_empty() && address.parse::<IpAddr>().is_err() {
        let message = format!("{address:?} is no address: few load balancers take another word");
        warn("loadBalancerIP".to_owned(), message);
    }
    for (at, port) in service["ports"].as_array().into_iter().flatten().enumerate() {
        let number = port["nodePort"].as_i64().unwrap_or(0);
        // 0 is one of the cluster's choice, and what is no port at all is an error.
        if (1..=65535).contains(&number) && !USUAL.contains(&number) {
            let message = format!(
                "{number} is outside of {} to {}, which clusters hand out unless their API server has another \
                 --service-node-port-range: the Service is refused then",
                USUAL.start(),
                USUAL.end()
            );
            warn(format!("ports[{at}].nodePort"), message);
        }
    }
}
