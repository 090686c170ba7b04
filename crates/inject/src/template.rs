//! Which templates a pod is injected with. In: the annotation `inject.istio.io/templates` and the
//! settings. Out: the built-in one and the overlays to merge, or why there is none.

use std::collections::HashSet;

use serde_json::Value;

use crate::settings::{Settings, Template};
use crate::{PROXY_CONTAINER, merge, pod};

/// What is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    Sidecar,
    Gateway,
}

/// The templates of one pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Templates<'a> {
    pub built_in: Option<BuiltIn>,
    pub overlays: Vec<&'a Value>,
}

/// The templates by name, `names` being the annotation; the error says what to change.
pub fn select<'a>(names: Option<&str>, settings: &'a Settings) -> Result<Templates<'a>, String> {
    let wanted: Vec<&str> = match names {
        Some(names) => names.split(',').map(str::trim).collect(),
        None => settings.default_templates.iter().map(String::as_str).collect(),
    };
    let mut templates = Templates::default();
    for name in once(wanted.iter().flat_map(|name| resolve(name, settings)).collect()) {
        let built_in = match name {
            "sidecar" => BuiltIn::Sidecar,
            "gateway" => BuiltIn::Gateway,
            _ => {
                templates.overlays.push(overlay(name, settings)?);
                continue;
            }
        };
        if templates.built_in.replace(built_in).is_some_and(|other| other != built_in) {
            return Err("sidecar and gateway exclude each other: name one of them".to_owned());
        }
    }
    Ok(templates)
}

fn resolve<'a>(name: &'a str, settings: &'a Settings) -> Vec<&'a str> {
    match settings.aliases.get(name) {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => vec![name],
    }
}

/// Each name where it is last, which is where it counts: one overlay is merged once.
fn once(names: Vec<&str>) -> Vec<&str> {
    let mut seen = HashSet::new();
    let mut last: Vec<&str> = names.into_iter().rev().filter(|name| seen.insert(*name)).collect();
    last.reverse();
    last
}

fn overlay<'a>(name: &str, settings: &'a Settings) -> Result<&'a Value, String> {
    match settings.templates.get(name) {
        Some(Template::Overlay(overlay)) => Ok(overlay),
        Some(Template::Refused(why)) => Err(format!("the template {name:?} {why}")),
        None => {
            let mut known = vec!["sidecar", "gateway"];
            known.extend(settings.templates.keys().map(String::as_str));
            Err(format!("there is no template {name:?}: there are {}", known.join(", ")))
        }
    }
}

/// Merges an overlay into a pod. What it says of the proxy goes to where the proxy is.
pub fn apply(pod: &mut Value, overlay: &Value) {
    let native = pod::find(pod::list(pod, "initContainers"), PROXY_CONTAINER).is_some();
    let (from, to) =
        if native { ("containers", "initContainers") } else { ("initContainers", "containers") };
    if pod::find(pod::list(overlay, from), PROXY_CONTAINER).is_none() {
        return merge::merge(pod, overlay);
    }
    let mut overlay = overlay.clone();
    let list = pod::list_mut(&mut overlay, from);
    let (proxy, rest) = list.drain(..).partition(|item| pod::name(item) == PROXY_CONTAINER);
    *list = rest;
    pod::list_mut(&mut overlay, to).extend::<Vec<Value>>(proxy);
    merge::merge(pod, &overlay);
}

#[cfg(test)]
mod tests;
