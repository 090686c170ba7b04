//! Sets values in a tree of settings. In: a tree, steps into it, a value. Out: the tree with the value,
//! or why there is no place for it.

use serde_json::{Map, Value};

use super::{Step, kind, show};

/// Whether a list's item that is selected and is not there is made: settings are built up, finished
/// objects are patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Make,
    Refuse,
}

/// Sets the value at `steps`; null removes what is there.
pub fn set(root: &mut Value, steps: &[Step], value: Value, missing: Missing) -> Result<(), String> {
    let Some((last, way)) = steps.split_last() else { return Err("the path is empty".to_owned()) };
    let mut at = root;
    for (depth, step) in way.iter().enumerate() {
        let next = &steps[depth + 1];
        at = enter(at, step, next, missing)
            .map_err(|reason| format!("{}: {reason}", show(&steps[..=depth])))?;
    }
    place(at, last, value, missing).map_err(|reason| format!("{}: {reason}", show(steps)))
}

/// The value behind one step; `next` tells what an absent one must be.
fn enter<'a>(
    at: &'a mut Value,
    step: &Step,
    next: &Step,
    missing: Missing,
) -> Result<&'a mut Value, String> {
    let empty = match next {
        Step::Key(_) => Value::Object(Map::new()),
        Step::Index(_) | Step::Select(..) | Step::Contains(_) => Value::Array(Vec::new()),
    };
    let inner = match step {
        Step::Key(key) => object(at)?.entry(key.clone()).or_insert(Value::Null),
        Step::Index(index) => {
            let items = list(at)?;
            let index = position(items, *index, missing)?;
            if index == items.len() {
                items.push(Value::Null);
            }
            &mut items[index]
        }
        Step::Select(field, wanted) => {
            let items = list(at)?;
            let index = match find(items, field, wanted) {
                Some(index) => index,
                None if missing == Missing::Make && !field.is_empty() => {
                    items.push(serde_json::json!({ field: wanted }));
                    items.len() - 1
                }
                None => return Err(not_there(items, field)),
            };
            &mut items[index]
        }
        Step::Contains(text) => {
            let items = list(at)?;
            let index = containing(items, text).ok_or_else(|| not_there(items, ""))?;
            &mut items[index]
        }
    };
    if inner.is_null() {
        *inner = empty;
    }
    Ok(inner)
}

fn place(at: &mut Value, step: &Step, value: Value, missing: Missing) -> Result<(), String> {
    match step {
        Step::Key(key) => {
            let fields = object(at)?;
            match (fields.get_mut(key), value) {
                (_, Value::Null) => drop(fields.shift_remove(key)),
                // As in Istio: what is set on a list is one more of its items.
                (Some(Value::Array(items)), value)
                    if missing == Missing::Refuse && !value.is_array() =>
                {
                    items.push(value);
                }
                (_, value) => drop(fields.insert(key.clone(), value)),
            }
        }
        Step::Index(index) => {
            let items = list(at)?;
            let index = position(items, *index, missing)?;
            replace(items, index, value);
        }
        Step::Select(field, wanted) => {
            let items = list(at)?;
            match find(items, field, wanted) {
                Some(index) => replace(items, index, value),
                None if missing == Missing::Make && !value.is_null() => items.push(value),
                None => return Err(not_there(items, field)),
            }
        }
        Step::Contains(text) => {
            let items = list(at)?;
            let index = containing(items, text).ok_or_else(|| not_there(items, ""))?;
            replace(items, index, value);
        }
    }
    Ok(())
}

fn replace(items: &mut Vec<Value>, index: usize, value: Value) {
    match (value, index == items.len()) {
        (Value::Null, true) => {}
        (Value::Null, false) => drop(items.remove(index)),
        (value, true) => items.push(value),
        (value, false) => items[index] = value,
    }
}

fn object(value: &mut Value) -> Result<&mut Map<String, Value>, String> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    let found = kind(value);
    value.as_object_mut().ok_or_else(|| format!("it is {found} and has no fields"))
}

fn list(value: &mut Value) -> Result<&mut Vec<Value>, String> {
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    let found = kind(value);
    value.as_array_mut().ok_or_else(|| format!("it is {found} and has no items"))
}

/// In a finished list any place past the end is the next one, as in Istio.
fn position(items: &[Value], index: i64, missing: Missing) -> Result<usize, String> {
    match usize::try_from(index) {
        Ok(index) if index <= items.len() => Ok(index),
        Ok(_) if missing == Missing::Refuse => Ok(items.len()),
        Err(_) if index == -1 => Ok(items.len()),
        _ => Err(format!("there is no item [{index}], the list has {}", items.len())),
    }
}

fn find(items: &[Value], field: &str, wanted: &str) -> Option<usize> {
    items.iter().position(|item| {
        let value = if field.is_empty() { item } else { &item[field] };
        crate::plan::scalar(value) == wanted
    })
}

fn containing(items: &[Value], pattern: &str) -> Option<usize> {
    items.iter().position(|item| {
        let is_text = !item.is_object() && !item.is_array();
        is_text && contains(&crate::plan::scalar(item), pattern)
    })
}

/// Whether a text contains another, in which `^`, `$` and `.*` have their usual meaning.
fn contains(text: &str, pattern: &str) -> bool {
    let (anchored, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let (to_end, pattern) = match pattern.strip_suffix('$') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let pieces: Vec<&str> = pattern.split(".*").collect();
    let mut rest = text;
    for (at, piece) in pieces.iter().enumerate() {
        let (first, last) = (at == 0 && anchored, at + 1 == pieces.len() && to_end);
        let found = match (first, last) {
            (true, true) => (rest == *piece).then_some(0),
            (true, false) => rest.starts_with(piece).then_some(0),
            (false, true) => rest.ends_with(piece).then(|| rest.len() - piece.len()),
            (false, false) => rest.find(piece),
        };
        let Some(found) = found else { return false };
        rest = &rest[found + piece.len()..];
    }
    true
}

/// Names that are told of those that there are, and letters of each.
const NAMES: usize = 10;
const LETTERS: usize = 40;

fn not_there(items: &[Value], field: &str) -> String {
    let value = |item: &Value| if field.is_empty() { item.clone() } else { item[field].clone() };
    let values = items.iter().map(value).filter(|value| !value.is_null());
    let (objects, names): (Vec<Value>, Vec<Value>) =
        values.partition(|value| value.is_object() || value.is_array());
    if items.is_empty() {
        return "no such item, the list is empty".to_owned();
    }
    if let Some(object) = objects.first() {
        let name = object["name"].as_str().unwrap_or("NAME");
        return format!("no such item, they are chosen by a field, as in [name:{name}]");
    }
    if names.is_empty() {
        return format!("no such item, none has a field {field}");
    }
    let short = |name: &Value| crate::plan::scalar(name).chars().take(LETTERS).collect::<String>();
    let mut shown: Vec<String> = names.iter().take(NAMES).map(short).collect();
    if names.len() > NAMES {
        shown.push(format!("{} more", names.len() - NAMES));
    }
    format!("no such item, there are: {}", shown.join(", "))
}
