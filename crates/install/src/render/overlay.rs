//! Overlays: patches of rendered objects, as `k8s.overlays` has them. In: the overlays of a component
//! and its objects. Out: the objects patched, and an issue for every patch that found nothing.

use lateen_api::issue::{Code, Issue};
use serde_json::Value;

use crate::nearest::nearest;
use crate::path::{self, Missing, Step};
use crate::plan::Plan;
use crate::{misfits, yaml};

/// Applies the overlays of the component at `place` in order; a patch whose value is null removes.
pub fn apply(plan: &Plan, place: &str, overlays: &Value, objects: &mut [Value]) -> Vec<Issue> {
    let mut issues = Vec::new();
    for (at, overlay) in overlays.as_array().into_iter().flatten().enumerate() {
        let at = format!("{place}.k8s.overlays[{at}]");
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
            match path::parse(text).and_then(|steps| patched(object, &steps, &patch["value"])) {
                Ok(after) => *object = after,
                Err(reason) => tell(format!("{at}.patches[{index}]"), reason),
            }
        }
    }
    issues
}

/// The object with one patch. What a file writes as a text may be meant as YAML, which Istio asks for
/// where an object is set: the kind's own definition says which of the two belongs there.
fn patched(object: &Value, steps: &[Step], value: &Value) -> Result<Value, String> {
    let with = |value: Value| {
        let mut object = object.clone();
        path::set(&mut object, steps, value, Missing::Refuse).map(|()| object)
    };
    let plain = with(value.clone())?;
    let Some(parsed) = value.as_str().and_then(yaml::parsed) else { return Ok(plain) };
    let is_object = parsed.is_object();
    let parsed = with(parsed)?;
    let (text, yaml) = (misfits(&plain).len(), misfits(&parsed).len());
    Ok(if yaml < text || (is_object && yaml == text) { parsed } else { plain })
}

/// As in Istio, the version does not matter: old files name versions that are not served any more.
fn is_meant(overlay: &Value, object: &Value) -> bool {
    overlay["kind"] == object["kind"] && overlay["name"] == object["metadata"]["name"]
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
