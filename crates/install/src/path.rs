//! Paths into a tree of settings, as `--set` and `k8s.overlays` write them. In: text such as
//! `a.b[0].c`, `ports[name:http2].port`, `annotations.prometheus\.io/port`, and a tree. Out: the value
//! there, or the tree with another one.

use serde_json::{Map, Value};

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Key(String),
    /// An item by its place; one past the end appends, as -1 does.
    Index(i64),
    /// The item whose field has this value; without a field, the item that has it.
    Select(String, String),
}

/// Whether a list's item that is selected and is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    Make,
    Refuse,
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
                    format!("{text:?} has a bracket that is not [0], [name:value] or [:value]")
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
        None => value.parse().ok().map(Step::Index),
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
        }
    }
    out
}

/// The value at a path of plain keys.
pub fn get<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(root, |value, key| value.get(key)).filter(|value| !value.is_null())
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
        Step::Index(_) | Step::Select(..) => Value::Array(Vec::new()),
    };
    let inner = match step {
        Step::Key(key) => object(at)?.entry(key.clone()).or_insert(Value::Null),
        Step::Index(index) => {
            let items = list(at)?;
            let index = position(items, *index)?;
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
            match value {
                Value::Null => drop(fields.shift_remove(key)),
                value => drop(fields.insert(key.clone(), value)),
            }
        }
        Step::Index(index) => {
            let items = list(at)?;
            let index = position(items, *index)?;
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

fn position(items: &[Value], index: i64) -> Result<usize, String> {
    match usize::try_from(index) {
        Ok(index) if index <= items.len() => Ok(index),
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

fn not_there(items: &[Value], field: &str) -> String {
    let all: Vec<String> = items
        .iter()
        .map(|item| if field.is_empty() { item } else { &item[field] })
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    match all.is_empty() {
        true => "no such item, the list is empty".to_owned(),
        false => format!("no such item, there are: {}", all.join(", ")),
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Missing, Step, parse, set};

    #[track_caller]
    fn after(mut tree: serde_json::Value, path: &str, value: serde_json::Value) -> String {
        let steps = parse(path).unwrap();
        match set(&mut tree, &steps, value, Missing::Refuse) {
            Ok(()) => tree.to_string(),
            Err(reason) => reason,
        }
    }

    #[test]
    fn a_path_has_keys_places_and_selections() {
        let steps = parse(r"a.b\.c[0].[name:x:y].[:30m]").unwrap();
        let key = |text: &str| Step::Key(text.into());
        let select = |field: &str, value: &str| Step::Select(field.into(), value.into());
        assert_eq!(
            steps,
            [key("a"), key("b.c"), Step::Index(0), select("name", "x:y"), select("", "30m")]
        );
        assert!(parse("a[b").is_err());
        assert!(parse("a[b]").unwrap_err().contains("[name:value]"));
        assert!(parse("").is_err());
    }

    #[test]
    fn a_value_is_set_added_and_removed() {
        let tree = json!({"a": [{"name": "x", "p": 1}, {"name": "y"}], "l": ["30m"]});
        assert_eq!(
            after(tree.clone(), "a[name:y].q.r", json!(2)),
            r#"{"a":[{"name":"x","p":1},{"name":"y","q":{"r":2}}],"l":["30m"]}"#
        );
        assert_eq!(
            after(tree.clone(), "a.[name:x]", json!(null)),
            r#"{"a":[{"name":"y"}],"l":["30m"]}"#
        );
        assert_eq!(
            after(tree.clone(), "l.[:30m]", json!("60m")),
            r#"{"a":[{"name":"x","p":1},{"name":"y"}],"l":["60m"]}"#
        );
        assert_eq!(after(json!({"l": [1]}), "l[-1]", json!(2)), r#"{"l":[1,2]}"#);
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        let tree = json!({"a": [{"name": "x"}, {"name": "y"}], "s": 1});
        assert_eq!(
            after(tree.clone(), "a[name:z].p", json!(1)),
            "a[name:z]: no such item, there are: x, y"
        );
        assert_eq!(
            after(tree.clone(), "a[7]", json!(1)),
            "a[7]: there is no item [7], the list has 2"
        );
        assert_eq!(after(tree, "s.t", json!(1)), "s.t: it is a number and has no fields");
    }
}
