//! How many pods a component has. In: a plan. Out: counts that an autoscaler overrules, as in Istio, and those that are
//! none, by path.

use lateen_api::issue::{Code, Issue};
use serde_json::Value;

use crate::plan::Plan;
use crate::render::enabled_gateways;

/// What is told of every count in the file.
pub fn check(plan: &Plan) -> Vec<Issue> {
    let mut found = Vec::new();
    if plan.flag("components.pilot.enabled") {
        let k8s = plan.object("components.pilot.k8s");
        of_component(plan, &k8s, "spec.components.pilot.k8s", "values.pilot", &mut found);
    }
    for gateway in enabled_gateways(plan) {
        let path = format!("{}.k8s", gateway.place());
        of_component(plan, gateway.settings(), &path, gateway.values(), &mut found);
    }
    // Gateways have their values in common.
    found.dedup_by(|one, other| one.path == other.path);
    found
}

fn of_component(plan: &Plan, k8s: &Value, path: &str, values: &str, found: &mut Vec<Issue>) {
    let value = |field: &str| plan.get(&format!("{values}.{field}"));
    let is_scaled = value("autoscaleEnabled") == Some(&Value::Bool(true));
    let least = k8s["hpaSpec"]["minReplicas"].as_i64();
    let least = least.or_else(|| value("autoscaleMin")?.as_i64()).unwrap_or(1);
    let counts = [
        (format!("{path}.replicaCount"), k8s["replicaCount"].as_i64()),
        (format!("spec.{values}.replicaCount"), value("replicaCount").and_then(Value::as_i64)),
    ];
    for (path, count) in counts {
        let object = plan.operator.clone();
        match count {
            Some(count) if count < 0 && is_scaled => {
                let message = format!("{count} is less than 0");
                found.push(Issue::error(object, path, Code::SCHEMA_VALIDATION_ERROR, message));
            }
            Some(count) if is_scaled && count > least => {
                let message = format!(
                    "it has no effect while there is an autoscaler: set {values}.autoscaleMin, or \
                     {values}.autoscaleEnabled to false"
                );
                found.push(Issue::warning(object, path, Code::SCHEMA_WARNING, message));
            }
            _ => {}
        }
    }
}
