//! Server-side apply. In: the live object (if any), the applied configuration, who applies. Out: the
//! merged object with its owners, or the conflicts with other managers.

use std::collections::BTreeMap;

use lateen_api::kinds::Kind;
use serde_json::{Map, Value, json};

use super::error::{Cause, PatchError};
use super::fields::{Changes, FieldSet, MissingKey, Path, compare, display, steps};
use super::managed::{self, APPLY, Entry, UPDATE};
use super::{LAST_APPLIED, PatchContext};
use crate::openapi::shape::{ListType, Shape};

/// Applies `config` for `ctx.manager`.
pub fn apply(
    kind: &Kind,
    shape: Shape<'_>,
    config: Value,
    current: Option<&Value>,
    ctx: &PatchContext<'_>,
) -> Result<Value, PatchError> {
    let config = checked(kind, config, ctx)?;
    let typed = |error: MissingKey| {
        PatchError::bad_request(format!(
            "failed to create typed patch object ({}; {}, Kind={}): {error}",
            object_name(&config),
            ctx.api_version,
            kind.kind
        ))
    };
    let live = current.map(managed::without_entries).unwrap_or_else(|| json!({}));
    let named = FieldSet::of(&config, shape).map_err(typed)?;
    let mut set = named.clone();
    managed::strip(&mut set, kind, ctx.subresource);
    let mut entries = current.map(managed::read).unwrap_or_default();
    if entries.is_empty() && current.is_some() {
        entries.extend(before_first_apply(kind, shape, &live, ctx));
    }
    let this = Entry {
        manager: ctx.manager.to_owned(),
        operation: APPLY.to_owned(),
        api_version: ctx.api_version.to_owned(),
        subresource: ctx.subresource.unwrap_or_default().to_owned(),
        time: ctx.now.to_owned(),
        fields: set,
    };
    let (last, mut others) = split(entries, &this);
    let merged = merge(&live, &config, shape, &mut Vec::new()).map_err(typed)?;
    let mut pruned = prune_unowned(merged, last.as_ref(), &others, named, shape);
    let changes = compare(&live, &pruned, shape).map_err(typed)?;
    settle(&mut others, &changes, current, shape, ctx)?;
    update_last_applied(&mut pruned, &config, ctx);
    let unchanged = current.is_some() && pruned == live;
    if let (true, Some(current), Some(last)) = (unchanged, current, &last)
        && last.fields == this.fields
        && last.api_version == this.api_version
    {
        return Ok(current.clone());
    }
    others.push(this);
    managed::write(&mut pruned, others);
    Ok(pruned)
}

fn object_name(object: &Value) -> String {
    let text = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", text("namespace"), text("name"))
}

/// Refuses what no applied configuration may say and drops what this endpoint ignores.
fn checked(kind: &Kind, config: Value, ctx: &PatchContext<'_>) -> Result<Value, PatchError> {
    if ctx.manager.is_empty() {
        return Err(PatchError {
            code: 422,
            reason: "Invalid",
            message: "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is \
                      required for apply patch"
                .to_owned(),
            causes: vec![Cause {
                reason: "FieldValueRequired",
                message: "Required value: is required for apply patch".to_owned(),
                field: "fieldManager".to_owned(),
            }],
        });
    }
    let version = config["apiVersion"].as_str().unwrap_or_default();
    if version != ctx.api_version {
        return Err(PatchError::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {version}, \
             expected: {}",
            ctx.api_version
        )));
    }
    let managed = &config["metadata"]["managedFields"];
    if managed.as_array().is_some_and(|entries| !entries.is_empty()) {
        return Err(PatchError::bad_request("metadata.managedFields must be nil"));
    }
    let mut config = without_nulls(config);
    if let Value::Object(map) = &mut config {
        match ctx.subresource {
            Some("status") => {
                map.retain(|key, _| {
                    matches!(key.as_str(), "apiVersion" | "kind" | "metadata" | "status")
                });
            }
            _ if kind.status => {
                map.shift_remove("status");
            }
            _ => {}
        }
    }
    Ok(config)
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_nulls(value)))
                .collect(),
        ),
        Value::Array(list) => Value::Array(list.into_iter().map(without_nulls).collect()),
        other => other,
    }
}

