//! Overlays: patches of rendered objects, as `k8s.overlays` has them. In: the overlays of a component
//! and its objects. Out: the objects patched, an issue for every patch that found nothing, and which patch an
//! API would refuse an object for.

use lateen_api::issue::{Code, Issue};
use serde_json::Value;

use super::{Refusal, refusals_of};
use crate::nearest::nearest;
use crate::path::{self, Missing, Step};
use crate::plan::Plan;
use crate::{misfits, yaml};

/// What came of overlays.
#[derive(Default)]
pub struct Applied {
    pub issues: Vec<Issue>,
    /// What objects would be refused for, with the patch's path.
    pub blamed: Vec<(Refusal, String)>,
}

/// An object after the patch at a path of the file.
struct Patched<'a> {
    at: String,
    patch: &'a Value,
    object: Value,
}

/// Applies the overlays of the component at `place` in order; a patch whose value is null removes.
pub fn apply(plan: &Plan, place: &str, overlays: &Value, objects: &mut [Value]) -> Applied {
    let mut applied = Applied::default();
    let overlays = overlays.as_array().into_iter().flatten().enumerate();
    for (at, overlay) in overlays.filter(|(_, overlay)| !overlay.is_null()) {
        let at = format!("{place}.k8s.overlays[{at}]");
        let mut tell = |path: String, message: String| {
            let code = Code::REFERENCED_RESOURCE_NOT_FOUND;
            applied.issues.push(Issue::error(plan.operator.clone(), path, code, message));
        };
        if let Some(field) = ["kind", "name"].iter().find(|field| !overlay[**field].is_string()) {
            tell(
                format!("{at}.{field}"),
                "it is missing: write which object is patched".to_owned(),
            );
            continue;
        }
        let Some(object) = objects.iter_mut().find(|object| is_meant(overlay, object)) else {
            tell(at, not_there(overlay, objects));
            continue;
        };
        let before = object.clone();
        let mut steps: Vec<Patched<'_>> = Vec::new();
        for (index, patch) in overlay["patches"].as_array().into_iter().flatten().enumerate() {
            let at = format!("{at}.patches[{index}]");
            let text = patch["path"].as_str().unwrap_or_default();
            match path::parse(text).and_then(|steps| patched(object, &steps, &patch["value"])) {
                Ok(after) => {
                    *object = after.clone();
                    steps.push(Patched { at, patch, object: after });
                }
                Err(reason) => tell(
                    format!("{at}.path"),
                    format!("{} {}: {reason}", title(&overlay["kind"]), title(&overlay["name"])),
                ),
            }
        }
        applied.blamed.extend(blame(&before, &steps));
    }
    applied
}

/// Each refusal of what the patches made of an object, with the last patch that brought it about.
fn blame(before: &Value, steps: &[Patched<'_>]) -> Vec<(Refusal, String)> {
    let Some(last) = steps.last() else { return Vec::new() };
    let mut left = refusals_of(&last.object);
    if left.is_empty() {
        return Vec::new();
    }
    let mut blamed = Vec::new();
    for at in (0..steps.len()).rev() {
        let earlier = at.checked_sub(1).map_or(before, |earlier| &steps[earlier].object);
        let known = refusals_of(earlier);
        let (old, new) = left.into_iter().partition(|refusal| known.contains(refusal));
        let new: Vec<Refusal> = new;
        blamed.extend(new.into_iter().map(|refusal| {
            let path = field(&steps[at], &refusal);
            (refusal, path)
        }));
        left = old;
    }
    blamed
}

/// The field of a patch that a refusal is about: its path, where that is what does not exist.
fn field(step: &Patched<'_>, refusal: &Refusal) -> String {
    let Patched { at, patch, .. } = step;
    let ends = |path: &str| path.ends_with(refusal.field());
    match refusal.is_of_unknown_field() && patch["path"].as_str().is_some_and(ends) {
        true => format!("{at}.path"),
        false if patch["value"].is_null() => at.clone(),
        false => format!("{at}.value"),
    }
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

/// A kind or a name.
fn title(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn not_there(overlay: &Value, objects: &[Value]) -> String {
    let both = |kind: &Value, name: &Value| format!("{} {}", title(kind), title(name));
    let wanted = both(&overlay["kind"], &overlay["name"]);
    let all: Vec<String> =
        objects.iter().map(|object| both(&object["kind"], &object["metadata"]["name"])).collect();
    match nearest(&wanted, all.iter().map(String::as_str)) {
        Some(other) => format!("there is no {wanted} in this component, did you mean {other}?"),
        None => format!("there is no {wanted} in this component, it has no objects"),
    }
}
