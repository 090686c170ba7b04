//! Paths into a tree of settings, as `--set` and `k8s.overlays` write them. In: text such as
//! `a.b[0].c`, `ports[name:http2].port`, `annotations.prometheus\.io/port`, and a tree. Out: the value
//! there, or the tree with another one.

mod set;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

pub use set::{Missing, set};

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    /// An item by its place; one past the end appends, as -1 does.
    Index(i64),
    /// The item whose field has this value; without a field, the item that has it.
    Select(String, String),
    /// The first item whose text contains this one, which may have `^`, `$` and `.*` as a regular
    /// expression has them.
    Contains(String),
}

/// Splits a path. A backslash takes the meaning from a dot, a bracket or a colon.
pub fn parse(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut key = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => key.extend(chars.next()),
            '.' => push_key(&mut steps, &mut key),
            '[' => {
                push_key(&mut steps, &mut key);
                steps.push(bracket(&mut chars).ok_or_else(|| {
                    format!(
                        "{text:?} has a bracket that is not [0], [name:value], [value] or [:value]"
                    )
                })?);
            }
            c => key.push(c),
        }
    }
    push_key(&mut steps, &mut key);
    match steps.is_empty() {
        true => Err("the path is empty".to_owned()),
        false => Ok(steps),
    }
}

fn push_key(steps: &mut Vec<Step>, key: &mut String) {
    if !key.is_empty() {
        steps.push(Step::Key(std::mem::take(key)));
    }
}

/// What stands between brackets, the first of which is read already.
fn bracket(chars: &mut std::str::Chars<'_>) -> Option<Step> {
    let (mut field, mut value) = (None, String::new());
    loop {
        match chars.next()? {
            '\\' => value.push(chars.next()?),
            ':' if field.is_none() => field = Some(std::mem::take(&mut value)),
            ']' => break,
            c => value.push(c),
        }
    }
    match field {
        Some(field) => Some(Step::Select(field, value)),
        None if value.is_empty() => None,
        // No list is as long as that.
        None if value.bytes().all(|byte| byte.is_ascii_digit()) && value.len() > 18 => None,
        None => Some(value.parse().map_or(Step::Contains(value), Step::Index)),
    }
}

/// Writes steps as a path again.
pub fn show(steps: &[Step]) -> String {
    let mut out = String::new();
    for step in steps {
        match step {
            Step::Key(key) => {
                let dot = if out.is_empty() { "" } else { "." };
                out.push_str(&format!("{dot}{}", key.replace('.', "\\.")));
            }
            Step::Index(index) => out.push_str(&format!("[{index}]")),
            Step::Select(field, value) => out.push_str(&format!("[{field}:{value}]")),
            Step::Contains(text) => out.push_str(&format!("[{text}]")),
        }
    }
    out
}

/// The value at a path of plain keys.
pub fn get<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(root, |value, key| value.get(key)).filter(|value| !value.is_null())
}

/// The value at a path with places of items, such as `a.b[0].c`, as checks tell of it. Keys may have dots in them, so
/// those that are there say how the path is to be read.
pub fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    let path = path.strip_prefix('.').unwrap_or(path);
    if let Some((index, rest)) = path.strip_prefix('[').and_then(|path| path.split_once(']')) {
        return at(value.get(index.parse::<usize>().ok()?)?, rest);
    }
    let fields = value.as_object()?;
    let mut keys: Vec<&String> = fields.keys().filter(|key| begins(path, key)).collect();
    keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
    keys.into_iter().find_map(|key| at(&fields[key.as_str()], &path[key.len()..]))
}

/// The same, to be changed; for paths of plain keys and places.
pub fn at_mut<'a>(value: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    let steps = path.split(['.', '[']).filter(|step| !step.is_empty());
    steps.into_iter().try_fold(value, |value, step| match step.strip_suffix(']') {
        Some(index) => value.get_mut(index.parse::<usize>().ok()?),
        None => value.get_mut(step),
    })
}

/// Whether a path's first step may be a key.
pub fn begins(path: &str, key: &str) -> bool {
    let rest = path.strip_prefix(key);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// A tree with nothing but a value at these steps, be it null. Items before one of a list are holes; of one far
/// behind the place is not kept.
pub fn nest(steps: &[Step], value: Value) -> Value {
    const FAR: i64 = 100;
    let Some((first, rest)) = steps.split_first() else { return value };
    let inner = nest(rest, value);
    match first {
        Step::Key(key) => json!({ key: inner }),
        Step::Index(index @ 0..=FAR) => (0..*index).map(|_| Value::Null).chain([inner]).collect(),
        Step::Select(field, wanted)
            if !field.is_empty() && inner.is_object() && inner.get(field).is_none() =>
        {
            let mut item = inner;
            item[field] = json!(wanted);
            json!([item])
        }
        Step::Index(_) | Step::Select(..) | Step::Contains(_) => json!([inner]),
    }
}

/// Removes and returns the value at a path of plain keys.
pub fn take(root: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    let keys = parent.split('.').filter(|key| !key.is_empty());
    let parent = keys.into_iter().try_fold(root, |value, key| value.get_mut(key))?;
    parent.as_object_mut()?.shift_remove(key)
}

/// Sets the value at a path of plain keys; objects on the way are made.
pub fn put(root: &mut Value, path: &str, value: Value) {
    let steps: Vec<Step> = path.split('.').map(|key| Step::Key(key.to_owned())).collect();
    // Keys alone fail only where a scalar is in the way, which the check of types has refused.
    let _ = set(root, &steps, value, Missing::Make);
}

/// A value's type, for people.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