/// An object written before anybody tracked its owners belongs to a manager of this name.
fn before_first_apply(
    kind: &Kind,
    shape: Shape<'_>,
    live: &Value,
    ctx: &PatchContext<'_>,
) -> Option<Entry> {
    let mut fields = FieldSet::of(live, shape).ok()?;
    managed::strip(&mut fields, kind, None);
    Some(Entry {
        manager: "before-first-apply".to_owned(),
        operation: UPDATE.to_owned(),
        api_version: live["apiVersion"].as_str().unwrap_or_default().to_owned(),
        subresource: String::new(),
        time: ctx.now.to_owned(),
        fields,
    })
}

fn split(entries: Vec<Entry>, this: &Entry) -> (Option<Entry>, Vec<Entry>) {
    let (mut own, others): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.same_manager(this));
    (own.pop(), others)
}

/// Lays `config` over `live`. Lists keep live-only items where they are.
fn merge(
    live: &Value,
    config: &Value,
    shape: Shape<'_>,
    path: &mut Path,
) -> Result<Value, MissingKey> {
    match (live, config) {
        (Value::Object(old), Value::Object(new)) if !shape.is_atomic_map() => {
            let mut out = old.clone();
            for (key, value) in new {
                path.push(format!("f:{key}"));
                let merged = match old.get(key) {
                    Some(old) => merge(old, value, shape.field(key), path)?,
                    None => value.clone(),
                };
                path.pop();
                out.insert(key.clone(), merged);
            }
            Ok(Value::Object(out))
        }
        (Value::Array(old), Value::Array(new)) if shape.list_type() != ListType::Atomic => {
            let (old, new) = (steps(old, shape, path)?, steps(new, shape, path)?);
            merge_items(&old, &new, shape, path).map(Value::Array)
        }
        _ => Ok(config.clone()),
    }
}

fn merge_items(
    old: &[(String, &Value)],
    new: &[(String, &Value)],
    shape: Shape<'_>,
    path: &mut Path,
) -> Result<Vec<Value>, MissingKey> {
    let in_new = |step: &str| new.iter().any(|(other, _)| other == step);
    let mut out = Vec::new();
    let mut left = old.iter().peekable();
    for (step, value) in new {
        // Live-only items that stand before the next shared one keep their place.
        while let Some((_, kept)) = left.next_if(|(step, _)| !in_new(step)) {
            out.push((*kept).clone());
        }
        let merged = match old.iter().find(|(other, _)| other == step) {
            Some((_, live)) => {
                path.push(step.clone());
                let merged = merge(live, value, shape.items(), path)?;
                path.pop();
                left.next_if(|(other, _)| other == step);
                merged
            }
            None => (*value).clone(),
        };
        out.push(merged);
    }
    out.extend(left.filter(|(step, _)| !in_new(step)).map(|(_, kept)| (*kept).clone()));
    Ok(out)
}

/// Removes what the applier owned last time, does not name now and nobody else owns. What stands below goes
/// with it: whoever owns but a part of a list item or of a free map's value does not keep the whole.
fn prune_unowned(
    merged: Value,
    last: Option<&Entry>,
    others: &[Entry],
    named: FieldSet,
    shape: Shape<'_>,
) -> Value {
    let Some(last) = last else {
        return merged;
    };
    let mut owned = Owned { last: &last.fields, now: named };
    for other in others {
        owned.now.extend(&other.fields);
    }
    let mut merged = merged;
    owned.prune(&mut merged, shape, &mut Vec::new());
    merged
}

/// What the applier owned last time, and what anybody owns now.
struct Owned<'a> {
    last: &'a FieldSet,
    now: FieldSet,
}

impl Owned<'_> {
    fn prune(&self, value: &mut Value, shape: Shape<'_>, path: &mut Path) {
        let mut stays = |step: String, child: &mut Value, below: Shape<'_>, declared: bool| {
            path.push(step);
            let stays = !self.is_dropped(path, declared);
            if stays && self.last.has_below(path) {
                self.prune(child, below, path);
            }
            path.pop();
            stays
        };
        match value {
            Value::Object(map) if !shape.is_atomic_map() => {
                map.retain(|key, child| {
                    stays(format!("f:{key}"), child, shape.field(key), shape.declares(key))
                });
            }
            Value::Array(list) if shape.list_type() != ListType::Atomic => {
                let names: Vec<String> = match steps(list, shape, &[]) {
                    Ok(steps) => steps.into_iter().map(|(step, _)| step).collect(),
                    Err(_) => return,
                };
                let mut names = names.into_iter();
                list.retain_mut(|item| {
                    let step = names.next().expect("invariant: one step for each item");
                    stays(step, item, shape.items(), false)
                });
            }
            _ => {}
        }
    }

    /// A field that the schema declares is owned with anything below it; a list item and a key of a free
    /// map only by itself.
    fn is_dropped(&self, path: &[String], declared: bool) -> bool {
        let owns = |set: &FieldSet| set.contains(path) || (declared && set.has_below(path));
        owns(self.last) && !owns(&self.now)
    }
}

