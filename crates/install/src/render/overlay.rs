//! Overlays: patches of rendered objects, as `k8s.overlays` has them. In: the overlays of a component
//! and its objects. Out: the objects patched, and an issue for every patch that found nothing.

use lateen_api::issue::{Code, Issue};
use serde_json::Value;

use super::Component;
use crate::nearest::nearest;
use crate::path::{self, Missing};
use crate::plan::Plan;

/// Applies the overlays in order; a patch whose value is null removes.
pub fn apply(
    plan: &Plan,
    component: Component,
    overlays: &Value,
    objects: &mut [Value],
) -> Vec<Issue> {
    let mut issues = Vec::new();
    for (at, overlay) in overlays.as_array().into_iter().flatten().enumerate() {
        let at = format!("spec.components.{}.k8s.overlays[{at}]", key(component));
        let mut tell = |path: String, message: String| {
            let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
            issues.push(Issue::error(plan.operator.clone(), path, code, message));
        };
        let Some(object) = objects.iter_mut().find(|object| is_meant(overlay, object)) else {
            tell(at, not_there(overlay, objects));
            continue;
        };
        for (index, patch) in overlay["patches"].as_array().into_iter().flatten().enumerate() {
            let text = patch["path"].as_str().unwrap_or_default();
            let done = path::parse(text).and_then(|steps| {
                path::set(object, &steps, patch["value"].clone(), Missing::Refuse)
            });
            if let Err(reason) = done {
                tell(format!("{at}.patches[{index}]"), reason);
            }
        }
    }
    issues
}

fn key(component: Component) -> &'static str {
    match component {
        Component::Base => "base",
        Component::Pilot => "pilot",
        Component::IngressGateways => "ingressGateways",
        Component::EgressGateways => "egressGateways",
    }
}

fn is_meant(overlay: &Value, object: &Value) -> bool {
    let version = overlay["apiVersion"].as_str().unwrap_or_default();
    overlay["kind"] == object["kind"]
        && overlay["name"] == object["metadata"]["name"]
        && (version.is_empty() || object["apiVersion"] == version)
}

fn not_there(overlay: &Value, objects: &[Value]) -> String {
    let name = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let title = |kind: &Value, object: &Value| format!("{} {}", name(kind), name(object));
    let wanted = title(&overlay["kind"], &overlay["name"]);
    let all: Vec<String> =
        objects.iter().map(|object| title(&object["kind"], &object["metadata"]["name"])).collect();
    match nearest(&wanted, all.iter().map(String::as_str)) {
        Some(other) => format!("there is no {wanted} in this component, did you mean {other}?"),
        None => format!("there is no {wanted} in this component, it has no objects"),
    }
}
