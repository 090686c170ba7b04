//! Strategic merge patch. In: the current object, the patch with its directives and the shape that
//! says which lists merge and by which key. Out: the merged object. The rules are those of the
//! Kubernetes page on strategic merge patch and the directives that kubectl writes.

use serde_json::{Map, Value};

use super::error::PatchError;
use super::order::{ItemKey, arrange, position};
use crate::openapi::shape::Shape;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const ORDER: &str = "$setElementOrder/";
const DELETE: &str = "$deleteFromPrimitiveList/";

/// Merges `patch` into `current` as `shape` says.
pub fn merge(current: Value, patch: &Value, shape: Shape<'_>) -> Result<Value, PatchError> {
    let Value::Object(patch) = patch else {
        return Err(PatchError::bad_request("invalid JSON document: a patch must be an object"));
    };
    let current = match current {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    merge_map(current, patch, shape).map(Value::Object)
}

fn merge_map(
    mut target: Map<String, Value>,
    patch: &Map<String, Value>,
    shape: Shape<'_>,
) -> Result<Map<String, Value>, PatchError> {
    match patch.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
        None | Some("merge") => {}
        Some("replace") => return Ok(plain_map(patch)),
        Some("delete") => return Ok(Map::new()),
        Some(other) => return Err(unknown_directive(other)),
    }
    retain_keys(&mut target, patch)?;
    for (key, value) in patch {
        if key == DIRECTIVE || key == RETAIN {
            continue;
        }
        if let Some(field) = key.strip_prefix(DELETE) {
            delete_primitives(&mut target, field, value)?;
        } else if let Some(field) = key.strip_prefix(ORDER) {
            if !patch.contains_key(field) {
                reorder(&mut target, field, value, shape.field(field))?;
            }
        } else {
            merge_field(&mut target, key, value, patch, shape.field(key))?;
        }
    }
    Ok(target)
}

fn merge_field(
    target: &mut Map<String, Value>,
    key: &str,
    value: &Value,
    patch: &Map<String, Value>,
    shape: Shape<'_>,
) -> Result<(), PatchError> {
    if value.is_null() {
        target.shift_remove(key);
        return Ok(());
    }
    let merged = match (target.get_mut(key).map(Value::take), value) {
        (Some(Value::Object(old)), Value::Object(new)) if !shape.patch_strategy("replace") => {
            Value::Object(merge_map(old, new, shape)?)
        }
        (Some(Value::Array(old)), Value::Array(new)) if shape.patch_merges() => {
            let order = patch.get(&format!("{ORDER}{key}")).and_then(Value::as_array);
            Value::Array(merge_list(old, new, order, shape)?)
        }
        (_, value) => plain(value),
    };
    target.insert(key.to_owned(), merged);
    Ok(())
}

fn unknown_directive(directive: &str) -> PatchError {
    PatchError::bad_request(format!("unknown patch type found: {directive}"))
}

/// Drops every field that `$retainKeys` does not list.
fn retain_keys(
    target: &mut Map<String, Value>,
    patch: &Map<String, Value>,
) -> Result<(), PatchError> {
    let Some(retained) = patch.get(RETAIN) else {
        return Ok(());
    };
    let bad = || {
        PatchError::bad_request("invalid patch format of retainKeys: a list of strings is expected")
    };
    let retained = retained.as_array().ok_or_else(bad)?;
    let kept = |key: &str| retained.iter().any(|name| name.as_str() == Some(key));
    let own = |key: &String| !key.starts_with('$');
    if patch.iter().any(|(key, value)| own(key) && !value.is_null() && !kept(key)) {
        return Err(PatchError::bad_request(
            "patch contains fields not present in the $retainKeys list",
        ));
    }
    target.retain(|key, _| kept(key));
    Ok(())
}

fn delete_primitives(
    target: &mut Map<String, Value>,
    field: &str,
    doomed: &Value,
) -> Result<(), PatchError> {
    let doomed = doomed.as_array().ok_or_else(|| {
        PatchError::bad_request("invalid patch format of primitive list: a list is expected")
    })?;
    if let Some(Value::Array(list)) = target.get_mut(field) {
        list.retain(|item| !doomed.contains(item));
    }
    Ok(())
}

fn reorder(
    target: &mut Map<String, Value>,
    field: &str,
    order: &Value,
    shape: Shape<'_>,
) -> Result<(), PatchError> {
    let order = order.as_array().ok_or_else(|| {
        PatchError::bad_request("invalid patch format of setElementOrder list: a list is expected")
    })?;
    if let Some(Value::Array(list)) = target.get_mut(field) {
        let before = list.clone();
        let items = std::mem::take(list);
        *list = arrange(items, &before, order, key_of(shape));
    }
    Ok(())
}

fn key_of(shape: Shape<'_>) -> ItemKey<'_> {
    match shape.patch_merge_key() {
        Some(key) if !key.is_empty() => ItemKey::Field(key),
        _ => ItemKey::Whole,
    }
}

fn merge_list(
    target: Vec<Value>,
    patch: &[Value],
    order: Option<&Vec<Value>>,
    shape: Shape<'_>,
) -> Result<Vec<Value>, PatchError> {
    let before = target.clone();
    let merged = match key_of(shape) {
        ItemKey::Field(key) => merge_objects(target, patch, key, shape.items())?,
        ItemKey::Whole => {
            let mut union = target;
            for item in patch {
                if !union.contains(item) {
                    union.push(item.clone());
                }
            }
            union
        }
    };
    Ok(match order {
        Some(order) => arrange(merged, &before, order, key_of(shape)),
        None => merged,
    })
}

fn merge_objects(
    mut target: Vec<Value>,
    patch: &[Value],
    key: &str,
    shape: Shape<'_>,
) -> Result<Vec<Value>, PatchError> {
    if patch.iter().any(|item| item[DIRECTIVE] == "replace") {
        let rest = patch.iter().filter(|item| item[DIRECTIVE] != "replace");
        return Ok(rest.map(plain).collect());
    }
    for item in patch {
        let fields = item.as_object().ok_or_else(|| {
            PatchError::bad_request("invalid patch: items of this list must be objects")
        })?;
        let id = fields.get(key).ok_or_else(|| {
            PatchError::bad_request(format!(
                "map: {item} does not contain declared merge key: {key}"
            ))
        })?;
        match fields.get(DIRECTIVE).map(|directive| directive.as_str().unwrap_or_default()) {
            Some("delete") => target.retain(|old| old.get(key) != Some(id)),
            None | Some("merge") => match position(&target, item, ItemKey::Field(key)) {
                Some(at) => {
                    let old = target[at].take();
                    target[at] = merge(old, item, shape)?;
                }
                None => target.push(plain(item)),
            },
            Some(other) => return Err(unknown_directive(other)),
        }
    }
    Ok(target)
}

/// A patch value that meets nothing to merge with: its directives go, and what they delete.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(plain_map(map)),
        Value::Array(list) => Value::Array(
            list.iter()
                .filter(|item| item[DIRECTIVE] != "delete" && item[DIRECTIVE] != "replace")
                .map(plain)
                .collect(),
        ),
        other => other.clone(),
    }
}

fn plain_map(map: &Map<String, Value>) -> Map<String, Value> {
    let directive = |key: &str| {
        key == DIRECTIVE || key == RETAIN || key.starts_with(ORDER) || key.starts_with(DELETE)
    };
    map.iter()
        .filter(|(key, value)| !directive(key) && !value.is_null())
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect()
}
