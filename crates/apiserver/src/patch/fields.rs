//! Sets of field paths, as server-side apply keeps them in `metadata.managedFields`. In: values with
//! their shape, or FieldsV1 documents. Out: sets, what changed between two values, FieldsV1 again.
//!
//! A path is a list of steps in FieldsV1's own spelling: `f:name` a field, `k:{"port":80}` an item of
//! a keyed list, `v:"x"` an item of a set.

use std::collections::BTreeSet;
use std::ops::Bound;

use serde_json::{Map, Value};

use crate::openapi::shape::{ListType, Shape};

pub type Path = Vec<String>;

/// A set of paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet(BTreeSet<Path>);

/// What differs between two values, by path.
#[derive(Debug, Default)]
pub struct Changes {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

/// A list item without a field that tells items apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path}: element {index}: associative list with keys has an element that omits key field \
     {key:?} (and doesn't have default value)"
)]
pub struct MissingKey {
    path: String,
    index: usize,
    key: String,
}

impl FieldSet {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn contains(&self, path: &[String]) -> bool {
        self.0.contains(path)
    }

    /// Whether the set holds a path strictly below `path`.
    pub fn has_below(&self, path: &[String]) -> bool {
        self.0
            .range::<[String], _>((Bound::Excluded(path), Bound::Unbounded))
            .next()
            .is_some_and(|next| next.starts_with(path))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Path> {
        self.0.iter()
    }

    pub fn extend(&mut self, other: &FieldSet) {
        self.0.extend(other.0.iter().cloned());
    }

    pub fn subtract(&mut self, other: &FieldSet) {
        self.0.retain(|path| !other.0.contains(path));
    }

    pub fn retain(&mut self, keep: impl FnMut(&Path) -> bool) {
        self.0.retain(keep);
    }

    /// Every path that `value` sets: leaves, list items, empty maps and keys of free maps.
    pub fn of(value: &Value, shape: Shape<'_>) -> Result<FieldSet, MissingKey> {
        let mut set = FieldSet::default();
        collect(value, shape, &mut Vec::new(), &mut set)?;
        Ok(set)
    }

    /// Reads a FieldsV1 document; what is not an object counts as empty.
    pub fn from_v1(document: &Value) -> FieldSet {
        let mut set = FieldSet::default();
        decode(document, &mut Vec::new(), &mut set);
        set
    }

    /// Writes the FieldsV1 document.
    pub fn to_v1(&self) -> Value {
        let mut root = Map::new();
        for path in &self.0 {
            let mut node = &mut root;
            for (depth, step) in path.iter().enumerate() {
                if node.is_empty() && depth > 0 && self.0.contains(&path[..depth]) {
                    node.insert(".".to_owned(), Value::Object(Map::new()));
                }
                node = node
                    .entry(step.clone())
                    .or_insert_with(|| Value::Object(Map::new()))
                    .as_object_mut()
                    .expect("invariant: only objects are inserted");
            }
        }
        Value::Object(root)
    }
}

fn decode(document: &Value, path: &mut Path, set: &mut FieldSet) {
    let Some(map) = document.as_object() else { return };
    if (map.is_empty() || map.contains_key(".")) && !path.is_empty() {
        set.0.insert(path.clone());
    }
    for (step, below) in map.iter().filter(|(step, _)| *step != ".") {
        path.push(step.clone());
        decode(below, path, set);
        path.pop();
    }
}

fn collect(
    value: &Value,
    shape: Shape<'_>,
    path: &mut Path,
    set: &mut FieldSet,
) -> Result<(), MissingKey> {
    match value {
        Value::Object(map) if !shape.is_atomic_map() => {
            for (key, child) in map {
                path.push(format!("f:{key}"));
                let empty = child.as_object().is_some_and(Map::is_empty);
                if child.is_null() || empty || !shape.declares(key) {
                    set.0.insert(path.clone());
                }
                collect(child, shape.field(key), path, set)?;
                path.pop();
            }
        }
        Value::Array(list) if shape.list_type() != ListType::Atomic => {
            for (step, item) in steps(list, shape, path)? {
                path.push(step);
                set.0.insert(path.clone());
                collect(item, shape.items(), path, set)?;
                path.pop();
            }
        }
        Value::Null => {}
        _ => {
            set.0.insert(path.clone());
        }
    }
    Ok(())
}

/// Each item of a keyed list or set with its step.
pub fn steps<'v>(
    list: &'v [Value],
    shape: Shape<'_>,
    path: &[String],
) -> Result<Vec<(String, &'v Value)>, MissingKey> {
    let items = shape.items();
    let mut out = Vec::with_capacity(list.len());
    for (index, item) in list.iter().enumerate() {
        let step = match shape.list_type() {
            ListType::Map(keys) => key_step(item, &keys, items).map_err(|key| MissingKey {
                path: display(path),
                index,
                key: key.to_owned(),
            })?,
            ListType::Set | ListType::Atomic => format!("v:{item}"),
        };
        out.push((step, item));
    }
    Ok(out)
}

