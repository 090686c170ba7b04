//! Strategic merge of pods and containers, as the API server does it for patches. In: a pod or a
//! container and an overlay. Out: the first one, changed. Lists that Kubernetes merges by a key keep
//! their order, with new items at the end; other lists are replaced.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// The patch merge keys of everything in a pod (the field's name is enough within one).
fn merge_key(field: &str) -> Option<&'static str> {
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets" => Some("name"),
        "ports" => Some("containerPort"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "hostAliases" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

/// Merges `overlay` into `base`; a null removes a field, `$patch: replace` and `$patch: delete` do what
/// they do in a patch.
pub fn merge(base: &mut Value, overlay: &Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => merge_maps(base, overlay),
        (base, overlay) => *base = plain(overlay),
    }
}

fn merge_maps(base: &mut Map<String, Value>, overlay: &Map<String, Value>) {
    if overlay.get("$patch").is_some_and(|directive| directive == "replace") {
        base.clear();
    }
    for (field, value) in overlay.iter().filter(|(field, _)| !field.starts_with('$')) {
        match (base.get_mut(field), value) {
            (_, Value::Null) => {
                base.shift_remove(field);
            }
            (Some(Value::Array(items)), Value::Array(overlay)) => match merge_key(field) {
                Some(key) => merge_lists(items, overlay, key, field),
                None => *items = overlay.iter().map(plain).collect(),
            },
            (Some(old), value) => merge(old, value),
            (None, value) => {
                base.insert(field.clone(), plain(value));
            }
        }
    }
}

fn merge_lists(items: &mut Vec<Value>, overlay: &[Value], key: &str, field: &str) {
    if overlay.iter().any(|item| item["$patch"] == "replace") {
        items.clear();
    }
    let identity = |item: &Value| item[key].to_string();
    let mut slots: Vec<Option<Value>> = Vec::with_capacity(items.len() + overlay.len());
    let mut places = HashMap::new();
    for item in items.drain(..) {
        places.entry(identity(&item)).or_insert(slots.len());
        slots.push(Some(item));
    }
    for item in overlay {
        let at = places.get(&identity(item)).copied();
        match (at, item["$patch"].as_str()) {
            (Some(at), Some("delete")) => {
                slots[at] = None;
                places.remove(&identity(item));
            }
            (None, Some("delete")) => {}
            (_, Some("replace")) if item[key].is_null() => {}
            (Some(at), _) if has_one_source(field, item) => slots[at] = Some(plain(item)),
            (Some(at), _) => {
                if let Some(old) = &mut slots[at] {
                    merge(old, item);
                }
            }
            (None, _) => {
                places.insert(identity(item), slots.len());
                slots.push(Some(plain(item)));
            }
        }
    }
    items.extend(slots.into_iter().flatten());
}

/// Whether nothing is kept of what an item was: a volume has one source, and so has a variable.
fn has_one_source(field: &str, item: &Value) -> bool {
    match field {
        "volumes" => true,
        "env" => !item["value"].is_null() || !item["valueFrom"].is_null(),
        _ => false,
    }
}

/// An overlay's value without directives and nulls.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .filter(|(field, value)| !field.starts_with('$') && !value.is_null())
            .map(|(field, value)| (field.clone(), plain(value)))
            .collect(),
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