/// Takes the changed fields from their owners when forced, else reports them as conflicts.
fn settle(
    others: &mut [Entry],
    changes: &Changes,
    current: Option<&Value>,
    shape: Shape<'_>,
    ctx: &PatchContext<'_>,
) -> Result<(), PatchError> {
    let mut gained = changes.added.clone();
    gained.extend(&changes.modified);
    let applied_before = last_applied_set(current, shape, ctx);
    let mut conflicts: Vec<(String, Path)> = Vec::new();
    for entry in others.iter() {
        let migrates = entry.operation == UPDATE && entry.manager == "kubectl-client-side-apply";
        for path in gained.iter().filter(|path| entry.fields.contains(path)) {
            if !(migrates && applied_before.contains(path)) {
                conflicts.push((describe(entry), path.clone()));
            }
        }
    }
    if !conflicts.is_empty() && !ctx.force {
        return Err(conflict_error(&conflicts));
    }
    for entry in others {
        entry.fields.subtract(&gained);
        entry.fields.subtract(&changes.removed);
    }
    Ok(())
}

fn describe(entry: &Entry) -> String {
    let mut text = format!("{:?}", entry.manager);
    if !entry.subresource.is_empty() {
        text.push_str(&format!(" with subresource {:?}", entry.subresource));
    }
    if entry.operation == UPDATE {
        text.push_str(&format!(" using {}", entry.api_version));
    }
    text
}

fn conflict_error(conflicts: &[(String, Path)]) -> PatchError {
    let causes = conflicts
        .iter()
        .map(|(manager, path)| Cause {
            reason: "FieldManagerConflict",
            message: format!("conflict with {manager}"),
            field: display(path),
        })
        .collect();
    if let [(manager, path)] = conflicts {
        let message =
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", display(path));
        return PatchError::conflict(message, causes);
    }
    let mut by_manager: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (manager, path) in conflicts {
        by_manager.entry(manager).or_default().push(format!("- {}", display(path)));
    }
    let lines: Vec<String> = by_manager
        .iter()
        .map(|(manager, paths)| format!("conflicts with {manager}:\n{}", paths.join("\n")))
        .collect();
    let message = format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"));
    PatchError::conflict(message, causes)
}

/// What `kubectl apply` set before it applied on the server: those fields are its own to change.
fn last_applied_set(current: Option<&Value>, shape: Shape<'_>, ctx: &PatchContext<'_>) -> FieldSet {
    if ctx.manager != "kubectl" {
        return FieldSet::default();
    }
    current
        .and_then(|object| object["metadata"]["annotations"][LAST_APPLIED].as_str())
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .and_then(|config| FieldSet::of(&config, shape).ok())
        .unwrap_or_default()
}

/// Keeps the annotation of client-side apply true, so that going back to it loses nothing.
fn update_last_applied(object: &mut Value, config: &Value, ctx: &PatchContext<'_>) {
    if ctx.manager != "kubectl" || ctx.subresource.is_some() {
        return;
    }
    let Some(annotation) = object
        .get_mut("metadata")
        .and_then(|metadata| metadata.get_mut("annotations"))
        .and_then(|annotations| annotations.get_mut(LAST_APPLIED))
    else {
        return;
    };
    let mut config = config.clone();
    if let Some(Value::Object(annotations)) = config.pointer_mut("/metadata/annotations") {
        annotations.shift_remove(LAST_APPLIED);
    }
    *annotation = Value::from(format!("{}\n", sorted(config)));
}

/// Keys in order, as kubectl writes the annotation.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let ordered: BTreeMap<String, Value> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(ordered.into_iter().collect::<Map<_, _>>())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(sorted).collect()),
        other => other,
    }
}