/// `k:{…}` with the keys sorted; the error is the name of a missing key.
fn key_step<'k>(item: &Value, keys: &[&'k str], shape: Shape<'_>) -> Result<String, &'k str> {
    let mut sorted: Vec<&'k str> = keys.to_vec();
    sorted.sort_unstable();
    let mut id = Map::new();
    for key in sorted {
        let value = match item.get(key).filter(|value| !value.is_null()) {
            Some(value) => value.clone(),
            None => default_of(key, shape).ok_or(key)?,
        };
        id.insert(key.to_owned(), value);
    }
    Ok(format!("k:{}", Value::Object(id)))
}

/// The value that an absent key stands for. Kubernetes' schema declares TCP for every `protocol`
/// that is a list key; the definitions here may lack the `default` keyword.
fn default_of(key: &str, shape: Shape<'_>) -> Option<Value> {
    let declared = shape.field(key).keyword("default").cloned();
    declared.or_else(|| (key == "protocol").then(|| Value::from("TCP")))
}

/// What changed from `old` to `new`.
pub fn compare(old: &Value, new: &Value, shape: Shape<'_>) -> Result<Changes, MissingKey> {
    let mut changes = Changes::default();
    walk(Some(old), Some(new), shape, &mut Vec::new(), &mut changes)?;
    Ok(changes)
}

fn walk(
    old: Option<&Value>,
    new: Option<&Value>,
    shape: Shape<'_>,
    path: &mut Path,
    changes: &mut Changes,
) -> Result<(), MissingKey> {
    let old = old.filter(|value| !value.is_null());
    let new = new.filter(|value| !value.is_null());
    let target = match (old, new) {
        (None, None) => return Ok(()),
        (Some(a), Some(b)) if a == b => return Ok(()),
        (None, Some(_)) => &mut changes.added,
        (Some(_), None) => &mut changes.removed,
        (Some(a), Some(b)) if descends(a, b, shape) => {
            return children(old, new, shape, path, changes);
        }
        (Some(_), Some(_)) => &mut changes.modified,
    };
    if !path.is_empty() {
        target.0.insert(path.clone());
    }
    match old.xor(new) {
        Some(one) if descends(one, one, shape) => children(old, new, shape, path, changes),
        _ => Ok(()),
    }
}

/// Whether both values are compared child by child.
fn descends(a: &Value, b: &Value, shape: Shape<'_>) -> bool {
    match (a, b) {
        (Value::Object(_), Value::Object(_)) => !shape.is_atomic_map(),
        (Value::Array(_), Value::Array(_)) => shape.list_type() != ListType::Atomic,
        _ => false,
    }
}

fn children(
    old: Option<&Value>,
    new: Option<&Value>,
    shape: Shape<'_>,
    path: &mut Path,
    changes: &mut Changes,
) -> Result<(), MissingKey> {
    let before = child_steps(old, shape, path)?;
    let after = child_steps(new, shape, path)?;
    let find = |list: &[(String, &'_ Value)], step: &str| list.iter().position(|(s, _)| s == step);
    for (step, value) in &before {
        let next = find(&after, step).map(|at| after[at].1);
        descend(step, Some(value), next, shape, path, changes)?;
    }
    for (step, value) in after.iter().filter(|(step, _)| find(&before, step).is_none()) {
        descend(step, None, Some(value), shape, path, changes)?;
    }
    Ok(())
}

fn descend(
    step: &str,
    old: Option<&Value>,
    new: Option<&Value>,
    shape: Shape<'_>,
    path: &mut Path,
    changes: &mut Changes,
) -> Result<(), MissingKey> {
    let below = match step.strip_prefix("f:") {
        Some(name) => shape.field(name),
        None => shape.items(),
    };
    path.push(step.to_owned());
    let done = walk(old, new, below, path, changes);
    path.pop();
    done
}

fn child_steps<'v>(
    value: Option<&'v Value>,
    shape: Shape<'_>,
    path: &[String],
) -> Result<Vec<(String, &'v Value)>, MissingKey> {
    match value {
        Some(Value::Object(map)) => {
            Ok(map.iter().map(|(key, child)| (format!("f:{key}"), child)).collect())
        }
        Some(Value::Array(list)) => steps(list, shape, path),
        _ => Ok(Vec::new()),
    }
}

/// A path as messages show it: `.spec.ports[port=80,protocol="TCP"].name`.
pub fn display(path: &[String]) -> String {
    let mut out = String::new();
    for step in path {
        if let Some(name) = step.strip_prefix("f:") {
            out.push('.');
            out.push_str(name);
        } else if let Some(key) = step.strip_prefix("k:") {
            let fields: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
            let pairs: Vec<String> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
            out.push_str(&format!("[{}]", pairs.join(",")));
        } else if let Some(value) = step.strip_prefix("v:") {
            out.push_str(&format!("[={value}]"));
        }
    }
    out
}
